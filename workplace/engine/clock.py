"""Times as the protocol writes them."""

from datetime import UTC, datetime


def now_text() -> str:
    """This moment: `YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def age_seconds(text: str) -> float:
    """Seconds since a time that `now_text` wrote; never negative, a computer's clock may have been set back."""
    then = datetime.fromisoformat(text)
    return max(0.0, (datetime.now(UTC) - then).total_seconds())
