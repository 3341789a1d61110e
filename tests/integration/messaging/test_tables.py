"""The written-down migration and the models are one."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from shared.messaging.inbox import forget_old
from shared.messaging.tables import Table
from tests.integration.messaging.service import Service


async def test_the_migration_makes_what_the_models_describe(lamps: Service) -> None:
    def differences(connection: Connection) -> list[object]:
        connection.execute(text("DROP TABLE effects"))
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Table.metadata))

    async with lamps.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_old_inbox_entries_are_forgotten_and_young_ones_kept(lamps: Service) -> None:
    async with lamps.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO inbox (consumer, event_id, handled_at) VALUES"
                " ('light', gen_random_uuid(), now() - interval '31 days'), ('light', gen_random_uuid(), now())"
            )
        )
    assert await forget_old(lamps.engine) == 1
    assert await lamps.count("inbox") == 1
