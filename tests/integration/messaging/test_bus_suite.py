"""What every bus holds; each test runs on the in-process bus and on RabbitMQ."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.contracts.envelope import Envelope
from shared.messaging.bus import Bus, BusUnavailable
from shared.messaging.consumer import Permanent, Subscription
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.outbox import record
from tests.integration.messaging.conftest import QUICKLY, Buses
from tests.integration.messaging.events import LampLit, LampSold
from tests.integration.messaging.service import PATIENCE, Service


async def start(bus: Bus, lamps: Service, shop: Service, *subscriptions: Subscription[Any]) -> None:
    await bus.start(lamps.name, lamps.sessions, [])
    await bus.start(shop.name, shop.sessions, subscriptions)


async def until_dead(bus: Bus, count: int) -> list[DeadLetter]:
    """The dead letters once there are so many. A queue tells nobody of its content: one can only ask again."""
    async with asyncio.timeout(PATIENCE):
        while len(letters := await bus.dead_letters()) != count:
            pass
    return letters


def envelope(lamp: str) -> Envelope:
    return Envelope(name=LampLit.wire_name, payload={"lamp": lamp})


async def test_a_recorded_event_reaches_its_subscriber(bus: Bus, lamps: Service, shop: Service) -> None:
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
        await lamps.until_published()
    assert await shop.effects() == ["light a"]


async def test_every_consumer_of_every_service_gets_the_event(bus: Bus, lamps: Service, shop: Service) -> None:
    await bus.start(lamps.name, lamps.sessions, [lamps.subscribe("count", LampLit)])
    subscriptions = [
        shop.subscribe("light", LampLit),
        shop.subscribe("count", LampLit),
        shop.subscribe("sell", LampSold),
    ]
    await bus.start(shop.name, shop.sessions, subscriptions)
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(2)
        await lamps.until_effects(1)
    assert await shop.effects() == ["count a", "light a"]


async def test_one_consumer_may_take_several_kinds_of_events(bus: Bus, lamps: Service, shop: Service) -> None:
    await start(bus, lamps, shop, shop.subscribe("count", LampLit), shop.subscribe("count", LampSold))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"), LampSold(lamp="b"))
        await shop.until_effects(2)
    assert await shop.effects() == ["count a", "count b"]


async def test_an_event_published_twice_has_its_effect_once(bus: Bus, lamps: Service, shop: Service) -> None:
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    event = envelope("a")
    await asyncio.gather(bus.publish(event), bus.publish(event), bus.publish(event))
    await bus.publish(envelope("b"))
    await shop.until("SELECT count(*) FROM inbox", 2)
    await bus.stop("shop")
    assert await shop.effects() == ["light a", "light b"]


async def test_an_event_of_nobody_is_done(bus: Bus, lamps: Service, shop: Service) -> None:
    await start(bus, lamps, shop)
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until_published()


async def test_nothing_is_published_before_every_service_was_there(bus: Bus, lamps: Service, shop: Service) -> None:
    await bus.start(lamps.name, lamps.sessions, [])
    with pytest.raises(BusUnavailable, match="shop"):
        await bus.publish(envelope("a"))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit)])
        await shop.until_effects(1)


async def test_a_transient_error_is_retried_with_growing_delays_until_it_succeeds(
    bus: Bus, lamps: Service, shop: Service
) -> None:
    loop, times = asyncio.get_running_loop(), list[float]()

    async def fail_three_times(_: AsyncSession, event: LampLit) -> None:
        times.append(loop.time())
        if len(times) <= 3:
            raise RuntimeError("not yet")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, fail_three_times))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
        await lamps.until_published()
    waited = [later - earlier for earlier, later in pairwise(times)]
    assert len(waited) == 3
    assert all(real >= least * 0.9 for real, least in zip(waited, QUICKLY.delays, strict=True)), waited
    assert await bus.dead_letters() == []


async def test_an_event_whose_attempts_are_exhausted_becomes_a_dead_letter_with_its_reason(
    bus: Bus, lamps: Service, shop: Service
) -> None:
    async def fail(_: AsyncSession, event: LampLit) -> None:
        raise RuntimeError("the lamp is broken")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, fail))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        (letter,) = await until_dead(bus, 1)
        await lamps.until_published()
    assert (letter.service, letter.consumer, letter.reason) == ("shop", "light", "exhausted")
    assert "the lamp is broken" in letter.error
    assert letter.attempts == QUICKLY.attempts == shop.calls["light"]
    assert letter.envelope.name == LampLit.wire_name
    assert letter.envelope.payload == {"lamp": "a"}
    assert await shop.effects() == []


async def test_a_permanent_error_is_not_retried(bus: Bus, lamps: Service, shop: Service) -> None:
    async def refuse(_: AsyncSession, event: LampLit) -> None:
        raise Permanent("no such lamp")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, refuse))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        (letter,) = await until_dead(bus, 1)
    assert (letter.reason, letter.error, letter.attempts) == ("permanent", "no such lamp", 1)
    assert shop.calls["light"] == 1


async def test_a_payload_that_is_no_such_event_is_permanent_and_shows_no_values(
    bus: Bus, lamps: Service, shop: Service
) -> None:
    await start(bus, lamps, shop, shop.subscribe("light", LampLit))
    await bus.publish(Envelope(name=LampLit.wire_name, payload={"lamp": {"secret": 1}}))
    (letter,) = await until_dead(bus, 1)
    assert letter.reason == "permanent"
    assert "lamp" in letter.error
    assert "secret" not in letter.error


async def test_a_replayed_dead_letter_is_handled_by_its_consumer_alone(bus: Bus, lamps: Service, shop: Service) -> None:
    broken = True

    async def fail_while_broken(_: AsyncSession, event: LampLit) -> None:
        if broken:
            raise Permanent("broken")

    subscriptions = [shop.subscribe("light", LampLit, fail_while_broken), shop.subscribe("count", LampLit)]
    await start(bus, lamps, shop, *subscriptions)
    for lamp in ("a", "b"):
        await bus.publish(envelope(lamp))
    letters = await until_dead(bus, 2)
    await shop.until_effects(2)
    broken = False
    chosen, other = letters
    assert await bus.replay(chosen.id)
    await shop.until_effects(3)
    assert [letter.id for letter in await until_dead(bus, 1)] == [other.id]
    assert shop.calls["count"] == 2
    assert not await bus.replay(chosen.id), "it is not there any more"


async def test_a_replay_that_fails_again_is_a_dead_letter_again(bus: Bus, lamps: Service, shop: Service) -> None:
    async def refuse(_: AsyncSession, event: LampLit) -> None:
        raise Permanent(f"refused {shop.calls['light']} times")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, refuse))
    await bus.publish(envelope("a"))
    (first,) = await until_dead(bus, 1)
    assert await bus.replay(first.id)
    await shop.until_called("light", 2)
    (second,) = await until_dead(bus, 1)
    assert (second.id, second.error) == (first.id, "refused 2 times")


async def test_the_handler_commits_together_with_its_inbox_entry(bus: Bus, lamps: Service, shop: Service) -> None:
    """The effect is written before the first attempt fails: outside of the transaction it would stand twice."""

    async def fail_first(_: AsyncSession, event: LampLit) -> None:
        if shop.calls["light"] == 1:
            assert await shop.count("inbox") == 0
            assert await shop.count("effects") == 0
            raise RuntimeError("after the effect")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, fail_first))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
    assert await shop.count("inbox") == 1


async def test_an_event_recorded_by_a_handler_is_published_with_its_effect(
    bus: Bus, lamps: Service, shop: Service
) -> None:
    async def sell(session: AsyncSession, event: LampLit) -> None:
        await record(session, LampSold(lamp=event.lamp))
        if shop.calls["light"] == 1:
            raise RuntimeError("the first sale falls through")

    await bus.start(lamps.name, lamps.sessions, [lamps.subscribe("sell", LampSold)])
    await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit, sell)])
    async with lamps.relay(bus).running(), shop.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await lamps.until_effects(1)
        await lamps.until_published()
        await shop.until_published()
    assert lamps.calls["sell"] == 1


async def test_a_consumer_that_fails_does_not_hold_up_another(bus: Bus, lamps: Service, shop: Service) -> None:
    async def fail(_: AsyncSession, event: LampLit) -> None:
        raise RuntimeError("never")

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, fail), shop.subscribe("count", LampLit))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
        await until_dead(bus, 1)
        await lamps.until_published()
    assert shop.calls["count"] == 1, "a redelivery for the other's sake does not reach the handler"


async def test_a_handler_cut_off_by_stopping_leaves_its_event_to_come_again(
    buses: Buses, lamps: Service, shop: Service
) -> None:
    entered, never = asyncio.Event(), asyncio.Event()

    async def hang(_: AsyncSession, event: LampLit) -> None:
        entered.set()
        await never.wait()

    bus = buses.make()
    await start(bus, lamps, shop, shop.subscribe("light", LampLit, hang))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await asyncio.wait_for(entered.wait(), PATIENCE)
    await bus.close()
    assert await shop.effects() == []
    again = buses.make()
    await start(again, lamps, shop, shop.subscribe("light", LampLit))
    async with lamps.relay(again).running():
        await shop.until_effects(1)
        await lamps.until_published()


async def test_a_lost_database_does_not_use_up_attempts(bus: Bus, lamps: Service, shop: Service) -> None:
    async def cut_the_connection(session: AsyncSession, event: LampLit) -> None:
        if shop.calls["light"] <= QUICKLY.attempts + 2:
            await (await session.connection()).execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await start(bus, lamps, shop, shop.subscribe("light", LampLit, cut_the_connection))
    async with lamps.relay(bus).running():
        await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
    assert shop.calls["light"] == QUICKLY.attempts + 3
    assert await bus.dead_letters() == []
