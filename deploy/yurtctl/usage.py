"""A mistake in the call itself."""


class UsageMistake(Exception):
    """What was asked for cannot be sent as it stands; the text says what to change."""
