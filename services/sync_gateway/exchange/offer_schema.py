"""Offer a replica of a former configuration version what makes it one of today's (protocol.md, Resync)."""

from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases, Connection
from services.sync_gateway.tables import Exchange
from shared.replication import upgrade, versions
from shared.replication.model import Model
from shared.runtime.problem import Problem


async def offer_schema(catalogue: ApplicationCatalogue, databases: ApplicationDatabases, exchange: Exchange) -> str:
    """The SQL to run after the push and before the delta, in its transaction.

    Problems `not_found` (this exchange has none), `exchange_over` (the application was upgraded again),
    `application_unavailable`.
    """
    version, held = exchange.opened["version"], exchange.opened["former"]
    application = await catalogue.get(exchange.application, version=version)
    if held is None:
        raise Problem("not_found", "This exchange has no schema.")
    if application.version != version:
        raise Problem("exchange_over", "The application has another version now. Open a new exchange.")

    def schema(connection: Connection, model: Model) -> str:
        former = versions.find(connection, application.code, held)
        if former is None:
            raise Problem("exchange_over", "The application was attached anew. Open a new exchange.")
        return upgrade.upgrade(former, model, model.manifest.migration(held))

    return await databases.run(application, schema)
