"""What only a broker can do to us."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.contracts.envelope import Envelope
from shared.messaging.bus import Bus, BusUnavailable
from shared.messaging.link import Link
from shared.messaging.topology import Names
from shared.runtime.silence import watched_broker
from tests.chaos.outages.line import Line as SilentLine
from tests.integration.messaging.conftest import QUICKLY, Buses
from tests.integration.messaging.events import LampLit
from tests.integration.messaging.line import Line
from tests.integration.messaging.service import PATIENCE, Service
from tests.integration.messaging.test_bus_suite import envelope, start, until_dead


@pytest.fixture
async def line(amqp_url: str) -> AsyncIterator[Line]:
    line = Line(amqp_url)
    await line.mend()
    yield line
    await line.cut()


async def put(buses: Buses, queue: str, body: bytes, **properties: Any) -> None:
    async with await aio_pika.connect(buses.amqp_url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(body, **properties), routing_key=queue)


async def publish_until_it_fails(bus: Bus, event: Envelope) -> None:
    while True:
        await bus.publish(event)


async def test_events_recorded_while_the_broker_is_away_arrive_when_it_is_back(
    rabbit: Buses, line: Line, lamps: Service, shop: Service
) -> None:
    bus = rabbit.make(url=line.url)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="before"))
        await shop.until_effects(1)
        await lamps.until_published()
        await line.cut()
        with pytest.raises(BusUnavailable):
            await publish_until_it_fails(bus, envelope("while it breaks"))
        with pytest.raises(BusUnavailable):
            await bus.dead_letters()
        await lamps.record(*(LampLit(lamp=str(n)) for n in range(20)))
        assert await lamps.outbox() == 20
        await line.mend()
        await lamps.until_published()
        await shop.until("SELECT count(*) FROM effects WHERE lamp <> 'while it breaks'", 21)
    assert await bus.dead_letters() == []


async def test_events_go_on_after_the_line_to_the_broker_was_forgotten_without_a_word(
    rabbit: Buses, amqp_url: str, lamps: Service, shop: Service
) -> None:
    with SilentLine(amqp_url).open() as line:
        bus = rabbit.make(url=watched_broker(line.through(amqp_url), 1))
        await start(bus, lamps, shop, shop.subscribe("light", LampLit))
        async with lamps.relay(bus).running():
            line.cut()
            await lamps.record(LampLit(lamp="a"))
            line.mend(forgetting=1)
            await shop.until_effects(1)
            await lamps.until_published()
        await bus.close()


async def test_a_link_that_is_forgotten_while_it_is_set_up_is_made_again(amqp_url: str) -> None:
    with SilentLine(amqp_url).open() as line:
        times = 0

        async def set_up(connection: AbstractConnection) -> list[AbstractChannel]:
            nonlocal times
            times += 1
            if times == 1:
                line.cut()
                line.mend(forgetting=1)
            return [await connection.channel()]

        link = Link(watched_broker(line.through(amqp_url), 1), "link of the tests", set_up)
        try:
            assert await link.open(PATIENCE)
        finally:
            await link.close()
        assert times == 2


async def test_a_line_that_breaks_again_and_again_loses_and_doubles_nothing(
    rabbit: Buses, line: Line, lamps: Service, shop: Service
) -> None:
    bus = rabbit.make(url=line.url)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(bus).running():
        for some in range(4):
            await lamps.record(*(LampLit(lamp=f"{some} {n}") for n in range(50)))
            await shop.until_called("light", some * 50 + 10)
            await line.cut()
            await line.mend()
        await shop.until_effects(200)
        await lamps.until_published()
    await bus.close()
    assert len(set(await shop.effects())) == len(await shop.effects()) == 200


async def test_a_service_starts_without_a_broker_and_finds_it_later(
    rabbit: Buses, line: Line, lamps: Service, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.rabbit.START_SECONDS", 0.05)
    await line.cut()
    bus = rabbit.make(url=line.url)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await line.mend()
        await shop.until_effects(1)


async def test_an_event_under_way_when_the_line_breaks_is_handled_again_and_has_its_effect_once(
    rabbit: Buses, line: Line, lamps: Service, shop: Service
) -> None:
    go_on = asyncio.Event()

    async def wait(_: AsyncSession, event: LampLit) -> None:
        await go_on.wait()

    bus = rabbit.make(url=line.url)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit, wait))
    await bus.publish(envelope("a"))
    await shop.until_called("light")
    await line.cut()
    await line.mend()
    await shop.until_called("light", 2)
    go_on.set()
    await shop.until_effects(1)
    assert await shop.count("inbox") == 1


async def test_a_message_that_is_no_event_is_laid_aside_and_shown(rabbit: Buses, lamps: Service, shop: Service) -> None:
    bus = rabbit.make()
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    await put(rabbit, Names(rabbit.prefix).queue("shop", "light"), b"\xffnot JSON")
    (letter,) = await until_dead(bus, 1)
    assert letter.reason == "permanent"
    assert letter.envelope.payload == {"unreadable": "�not JSON"}
    assert await bus.replay(letter.id)
    assert [again.id for again in await until_dead(bus, 1)] == [letter.id]


async def test_an_event_nobody_in_the_service_takes_is_laid_aside(rabbit: Buses, lamps: Service, shop: Service) -> None:
    bus = rabbit.make()
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    event = Envelope(name="lamps.other.v1", payload={})
    queue = Names(rabbit.prefix).queue("shop", "light")
    await put(
        rabbit,
        queue,
        b"{}",
        type=event.name,
        message_id=str(event.id),
        headers={"yurt-occurred-at": "2026-01-01T00:00:00Z"},
    )
    (letter,) = await until_dead(bus, 1)
    assert (letter.envelope.id, letter.error) == (event.id, "light takes no lamps.other.v1")


async def test_an_event_that_ends_its_process_each_time_is_dead_without_another_try(
    rabbit: Buses, lamps: Service, shop: Service
) -> None:
    """Four deliveries are broken off by stopping the consumer at once; the fifth finds that there were enough."""
    never = asyncio.Event()

    async def hang(_: AsyncSession, event: LampLit) -> None:
        await never.wait()

    bus = rabbit.make(grace=0)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit, hang))
    await bus.publish(envelope("a"))
    for times in range(1, QUICKLY.attempts + 1):
        await shop.until_called("light", times)
        await bus.stop("shop")
        await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit, hang)])
    (letter,) = await until_dead(bus, 1)
    assert letter.reason == "exhausted"
    assert shop.calls["light"] == QUICKLY.attempts


async def test_a_consumer_handles_as_many_events_at_once_as_it_prefetches(
    rabbit: Buses, lamps: Service, shop: Service
) -> None:
    go_on, at_once, most = asyncio.Event(), 0, 0

    async def note(_: AsyncSession, event: LampLit) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await go_on.wait()
        at_once -= 1

    bus = rabbit.make(prefetch=3)
    await start(bus, lamps, shop, shop.subscribe("light", LampLit, note))
    for n in range(9):
        await bus.publish(envelope(str(n)))
    await shop.until_called("light", 3)
    go_on.set()
    await shop.until_effects(9)
    assert most == 3


async def test_the_dead_letter_carries_its_reason_in_headers(rabbit: Buses, lamps: Service, shop: Service) -> None:
    async def fail(_: AsyncSession, event: LampLit) -> None:
        raise RuntimeError(f"error {shop.calls['light']}")

    bus = rabbit.make()
    await start(bus, lamps, shop, shop.subscribe("light", LampLit, fail))
    await bus.publish(envelope("a"))
    await until_dead(bus, 1)
    await bus.close()
    async with await aio_pika.connect(rabbit.amqp_url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(Names(rabbit.prefix).dead("shop"))
        async with queue.iterator(timeout=PATIENCE) as messages:
            message = await anext(messages)
            await message.ack()
    headers = message.headers
    assert headers["yurt-reason"] == "exhausted"
    assert headers["yurt-consumer"] == "light"
    assert headers["yurt-attempt"] == QUICKLY.attempts
    assert headers["yurt-first-error"] == "RuntimeError: error 1"
    assert headers["yurt-error"] == f"RuntimeError: error {QUICKLY.attempts}"


async def test_two_instances_of_a_service_share_its_events(rabbit: Buses, lamps: Service, shop: Service) -> None:
    one, other = rabbit.make(), rabbit.make()
    await start(one, lamps, shop, shop.subscribe("light", LampLit))
    await start(other, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(one).running(), lamps.relay(other).running():
        await lamps.record(*(LampLit(lamp=str(n)) for n in range(100)))
        await shop.until_effects(100)
        await lamps.until_published()
    assert shop.calls["light"] == 100
