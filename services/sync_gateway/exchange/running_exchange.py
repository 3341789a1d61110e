"""An exchange under way: found for its replica, kept alive by each request, ended once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.access.callers import Replica
from services.sync_gateway.access.rights import not_found
from services.sync_gateway.tables import Activation, Exchange, Workplace
from shared.contracts.sync_gateway import ExchangeFinished
from shared.messaging.outbox import record
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

Result = Literal["completed", "idle", "abandoned", "superseded", "expired"]


async def living_exchange(
    sessions: Sessions, replica: Replica, exchange_id: UUID | None, lifetime: timedelta
) -> tuple[Exchange, Workplace]:
    """The replica's own unfinished exchange, which from now lives `lifetime` longer, and its workplace.

    Problems `not_found`, `exchange_over`, `not_authenticated` (the person was taken off the workplace), and those of
    `require_exchanging`.
    """
    now = datetime.now(UTC)
    async with sessions.begin() as db:
        workplace = await db.get_one(Workplace, replica.workplace)
        require_exchanging(workplace)
        found = await db.get(Exchange, exchange_id) if exchange_id else None
        if found is None or (found.workplace, found.replica) != (replica.workplace, replica.replica):
            raise not_found("There is no such exchange.")
        prolonged = (
            update(Exchange)
            .where(col(Exchange.id) == found.id, col(Exchange.finished_at).is_(None), col(Exchange.expires_at) > now)
            .values(expires_at=now + lifetime)
            .returning(col(Exchange.id))
        )
        if (await db.exec(prolonged)).first() is None:
            raise Problem("exchange_over", f"The exchange is over ({found.result or 'expired'}). Open a new one.")
    return found, workplace


def require_exchanging(workplace: Workplace) -> None:
    """The workplace may exchange. Problems `workplace_deleted`, `suspended` with its reason."""
    if workplace.state == "deleted":
        raise Problem("workplace_deleted", "The workplace was deleted.")
    if workplace.state == "suspended":
        reason = workplace.reason or {"code": "suspended", "text": "The workplace is suspended."}
        raise Problem("suspended", reason["text"], reason=reason)


async def finish(db: AsyncSession, exchange: Exchange, result: Result) -> bool:
    """End the exchange with this result, unless it has ended: then False. Its figures are those of `exchange`."""
    now = datetime.now(UTC)
    ended = (
        update(Exchange)
        .where(col(Exchange.id) == exchange.id, col(Exchange.finished_at).is_(None))
        .values(result=result, finished_at=now, delta=None, received=exchange.received)
        .returning(col(Exchange.sent), col(Exchange.problems), col(Exchange.unsent))
    )
    figures = (await db.exec(ended)).first()
    if figures is None:
        return False
    await record(
        db,
        ExchangeFinished(
            exchange=exchange.id,
            workplace=exchange.workplace,
            application=exchange.application,
            started_at=exchange.started_at,
            finished_at=now,
            result=result,
            sent=figures.sent,
            received=exchange.received,
            problems=figures.problems,
            unsent=figures.unsent,
        ),
    )
    return True


async def supersede(db: AsyncSession, replica: Replica) -> Sequence[str]:
    """End the replica's unfinished exchanges; the names of their delta files, to be deleted after the commit."""
    unfinished = select(Exchange).where(
        col(Exchange.workplace) == replica.workplace,
        col(Exchange.replica) == replica.replica,
        col(Exchange.finished_at).is_(None),
    )
    files = []
    for exchange in (await db.exec(unfinished.with_for_update())).all():
        files += delta_files(exchange)
        await finish(db, exchange, "expired" if exchange.expires_at <= datetime.now(UTC) else "superseded")
    return files


def delta_files(exchange: Exchange) -> list[str]:
    """The objects that hold deltas of the exchange."""
    return list((exchange.delta or {}).get("objects", ()))


async def count_unsent(db: AsyncSession, exchange: Exchange, unsent: int) -> None:
    """What the workplace is now known to hold back."""
    statement = update(Activation).where(
        col(Activation.workplace) == exchange.workplace, col(Activation.replica) == exchange.replica
    )
    await db.exec(statement.values(unsent=unsent))
