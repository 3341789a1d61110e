"""`Idempotency-Key`: a repeated creating request gets the reply of the first (protocol.md, Conventions)."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Delete, Update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.tables import KeptReply
from shared.protocol.values import canonical_json
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

KEPT_FOR = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=2)  # a request whose process died may be tried again then

AGAIN_AFTER = 1.0  # seconds, while the database is away

Reply = tuple[int, dict[str, Any]]

_log = logging.getLogger(__name__)
_later: set[asyncio.Task[None]] = set()


async def reply_once(
    sessions: Sessions, owner: str, key: str | None, request: list[Any], act: Callable[[], Awaitable[Reply]]
) -> Reply:
    """What `act` returns, or what it returned when `owner` sent the same request under the same key within a day.

    Without a key `act` is simply called. A failed act keeps nothing. What became of it is noted as soon as the database
    is there. Problems `idempotency_mismatch` (the key came with another request), `request_in_progress`.
    """
    if key is None:
        return await act()
    digest = hashlib.sha256(canonical_json(request).encode()).digest()
    now = datetime.now(UTC)
    async with sessions.begin() as db:
        known = await _take(db, owner, key, digest, now)
    if known is not None:
        return known
    ours = (col(KeptReply.owner) == owner, col(KeptReply.key) == key, col(KeptReply.created_at) == now)
    try:
        status, document = await act()
    except BaseException:
        await _note(sessions, delete(KeptReply).where(*ours))
        raise
    await _note(sessions, update(KeptReply).where(*ours).values(status=status, document=document))
    return status, document


async def _note(sessions: Sessions, statement: Delete | Update) -> None:
    """Now, or when the database is back: else the key would stay taken long after the person was answered."""
    try:
        await _execute(sessions, statement)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("the outcome of a request is noted later (%s)", type(error).__name__)
        task = asyncio.create_task(_note_later(sessions, statement))
        _later.add(task)
        task.add_done_callback(_later.discard)


async def _note_later(sessions: Sessions, statement: Delete | Update) -> None:
    limit = monotonic() + ABANDONED_AFTER.total_seconds()
    while monotonic() < limit:
        await asyncio.sleep(AGAIN_AFTER)
        try:
            await _execute(sessions, statement)
        except (SQLAlchemyError, OSError) as error:
            _log.info("the outcome of a request is not noted yet (%s)", type(error).__name__)
        else:
            return


async def _execute(sessions: Sessions, statement: Delete | Update) -> None:
    async with sessions.begin() as db:
        await db.exec(statement)


async def _take(db: AsyncSession, owner: str, key: str, digest: bytes, now: datetime) -> Reply | None:
    """The kept reply; None when the key is ours to use now."""
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
