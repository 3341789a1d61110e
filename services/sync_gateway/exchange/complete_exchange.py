"""End an exchange: completed, abandoned or expired (protocol.md, Exchange, 4)."""

import logging
from datetime import UTC, datetime

from pydantic import BaseModel
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases
from services.sync_gateway.exchange.running_exchange import delta_files, finish
from services.sync_gateway.tables import Activation, Exchange, Workplace
from shared.replication import opening
from shared.runtime.database import Sessions
from shared.runtime.objects import Objects, ObjectsUnavailable
from shared.runtime.problem import Problem

SWEPT_AT_ONCE = 100

_log = logging.getLogger(__name__)


class Repaired(BaseModel):
    """Rows of one table in the buckets that were repaired: missing and extra in the replica, different in both."""

    missing: int
    extra: int
    different: int


class Completion(BaseModel):
    """What the replica holds at the end. `differing`: table → buckets that differ, an empty list = the whole table.
    `repaired`: by table, what a repair of this exchange found.
    """

    position: str
    applied: int
    verified: bool | None = None
    differing: dict[str, list[int]] | None = None
    repaired: dict[str, Repaired] | None = None
    problems: int | None = None


async def complete_exchange(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    objects: Objects,
    exchange: Exchange,
    workplace: Workplace,
    completion: Completion,
) -> None:
    """Everything the position has seen is acknowledged; what differs comes whole with the next exchange. What the
    replica said of its comparison stays with the exchange.

    Problems `invalid_request` (a position this exchange did not lead to), `exchange_over`, `application_unavailable`.
    """
    offered, opened = exchange.offered, exchange.opened
    pulled = completion.position in offered
    if not pulled and completion.position != opened["position"]:
        raise Problem("invalid_request", "position: this exchange did not lead there.")
    scope_version = workplace.scope_version if pulled else (opened["scope"] or [None, None])[1]
    if pulled or not opened["reset"]:
        application = await catalogue.get(workplace.application)
        await databases.run(
            application,
            lambda connection, _: opening.acknowledge(
                connection, application.code, str(workplace.id), completion.position
            ),
        )
    async with sessions.begin() as db:
        exchange.received = offered.get(completion.position, 0)
        files = delta_files(exchange)
        if not await finish(db, exchange, "completed"):
            raise Problem("exchange_over", "The exchange is over.")
        await _record_proof(db, exchange, completion)
        activation = await db.get_one(Activation, workplace.id, with_for_update=True)
        if activation.replica == exchange.replica:
            activation.position, activation.scope_version = completion.position, scope_version
            if completion.differing:
                activation.differing = completion.differing
            elif pulled:
                activation.differing = None
    await drop_files(objects, files)


async def _record_proof(db: AsyncSession, exchange: Exchange, completion: Completion) -> None:
    if completion.differing:
        _log.warning("workplace %s differs in %s", exchange.workplace, ", ".join(sorted(completion.differing)))
    repaired = {table: found.model_dump() for table, found in (completion.repaired or {}).items()}
    said = {"verified": completion.verified, "differing": completion.differing or None, "repaired": repaired or None}
    await db.exec(update(Exchange).where(col(Exchange.id) == exchange.id).values(said))


async def abandon_exchange(sessions: Sessions, objects: Objects, exchange: Exchange) -> None:
    """The exchange is over without an acknowledgement; answered messages stay applied."""
    async with sessions.begin() as db:
        files = delta_files(exchange)
        await finish(db, exchange, "abandoned")
    await drop_files(objects, files)


async def expire_exchanges(sessions: Sessions, objects: Objects) -> int:
    """End the exchanges whose replica has been silent for too long. The number ended."""
    overdue = (
        select(Exchange)
        .where(col(Exchange.finished_at).is_(None), col(Exchange.expires_at) <= datetime.now(UTC))
        .limit(SWEPT_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    async with sessions.begin() as db:
        expired = (await db.exec(overdue)).all()
        files = [name for exchange in expired for name in delta_files(exchange)]
        for exchange in expired:
            await finish(db, exchange, "expired")
    await drop_files(objects, files)
    return len(expired)


async def drop_files(objects: Objects, names: list[str]) -> None:
    """Delta files that nobody may fetch any more are gone from object storage, unless it is away."""
    try:
        for name in names:
            await objects.delete(name)
    except ObjectsUnavailable:
        _log.warning("delta files are left for the sweeper: %s", names)
