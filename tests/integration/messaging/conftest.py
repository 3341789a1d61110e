"""Two services and a bus between them: `lamps` tells, `shop` listens. Each test has its own databases and names."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import psycopg
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity
from psycopg import sql

from shared.messaging.bus import Bus, InProcessBus
from shared.messaging.consumer import RetryPolicy
from shared.messaging.rabbit import RabbitBus
from shared.messaging.topology import Names
from tests.integration.messaging.service import Service, make_tables, opened

QUICKLY = RetryPolicy((0.02, 0.04, 0.08))
SERVICES = ("lamps", "shop")
Kind = Literal["in process", "rabbit"]


@pytest.fixture
def database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes databases with the tables of messaging; they are dropped after the test."""
    made: list[str] = []

    def make() -> str:
        name = f"yurt_test_{uuid4().hex}"
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(name)
        url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        make_tables(url)
        return url

    yield make
    with psycopg.connect(postgres_url, autocommit=True) as server:
        for name in made:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def lamps(database: Callable[[], str]) -> AsyncIterator[Service]:
    async with opened("lamps", database()) as service:
        yield service


@pytest.fixture
async def shop(database: Callable[[], str]) -> AsyncIterator[Service]:
    async with opened("shop", database()) as service:
        yield service


@dataclass
class Buses:
    """Makes buses of one kind that reach each other (the in-process one only itself)."""

    kind: Kind
    amqp_url: str
    prefix: str
    made: list[Bus] = field(default_factory=list)

    def make(self, policy: RetryPolicy = QUICKLY, url: str | None = None, **options: Any) -> Bus:
        bus: Bus
        if self.kind == "rabbit":
            bus = RabbitBus(url or self.amqp_url, self.prefix, services=SERVICES, policy=policy, **options)
        else:
            bus = InProcessBus(SERVICES, policy)
        self.made.append(bus)
        return bus


@pytest.fixture
async def rabbit(amqp_url: str) -> AsyncIterator[Buses]:
    buses = Buses("rabbit", amqp_url, f"test-{uuid4().hex}")
    yield buses
    await asyncio.gather(*(bus.close() for bus in buses.made))
    await _remove(amqp_url, buses.prefix)


@pytest.fixture(params=["in process", "rabbit"])
async def buses(request: pytest.FixtureRequest) -> AsyncIterator[Buses]:
    """Every test that asks for this passes on both."""
    if request.param == "rabbit":
        url = request.getfixturevalue("amqp_url")
        buses = Buses("rabbit", url, f"test-{uuid4().hex}")
        yield buses
        await asyncio.gather(*(bus.close() for bus in buses.made))
        await _remove(url, buses.prefix)
    else:
        buses = Buses("in process", "", "")
        yield buses
        await asyncio.gather(*(bus.close() for bus in buses.made))


@pytest.fixture
def bus(buses: Buses) -> Bus:
    return buses.make()


async def _remove(url: str, prefix: str) -> None:
    """Takes away what a test declared in the broker."""
    names = Names(prefix)
    consumers = ("light", "sell", "count")
    queues = [names.queue(service, consumer) for service in SERVICES for consumer in consumers]
    queues += [names.dead(service) for service in SERVICES]
    queues += [names.waiting(delay) for delay in QUICKLY.delays]
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
