"""What the relay holds, whatever the bus does."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

from shared.contracts.envelope import Envelope
from shared.messaging.bus import BusUnavailable, InProcessBus, NotDelivered
from shared.messaging.outbox import Outbox, record
from shared.messaging.relay import Pace
from tests.integration.messaging.conftest import QUICKLY, SERVICES
from tests.integration.messaging.events import LampLit
from tests.integration.messaging.service import PATIENCE, QUICK, Service

ONLY_WOKEN = Pace(idle=3600)


class Noted(InProcessBus):
    """A bus of no subscribers that notes what is published, after doing what `answer` does."""

    def __init__(self, answer: Callable[[Envelope, int], Any] | None = None) -> None:
        super().__init__(())
        self.published: Counter[UUID] = Counter()
        self.attempts: list[int] = []
        self.happened = asyncio.Condition()
        self._answer = answer

    async def publish(self, envelope: Envelope, attempt: int = 1) -> None:
        self.attempts.append(attempt)
        try:
            if self._answer is not None and (wait := self._answer(envelope, attempt)) is not None:
                await wait
            self.published[envelope.id] += 1
        finally:
            async with self.happened:
                self.happened.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self.happened:
            await self.happened.wait_for(condition)


async def test_a_committed_event_survives_a_crash_before_it_is_published(lamps: Service) -> None:
    await lamps.record(LampLit(lamp="a"))
    bus = Noted()
    async with lamps.relay(bus).running():
        await lamps.until_published()
    assert bus.published.total() == 1


async def test_an_event_of_a_transaction_rolled_back_is_never_published(lamps: Service) -> None:
    bus = Noted()
    async with lamps.relay(bus).running():
        async with lamps.sessions() as session:
            await record(session, LampLit(lamp="never"))
            await session.rollback()
        await lamps.record(LampLit(lamp="a"))
        await lamps.until_published()
    assert bus.published.total() == 1


async def test_a_commit_wakes_the_relay(lamps: Service) -> None:
    """Many times, as it may happen to look by itself just then."""
    bus = Noted()
    async with lamps.relay(bus, ONLY_WOKEN).running():
        for times in range(1, 21):
            await lamps.record(LampLit(lamp="a"))
            await bus.until(partial(lambda times: bus.published.total() == times, times))
            await lamps.until_published()


async def test_a_relay_whose_connections_were_cut_hears_the_next_commit(lamps: Service) -> None:
    bus = Noted()
    async with lamps.relay(bus, Pace(idle=3600, pause_first=0.01)).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until_published()
        with psycopg.connect(lamps.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await lamps.record(LampLit(lamp="b"))
        await bus.until(lambda: bus.published.total() == 2)


async def test_what_a_dead_relay_held_is_taken_over_when_its_lease_ends(lamps: Service) -> None:
    await lamps.record(LampLit(lamp="a"))
    held = await Outbox(lamps.engine, timedelta(seconds=0.3)).claim(10)
    assert len(held) == 1
    bus = Noted()
    async with lamps.relay(bus).running():
        assert await Outbox(lamps.engine, timedelta(seconds=1)).claim(10) == [], "nobody takes it before"
        await bus.until(lambda: bus.published.total() == 1)
    assert bus.attempts == [2], "the dead one's attempt counts"


async def test_several_relays_publish_nothing_twice(lamps: Service) -> None:
    events = 400
    bus = Noted(lambda envelope, attempt: asyncio.sleep(0))
    async with AsyncExitStack() as relays:
        for _ in range(4):
            await relays.enter_async_context(lamps.relay(bus).running())
        for _ in range(10):
            await lamps.record(*(LampLit(lamp=str(n)) for n in range(events // 10)))
        await lamps.until_published()
    assert len(bus.published) == events
    assert set(bus.published.values()) == {1}


async def test_a_slow_publication_keeps_its_lease(lamps: Service) -> None:
    done = asyncio.Event()
    slow = Noted(lambda envelope, attempt: done.wait())
    pace = Pace(lease=0.3, idle=0.05)
    async with lamps.relay(slow, pace).running(), lamps.relay(slow, pace).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until("SELECT count(*) FROM outbox WHERE due_at > occurred_at + interval '1 second'", 1)
        done.set()
        await lamps.until_published()
    assert slow.attempts == [1]


async def test_while_the_bus_is_away_events_wait_and_lose_no_attempt(lamps: Service) -> None:
    away = True

    def answer(envelope: Envelope, attempt: int) -> None:
        if away:
            raise BusUnavailable("away")

    bus = Noted(answer)
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"), LampLit(lamp="b"))
        await bus.until(lambda: len(bus.attempts) >= 10)
        assert bus.published.total() == 0
        assert await lamps.outbox() == 2
        away = False
        await lamps.until_published()
    assert set(bus.attempts) == {1}
    assert set(bus.published.values()) == {1}


async def test_an_event_not_delivered_waits_alone_as_long_as_the_bus_says(lamps: Service) -> None:
    def answer(envelope: Envelope, attempt: int) -> None:
        if envelope.payload["lamp"] == "slow" and attempt < 3:
            raise NotDelivered(0.05, "not yet", counted=True)

    bus = Noted(answer)
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="slow"), LampLit(lamp="a"), LampLit(lamp="b"))
        await lamps.until_published()
    assert bus.published.total() == 3
    assert sorted(bus.attempts) == [1, 1, 1, 2, 3]


async def test_an_unforeseen_error_of_the_bus_loses_nothing(lamps: Service) -> None:
    def answer(envelope: Envelope, attempt: int) -> None:
        if len(bus.attempts) == 1:
            raise KeyError("a bug")

    bus = Noted(answer)
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until_published()
    assert bus.attempts == [1, 1]


async def test_what_a_stopped_relay_held_is_due_at_once(lamps: Service) -> None:
    """Stopped the moment the claim is committed: sometimes before the relay itself has heard of it."""
    never = asyncio.Event()
    stuck = Noted(lambda envelope, attempt: never.wait())
    outbox = Outbox(lamps.engine, timedelta(seconds=60))
    for _ in range(15):
        await lamps.record(LampLit(lamp="a"))
        async with lamps.relay(stuck).running():
            await lamps.until("SELECT attempts FROM outbox", 1)
        (again,) = await outbox.claim(10)
        assert again.attempt == 1
        await outbox.settle([again.envelope.id], [])


async def test_no_transaction_stays_open_while_the_bus_takes_its_time(lamps: Service) -> None:
    never = asyncio.Event()
    stuck = Noted(lambda envelope, attempt: never.wait())
    async with lamps.relay(stuck).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until("SELECT attempts FROM outbox", 1)
        await lamps.until(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
            0,
        )


async def test_an_event_that_ends_its_process_each_time_is_dead_without_another_try(
    lamps: Service, shop: Service
) -> None:
    bus = InProcessBus(SERVICES, QUICKLY)
    await bus.start(lamps.name, lamps.sessions, [])
    await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit)])
    await lamps.record(LampLit(lamp="a"))
    for _ in range(QUICKLY.attempts):  # claimed, and never heard of again
        await Outbox(lamps.engine, timedelta(0)).claim(1)
    async with lamps.relay(bus).running():
        await lamps.until_published()
    (letter,) = await bus.dead_letters()
    assert letter.reason == "exhausted"
    assert shop.calls["light"] == 0
    await bus.close()


async def test_a_service_that_does_not_take_part_cannot_start(lamps: Service) -> None:
    with pytest.raises(ValueError, match="does not take part"):
        await InProcessBus(["shop"]).start("lamps", lamps.sessions, [])


async def test_a_handler_that_does_not_end_is_cut_off_when_its_service_stops(lamps: Service, shop: Service) -> None:
    never = asyncio.Event()

    async def hang(session: Any, event: LampLit) -> None:
        await never.wait()

    bus = InProcessBus(SERVICES, QUICKLY, grace=0.05)
    await bus.start(lamps.name, lamps.sessions, [])
    await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit, hang)])
    async with lamps.relay(bus, QUICK).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_called("light")
        await bus.stop("shop")
        await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit)])
        await shop.until_effects(1)
        await lamps.until_published()
