"""`python -m deploy.migrate`: the databases of all four services made and brought to their newest migration."""

import asyncio

from shared.contracts.services import SERVICES
from shared.runtime import database
from shared.runtime.settings import PostgresSettings, load_all
from shared.runtime.silence import watched_at_both_ends


async def migrate_all(postgres: PostgresSettings) -> None:
    """Afterwards each service finds its database as it expects it. Doing it again changes nothing."""
    for service in SERVICES:
        url = database.service_database_url(postgres.postgres_url, service, postgres.database_prefix)
        url = watched_at_both_ends(url, postgres.silence)
        await database.ensure_database(url)
        await database.migrate(f"services.{service.replace('-', '_')}", url)
        print(f"{service}: its database is at the newest migration.")


if __name__ == "__main__":
    asyncio.run(migrate_all(*load_all(PostgresSettings)))
