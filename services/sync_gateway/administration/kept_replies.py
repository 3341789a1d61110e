"""`Idempotency-Key`: a repeated creating request gets the reply of the first (protocol.md, Conventions)."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.tables import KeptReply
from shared.protocol.values import canonical_json
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=2)  # a request whose process died may be tried again then

Reply = tuple[int, dict[str, Any]]


async def reply_once(
    sessions: Sessions, owner: str, key: str | None, request: list[Any], act: Callable[[], Awaitable[Reply]]
) -> Reply:
    """What `act` returns, or what it returned when `owner` sent the same request under the same key within a day.

    Without a key `act` is simply called. A failed act keeps nothing. Problems `idempotency_mismatch` (the key came with
    another request), `request_in_progress`.
    """
    if key is None:
        return await act()
    digest = hashlib.sha256(canonical_json(request).encode()).digest()
    async with sessions.begin() as db:
        known = await _take(db, owner, key, digest)
    if known is not None:
        return known
    try:
        status, document = await act()
    except BaseException:
        async with sessions.begin() as db:
            await db.exec(delete(KeptReply).where(col(KeptReply.owner) == owner, col(KeptReply.key) == key))
        raise
    async with sessions.begin() as db:
        kept = await db.get_one(KeptReply, (owner, key))
        kept.status, kept.document = status, document
    return status, document


async def _take(db: AsyncSession, owner: str, key: str, digest: bytes) -> Reply | None:
    """The kept reply; None when the key is ours to use now."""
    now = datetime.now(UTC)
    claim = insert(KeptReply).values(owner=owner, key=key, request=digest, created_at=now)
    if (await db.exec(claim.on_conflict_do_nothing().returning(col(KeptReply.key)))).first() is not None:
        return None
    kept = await db.get_one(KeptReply, (owner, key), with_for_update=True)
    if kept.created_at < now - KEPT_FOR:
        kept.request, kept.status, kept.document, kept.created_at = digest, None, None, now
        return None
    if kept.request != digest:
        raise Problem("idempotency_mismatch", "This Idempotency-Key came with another request before.")
    if kept.status is not None and kept.document is not None:
        return kept.status, kept.document
    if kept.created_at < now - ABANDONED_AFTER:
        kept.created_at = now
        return None
    raise Problem("request_in_progress", "The same request is still being worked on.", headers={"Retry-After": "1"})
