"""Databases of the services: made, migrated, opened."""

from importlib import import_module
from importlib.resources import files
from pathlib import Path

import anyio.to_thread
import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import URL, make_url, text
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

Sessions = async_sessionmaker[AsyncSession]

MAINTENANCE_DATABASE = "postgres"
MIGRATION_LOCK = 0x79757274  # "yurt": one instance migrates, the others wait


def service_database_url(postgres_url: str, service: str, prefix: str = "yurt") -> str:
    """The URL of database `<prefix>_<service>` on the same server; a name like `snapshot-builder` gets `_` for `-`."""
    name = f"{prefix}_{service.replace('-', '_')}"
    return _rendered(make_url(postgres_url).set(database=name))


async def ensure_database(url: str) -> None:
    """Afterwards the database exists, whoever else makes it at the same moment."""
    await anyio.to_thread.run_sync(_ensure_database, url)


async def migrate(service_package: str, url: str) -> None:
    """Afterwards the database stands at the newest of the migrations in `<service_package>/migrations`.

    All in one transaction; several instances may start at once.
    """
    await anyio.to_thread.run_sync(_migrate, service_package, url)


def create_engine(url: str, pool_size: int = 5, wait: float = 10) -> AsyncEngine:
    """An engine on psycopg; the caller disposes of it. Its errors show no parameters: no values in logs.

    It keeps `pool_size` connections and opens at most three times as many: four services fit into the 100 connections
    of a PostgreSQL as it comes. Who has got none after `wait` seconds is told so (`TimeoutError` of SQLAlchemy).
    """
    return create_async_engine(
        _with_driver(url),
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        pool_timeout=wait,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def sessions(engine: AsyncEngine) -> Sessions:
    """Makes sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


def conninfo(engine: AsyncEngine) -> str:
    """The engine's database as a URL for psycopg itself."""
    return _rendered(engine.url)


def _ensure_database(url: str) -> None:
    name = make_url(url).database
    if name is None:
        raise ValueError("the URL names no database")
    maintenance = _rendered(make_url(url).set(database=MAINTENANCE_DATABASE))
    with psycopg.connect(maintenance, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone():
            return
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another instance was faster


def _migrate(service_package: str, url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files(__package__) / "migrations"))
    config.set_main_option("version_locations", str(_folder(service_package) / "migrations"))
    config.set_main_option("path_separator", "newline")
    engine = create_sync_engine(_with_driver(url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _folder(package: str) -> Path:
    file = import_module(package).__file__
    assert file is not None, "a package with __init__.py"
    return Path(file).parent


def _with_driver(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def _rendered(url: URL) -> str:
    place, mark, query = url.set(drivername="postgresql").render_as_string(hide_password=False).partition("?")
    return f"{place}{mark}{query.replace('+', '%20')}"  # libpq reads no + as a space
