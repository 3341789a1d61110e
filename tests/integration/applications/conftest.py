"""The two applications, each in a database of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.applications.rows import Database

ROOT = Path(__file__).parents[3]
APPLICATIONS = ROOT / "applications"
ACCOUNTING = ("schema.sql", "posting.sql", "chart_of_accounts.sql", "row_security.sql", "generate.sql")


@pytest.fixture
def database(fresh_database: str) -> Iterator[Database]:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def accounting(database: Database) -> Database:
    """accounting_kz with its generator, without rows."""
    for script in ACCOUNTING:
        database.execute((APPLICATIONS / "accounting_kz" / script).read_bytes())
    return database


@pytest.fixture
def northwind(database: Database) -> Database:
    """Northwind as it is loaded."""
    given = os.environ.get("NORTHWIND_SQL", "../shared/data/northwind/northwind.sql")
    script = ROOT / given  # an absolute path stays as it is
    if not script.is_file():
        pytest.skip(
            f"NOT TRIED, the Northwind data are not at {script} (NORTHWIND_SQL; another licence, not in the repository)"
        )
    database.execute(script.read_bytes())
    return database
