"""Times and ids on the wire."""

from datetime import UTC, datetime
from uuid import UUID


def wire_time(moment: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def id_of(text: str) -> UUID | None:
    """The id written in a path, None when it is none: nothing has it."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None
