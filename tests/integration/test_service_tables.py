"""What the migrations make is what the tables of the code say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from services.licensing.tables import Table as LicensingTable
from services.provisioning.tables import Table as ProvisioningTable
from shared.runtime import database

KINDS = {"add_table", "add_column", "remove_column", "modify_nullable"}  # not types: text and varchar are one to us


@pytest.mark.parametrize(
    ("service", "metadata"),
    [("services.licensing", LicensingTable.metadata), ("services.provisioning", ProvisioningTable.metadata)],
)
async def test_migrations_and_tables_agree(fresh_database: str, service: str, metadata: MetaData) -> None:
    await database.migrate(service, fresh_database)
    await database.migrate(service, fresh_database)
    engine = create_engine(fresh_database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    flat = [d for entry in differences for d in (entry if isinstance(entry, list) else [entry])]
    assert [d for d in flat if d[0] in KINDS] == []
