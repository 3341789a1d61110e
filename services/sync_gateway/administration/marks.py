"""Marks in lists: where the next page begins."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from shared.runtime.problem import Problem

Mark = tuple[datetime, UUID]


def write_mark(moment: datetime, identity: UUID) -> str:
    """An opaque mark behind the item with this time and id."""
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), str(identity)]).encode()).decode().rstrip("=")


def read_mark(mark: str | None) -> Mark | None:
    """What `write_mark` wrote. Problem `invalid_request` for anything else."""
    if mark is None:
        return None
    try:
        moment, identity = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
        return datetime.fromisoformat(moment), UUID(identity)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise Problem("invalid_request", "after: no mark of this list.") from error


def page(items: Sequence[object], limit: int, mark: str | None) -> dict[str, object]:
    """A page as the protocol shows it; `mark` is that of its last item and given out when more follow."""
    return {"items": list(items[:limit]), "next": mark if len(items) > limit else None}
