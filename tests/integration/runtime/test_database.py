"""Databases of the services on a real server."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.runtime import problem
from shared.runtime.database import conninfo, create_engine, ensure_database, migrate, service_database_url, sessions
from shared.runtime.health import health_routes

FIRST = """
revision = "0001"
down_revision = None

from alembic import op

def upgrade():
    op.execute("CREATE TABLE lamps (name text)")
    op.execute("SELECT pg_sleep(0.2)")
"""
SECOND = """
revision = "0002"
down_revision = "0001"

from alembic import op

def upgrade():
    op.execute("ALTER TABLE lamps ADD watts integer")
    {more}
"""


@pytest.fixture
def prefix(postgres_url: str) -> Iterator[str]:
    prefix = f"yurt_test_{uuid4().hex}"
    yield prefix
    with psycopg.connect(postgres_url, autocommit=True) as server:
        for (name,) in server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]):
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service's package with migrations; its name."""
    name = f"service_{uuid4().hex}"
    (tmp_path / name / "migrations").mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "migrations" / "0001_first.py").write_text(FIRST)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def columns(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'lamps'")
        return sorted(str(row[0]) for row in rows)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://postgres@127.0.0.1:5432/postgres", "postgresql://postgres@127.0.0.1:5432/yurt_snapshot_builder"),
        ("postgresql://u:p%40ss@h", "postgresql://u:p%40ss@h/yurt_snapshot_builder"),
        (
            "postgresql://postgres:@/postgres?host=/run/pg",
            "postgresql://postgres:@/yurt_snapshot_builder?host=%2Frun%2Fpg",
        ),
    ],
)
def test_a_service_has_a_database_of_its_own_on_the_same_server(url: str, expected: str) -> None:
    assert service_database_url(url, "snapshot-builder") == expected


async def test_a_service_whose_connections_all_wait_says_when_to_come_back(fresh_database: str) -> None:
    engine = create_engine(fresh_database, pool_size=1, wait=0.01)
    app = FastAPI()
    problem.install(app)
    app.include_router(health_routes(engine))

    @app.get("/busy")
    async def busy() -> None:
        async with engine.connect():
            raise AssertionError("there was one free")

    held = [await engine.connect() for _ in range(3)]
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            for path in ("/busy", "/health/ready"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
                assert answer.headers["Retry-After"] == "5"
    finally:
        for connection in held:
            await connection.close()
        await engine.dispose()


async def test_a_database_is_made_once_however_many_ask(postgres_url: str, prefix: str) -> None:
    url = service_database_url(postgres_url, "lamps", prefix)
    await asyncio.gather(*(ensure_database(url) for _ in range(5)))
    await ensure_database(url)
    with psycopg.connect(url) as connection:
        assert connection.info.dbname == f"{prefix}_lamps"


async def test_instances_that_start_together_migrate_once(postgres_url: str, prefix: str, package: str) -> None:
    url = service_database_url(postgres_url, "lamps", prefix)
    await ensure_database(url)
    await asyncio.gather(*(migrate(package, url) for _ in range(4)))
    assert columns(url) == ["name"]


async def test_a_later_version_migrates_what_is_there(
    postgres_url: str, prefix: str, package: str, tmp_path: Path
) -> None:
    url = service_database_url(postgres_url, "lamps", prefix)
    await ensure_database(url)
    await migrate(package, url)
    (tmp_path / package / "migrations" / "0002_watts.py").write_text(SECOND.format(more="pass"))
    await migrate(package, url)
    assert columns(url) == ["name", "watts"]


async def test_a_failed_migration_leaves_everything_as_it_was(
    postgres_url: str, prefix: str, package: str, tmp_path: Path
) -> None:
    url = service_database_url(postgres_url, "lamps", prefix)
    await ensure_database(url)
    (tmp_path / package / "migrations" / "0002_watts.py").write_text(SECOND.format(more='op.execute("SELECT 1/0")'))
    with pytest.raises(DBAPIError):
        await migrate(package, url)
    assert columns(url) == []


async def test_an_engine_survives_the_loss_of_its_connections_and_shows_no_values(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    make = sessions(engine)
    async with make() as session:
        await (await session.connection()).execute(text("SELECT 1"))
    with psycopg.connect(conninfo(engine), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    async with make() as session:
        connection_again = await session.connection()
        assert (await connection_again.execute(text("SELECT 2"))).scalar_one() == 2
        with pytest.raises(DBAPIError) as raised:
            await connection_again.execute(text("SELECT CAST(:value AS text) / 0"), {"value": "password"})
    assert "password" not in str(raised.value)
    await engine.dispose()
