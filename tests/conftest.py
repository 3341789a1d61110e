"""Real servers for every test that needs one. Found or started once, in the process that pytest was called as."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from _pytest.nodeid import NodeId
from psycopg import sql

from deploy.servers.found import find_amqp, find_postgres, find_s3
from deploy.servers.named import NamedServerSilent
from deploy.servers.postgres import WheelPostgres
from deploy.servers.server import Server, ServerMissing

# With pytest-xdist the controller finds the servers; its workers inherit these settings and only read them.
_FOUND = {"YURT_FOUND_POSTGRES_URL": find_postgres, "YURT_FOUND_AMQP_URL": find_amqp, "YURT_FOUND_S3_URL": find_s3}
_NEEDS_NO_SERVER = ("tests/unit", "tests/architecture")

_servers = pytest.StashKey[list[Server]]()
_said = pytest.StashKey[list[str]]()
_home = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_servers] = []
    config.stash[_said] = []
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if config.args and all(arg.startswith(_NEEDS_NO_SERVER) for arg in config.args):
        config.stash[_said].append("servers: none looked for")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is ended by `timeout` ends its servers too
    config.stash[_home] = Path(tempfile.mkdtemp(prefix="yurt-servers-"))
    for setting, find in _FOUND.items():
        _look(config, setting, find)


def _look(config: pytest.Config, setting: str, find: Callable[[Path], Server]) -> None:
    try:
        server = find(config.stash[_home])
    except (ServerMissing, NamedServerSilent) as missing:
        os.environ[setting] = f"missing: {missing}"
        config.stash[_said].append(f"MISSING: {missing}")
    else:
        os.environ[setting] = server.url
        config.stash[_servers].append(server)
        config.stash[_said].append(str(server))


def pytest_report_header(config: pytest.Config) -> list[str]:
    return config.stash[_said]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `xdist_group` take effect: pytest-xdist 3.8 writes a group where pytest 9.2 no longer keeps an item's id."""
    for item in items:
        grouped = getattr(item, "_nodeid", None)
        if grouped is not None:
            item._id = NodeId.parse(grouped)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures that tests have recorded (`record_property`) are seen by whoever reads the end of a run."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in config.stash.get(_servers, []):
        server.stop()
    if _home in config.stash:
        shutil.rmtree(config.stash[_home], ignore_errors=True)


def _url(setting: str) -> str:
    found = os.environ.get(setting, "missing: it was not looked for")
    if found.startswith("missing: "):
        pytest.fail(found, pytrace=False)  # never a skip: an untried part is not a passed one
    return found


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A PostgreSQL server, as superuser, database `postgres`. Make your own database in it (`fresh_database`)."""
    return _url("YURT_FOUND_POSTGRES_URL")


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """A RabbitMQ broker, virtual host `/`. Give your exchanges and queues a prefix of your own."""
    return _url("YURT_FOUND_AMQP_URL")


@pytest.fixture(scope="session")
def s3_url() -> str:
    """An S3 endpoint, `http://key:secret@host:port/bucket`. Replace the bucket, or prefix your objects' names."""
    return _url("YURT_FOUND_S3_URL")


@pytest.fixture(scope="session")
def quiet_postgres() -> Iterator[str]:
    """A server of ours alone: a transaction of anybody else, in whatever database, holds back what may be forgotten."""
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as folder:
        server = WheelPostgres(Path(folder) / "postgres", forgetful=True)
        try:
            yield server.start().url
        finally:
            server.stop()


@pytest.fixture
def passable_folder() -> Iterator[Path]:
    """A folder of this test that other users may pass through, as PostgreSQL must when we are root.

    Not below pytest's own: every new run of pytest closes that one to others again.
    """
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as folder:
        yield Path(folder)


@pytest.fixture
def fresh_database(postgres_url: str) -> Iterator[str]:
    """URL of an empty database of this test alone; dropped afterwards, with whoever is still connected."""
    name = f"yurt_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
