"""Follow a workplace while it is being made."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from services.sync_gateway.administration.describe_workplace import describe_workplace, is_awaited
from services.sync_gateway.administration.workplace_feed import WorkplaceFeed
from services.sync_gateway.tables import Workplace
from shared.runtime.database import Sessions

_LAST = frozenset({"ready", "failed", "refused", "deleted"})


async def watch_workplace(sessions: Sessions, feed: WorkplaceFeed, workplace: UUID) -> AsyncIterator[dict[str, Any]]:
    """Its document now and after each change. Ends behind a last state, also one that was passed, with its package."""
    shown: dict[str, Any] | None = None
    with feed.watch(workplace) as changed:
        while not feed.closing:
            changed.clear()
            async with sessions() as db:
                document = await describe_workplace(db, await db.get_one(Workplace, workplace))
            if document != shown:
                yield document
            awaited = is_awaited(document["state"], document["package"])
            passed = shown is not None and is_awaited(shown["state"], shown["package"])
            if not awaited and (document["state"] in _LAST or passed):
                return
            shown = document
            await changed.wait()
