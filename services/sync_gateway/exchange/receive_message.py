"""Apply a pushed message once, and answer it for ever (protocol.md, Exchange, 2)."""

from typing import Any

from anyio import CapacityLimiter
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.access.callers import Replica
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases, Connection
from services.sync_gateway.exchange.message_body import MessageBody
from services.sync_gateway.exchange.open_exchange import scope_of
from services.sync_gateway.exchange.running_exchange import count_unsent
from services.sync_gateway.tables import Exchange, Workplace
from shared.replication.apply import Message, apply_message
from shared.replication.model import Model
from shared.runtime.database import Sessions


async def receive_message(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    room: CapacityLimiter,
    replica: Replica,
    exchange: Exchange,
    workplace: Workplace,
    number: int,
    version: str,
    body: MessageBody,
) -> dict[str, Any]:
    """The answer under this number: of the application now, or the stored one when the same message was applied before.

    `room`: whoever decodes a message of this size waits there for his turn.
    Problems `message_gap`, `message_old`, `message_differs`, `invalid_body`, `duplicate_key`,
    `application_unavailable`; then nothing is applied.
    """
    application = await catalogue.get(workplace.application, version=exchange.opened["version"])

    def apply(connection: Connection, model: Model) -> dict[str, Any]:
        message = Message(number, body.decode(), version)
        scope = scope_of(workplace)
        return apply_message(connection, application.code, model, str(workplace.id), scope, message, replica.login)

    async with room:
        answer = await databases.run(application, apply)
    async with sessions.begin() as db:
        await _count(db, exchange, number, answer)
    return answer


async def _count(db: AsyncSession, exchange: Exchange, number: int, answer: dict[str, Any]) -> None:
    """Add the message to the exchange's figures, once however often it is sent."""
    present = await db.get_one(Exchange, exchange.id, with_for_update=True, populate_existing=True)
    if str(number) in present.messages or number < present.opened["next_message"]:
        return
    counts = answer["counts"]
    present.messages = {**present.messages, str(number): counts}
    present.sent += sum(counts.values())
    present.problems += counts["conflict"] + counts["rejected"]
    present.unsent = max(0, present.unsent - sum(counts.values()))
    await count_unsent(db, present, present.unsent)
