"""Whole stacks for the story: embedded in one process, and four processes on a broker."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import anyio
import psycopg
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity
from psycopg import sql

from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from shared.contracts.services import SERVICES
from shared.messaging.topology import Names

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


@pytest.fixture
def embedded_stack(passable_folder: Path) -> Iterator[Stack]:
    """Everything from wheels, one process for the services, as `make demo` starts it."""
    settings = StackSettings(home=passable_folder, port=0, postgres_url=None, s3_url=None, amqp_url=None)
    with Stack(settings, environment=_quiet()) as stack:
        yield stack


@pytest.fixture(scope="module")
def broker_stack(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, s3_url: str, amqp_url: str
) -> Iterator[Stack]:
    """Four supervised processes on real servers; databases, bucket, exchange and queues are this module's own."""
    mark = uuid4().hex[:12]
    home = tmp_path_factory.mktemp("yurt")
    settings = StackSettings(
        home=home,
        port=0,
        postgres_url=postgres_url,
        database_prefix=f"e2e_{mark}",
        s3_url=urlunsplit(urlsplit(s3_url)._replace(path=f"/e2e-{mark}")),
        amqp_url=amqp_url,
    )
    environment = {
        **_quiet(),
        "YURT_AMQP_PREFIX": f"e2e-{mark}",
        "YURT_RETRY_DELAYS": ",".join(map(str, RETRY_DELAYS)),
        "YURT_TRACE_FILE": str(home / "traces.jsonl"),
        "YURT_BUILD_LEASE": "3",
        "YURT_BASE_IMAGE_MAX_AGE": "0.001",  # every build is a cold one, long enough to be killed in its middle
    }
    try:
        with Stack(settings, environment=environment) as stack:
            yield stack
    finally:
        _drop_databases(postgres_url, f"e2e_{mark}")
        anyio.run(_remove_queues, amqp_url, Names(f"e2e-{mark}"))


def _quiet() -> dict[str, str]:
    """Our environment without settings of Yurt, which belong to whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("YURT_")}


def _drop_databases(server_url: str, prefix: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as server:
        names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
        for (name,) in names:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def _remove_queues(url: str, names: Names) -> None:
    modules = {service: import_module(f"services.{service.replace('-', '_')}.consumers") for service in SERVICES}
    queues = {names.queue(service, s.consumer) for service, module in modules.items() for s in module.SUBSCRIPTIONS}
    queues |= {names.dead(service) for service in SERVICES} | {names.waiting(delay) for delay in RETRY_DELAYS}
    async with await aio_pika.connect(url) as connection:
        for queue in queues:
            async with connection.channel() as channel:
                try:
                    await channel.queue_delete(queue)
                except ChannelNotFoundEntity:
                    continue
        async with connection.channel() as channel:
            await channel.exchange_delete(names.events)
            await channel.exchange_delete(names.retry)
