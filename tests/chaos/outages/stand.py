"""Four services as four processes on servers of our own, an application, and twenty workplaces on their computers."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from tests.chaos.outages import application
from tests.chaos.outages.office import LOGIN, PASSWORD, Build, Office
from tests.chaos.outages.oracle import Oracle
from tests.chaos.outages.servers import Servers, own_servers
from tests.chaos.outages.workplaces import Workplace

WORKPLACES = 20
SPARE = 2  # more of them, to be reissued
NEW = 3  # created in each outage
PREFIX = "outages"
TABLE = "trade"

_SETTINGS = {
    "YURT_DELTA_DIRECT_LIMIT": "50000",  # the long deltas lie in object storage
    "YURT_BASE_IMAGE_MAX_AGE": "0.001",  # every build reads the application's database
}


@dataclass(frozen=True)
class Stand:
    """`application_url` is the direct way to the application's database, past the line."""

    stack: Stack
    servers: Servers
    office: Office
    workplaces: list[Workplace]
    spare: list[str]
    application_url: str
    oracle: Oracle


@contextmanager
def stand(home: Path, settings: Mapping[str, str]) -> Iterator[Stand]:
    """Inside, every workplace is activated and has nothing to send; `settings` are the services'."""
    with own_servers(home) as servers:
        application_url = _database(servers.application.url)
        application.make(application_url, WORKPLACES)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("YURT_")},
            **_SETTINGS,
            **settings,
            "YURT_CONNECTION_TRADE": servers.application.line.through(application_url),
        }
        stack_settings = StackSettings(
            home=home / "stack",
            port=0,
            postgres_url=servers.databases.through,
            database_prefix=PREFIX,
            s3_url=servers.store.through,
            amqp_url=servers.broker.through,
        )
        with Stack(stack_settings, environment=environment) as stack:
            office = Office(stack, WORKPLACES + SPARE + NEW)
            built = [_built(office, str(n), application.organisation_of(n)) for n in range(WORKPLACES + SPARE)]
            workplaces = [office.unzipped(b, n, home / "office" / str(n)) for n, b in enumerate(built[:WORKPLACES])]
            for workplace in workplaces:
                workplace.activate(LOGIN, PASSWORD)
            spare = [build.identity for build in built[WORKPLACES:]]
            oracle = Oracle(servers.databases.url, PREFIX, application_url)
            yield Stand(stack, servers, office, workplaces, spare, application_url, oracle)


def _database(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TABLE}".encode())
    return urlunsplit(urlsplit(server)._replace(path=f"/{TABLE}"))


def _built(office: Office, name: str, organisation: str) -> Build:
    build = office.create(name, organisation)
    assert build.last["state"] == "ready", build.last
    return build
