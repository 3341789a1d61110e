"""What time brings: silent exchanges end, old tokens and replies go, deleted workplaces hold back no history."""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlmodel import col, delete, select, update

from services.sync_gateway.administration.kept_replies import KEPT_FOR
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases
from services.sync_gateway.exchange.complete_exchange import expire_exchanges
from services.sync_gateway.exchange.offer_changes import DELTAS
from services.sync_gateway.tables import KeptReply, Token, Workplace
from shared.replication import opening
from shared.runtime.database import Sessions
from shared.runtime.objects import ObjectMissing, Objects, ObjectsUnavailable
from shared.runtime.problem import Problem

RELEASED_AT_ONCE = 50
DELTAS_KEPT = timedelta(days=1)

_log = logging.getLogger(__name__)


async def tidy(
    sessions: Sessions, catalogue: ApplicationCatalogue, databases: ApplicationDatabases, objects: Objects
) -> None:
    """One round; any number of gateways may do it at the same time."""
    now = datetime.now(UTC)
    async with sessions.begin() as db:
        await db.exec(delete(Token).where(col(Token.expires_at) <= now))
        await db.exec(delete(KeptReply).where(col(KeptReply.created_at) < now - KEPT_FOR))
    while await expire_exchanges(sessions, objects):
        pass
    await release_histories(sessions, catalogue, databases)


async def release_histories(
    sessions: Sessions, catalogue: ApplicationCatalogue, databases: ApplicationDatabases
) -> None:
    """Application databases forget the positions of deleted workplaces; one whose database is away waits for later."""
    unreleased = (
        select(Workplace)
        .where(col(Workplace.state) == "deleted", col(Workplace.history_released).is_(False))
        .limit(RELEASED_AT_ONCE)
    )
    async with sessions() as db:
        ended = (await db.exec(unreleased)).all()
    for workplace in ended:
        try:
            application = await catalogue.get(workplace.application)
            forget = partial(opening.forget, application=application.code, workplace=str(workplace.id))
            await databases.run_on(application.connection, forget)
        except Problem as problem:
            if problem.code != "not_found":  # a detached application took its history with it
                _log.warning("the history of workplace %s is not released yet: %s", workplace.id, problem.code)
                continue
        async with sessions.begin() as db:
            await db.exec(update(Workplace).where(col(Workplace.id) == workplace.id).values(history_released=True))


async def sweep_deltas(objects: Objects) -> None:
    """Delta files whose exchange ended while the store was away are gone from it."""
    oldest = datetime.now(UTC) - DELTAS_KEPT
    try:
        async for found in objects.list(DELTAS):
            if found.modified_at < oldest:
                await objects.delete(found.name)
    except (ObjectsUnavailable, ObjectMissing) as error:
        _log.warning("the store of deltas was not swept: %s", type(error).__name__)
