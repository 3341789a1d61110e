"""Seats are granted once, never oversold, and come back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.licensing.settle_due import settle_due
from shared.contracts.licensing import SeatGranted, SeatRefused, SeatReleased, SubscriptionLapsed, SubscriptionRenewed
from shared.contracts.provisioning import WorkplaceEnded, WorkplaceRequested
from tests.integration.one_service import OneService

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)


async def subscribe(licensing: OneService, plan: str = "prof", **terms: Any) -> dict[str, Any]:
    body = {"plan": plan, "extra_seats": 0, "valid_until": None, "local_licence": True} | terms
    answer = await licensing.client.put("/subscriptions/acme", json=body)
    assert answer.status_code in {200, 201}, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def used(licensing: OneService) -> int:
    return int((await licensing.client.get("/subscriptions/acme")).json()["used"])


def requested(workplace: UUID | None = None, subscriber: str = "acme") -> WorkplaceRequested:
    return WorkplaceRequested(workplace=workplace or uuid4(), application="books", subscriber=subscriber)


def ended(workplace: UUID) -> WorkplaceEnded:
    return WorkplaceEnded(workplace=workplace, subscriber="acme", outcome="deleted")


async def test_fifty_requests_for_the_last_seat_give_exactly_one(licensing: OneService) -> None:
    await subscribe(licensing, "optimal")
    await licensing.take(requested())
    await asyncio.gather(*(licensing.take(requested()) for _ in range(50)))
    assert len(await licensing.recorded(SeatGranted)) == 2
    refused = await licensing.recorded(SeatRefused)
    assert [event.code for event in refused] == ["seat_limit_reached"] * 49
    assert await used(licensing) == 2


async def test_the_same_request_fifty_times_takes_one_seat_and_is_answered_each_time(
    licensing: OneService,
) -> None:
    await subscribe(licensing)
    event = requested()
    await asyncio.gather(*(licensing.take(event) for _ in range(50)))
    assert {answer.workplace for answer in await licensing.recorded(SeatGranted)} == {event.workplace}
    assert len(await licensing.recorded(SeatGranted)) == 50
    assert await used(licensing) == 1


async def test_a_refused_workplace_stays_refused_when_a_seat_becomes_free(licensing: OneService) -> None:
    await subscribe(licensing, "starter")
    holder, late = requested(), requested()
    await licensing.take(holder)
    await licensing.take(late)
    await licensing.take(ended(holder.workplace))
    await licensing.take(late)
    assert [event.workplace for event in await licensing.recorded(SeatRefused)] == [late.workplace] * 2
    assert await used(licensing) == 0


async def test_an_ended_workplace_frees_its_seat_once(licensing: OneService) -> None:
    await subscribe(licensing, "starter")
    first, second = requested(), requested()
    await licensing.take(first)
    await licensing.take(ended(first.workplace))
    await licensing.take(second)
    await licensing.take(ended(first.workplace))
    assert [event.workplace for event in await licensing.recorded(SeatReleased)] == [first.workplace]
    assert await used(licensing) == 1


async def test_an_end_that_comes_first_leaves_nothing_to_grant(licensing: OneService) -> None:
    await subscribe(licensing)
    event = requested()
    await licensing.take(ended(event.workplace))
    await licensing.take(event)
    assert await licensing.recorded(SeatGranted) == []
    assert await licensing.recorded(SeatRefused) == []
    assert await licensing.recorded(SeatReleased) == []
    assert await used(licensing) == 0


async def test_request_and_end_at_the_same_moment_leave_no_seat_behind(licensing: OneService) -> None:
    await subscribe(licensing, extra_seats=100)
    events = [requested() for _ in range(25)]
    both = [licensing.take(event) for event in events] + [licensing.take(ended(e.workplace)) for e in events]
    await asyncio.gather(*both)
    assert await used(licensing) == 0
    granted = {event.workplace for event in await licensing.recorded(SeatGranted)}
    assert granted == {event.workplace for event in await licensing.recorded(SeatReleased)}


async def test_without_a_local_licence_nothing_is_granted(licensing: OneService) -> None:
    await subscribe(licensing, local_licence=False)
    await licensing.take(requested())
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["local_licence_required"]


async def test_an_unknown_subscriber_gets_an_answer_too(licensing: OneService) -> None:
    await licensing.take(requested(subscriber="nobody"))
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["subscription_lapsed"]


async def test_nothing_is_granted_the_day_after_the_last_valid_date(licensing: OneService) -> None:
    await subscribe(licensing, valid_until=str(YESTERDAY))
    await licensing.take(requested())
    await subscribe(licensing, valid_until=str(TODAY))
    await licensing.take(requested())
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["subscription_lapsed"]
    assert len(await licensing.recorded(SeatGranted)) == 1


async def test_a_lapse_names_who_holds_seats_and_a_renewal_exactly_those_that_still_do(licensing: OneService) -> None:
    await subscribe(licensing)
    stays, goes, comes = requested(), requested(), requested()
    await licensing.take(stays)
    await licensing.take(goes)
    await licensing.execute("UPDATE subscriptions SET valid_until = :day", day=YESTERDAY)
    await settle_due(licensing.sessions)
    await settle_due(licensing.sessions)
    (lapse,) = await licensing.recorded(SubscriptionLapsed)
    assert set(lapse.workplaces) == {stays.workplace, goes.workplace}
    assert (await licensing.client.get("/subscriptions/acme")).json()["lapsed"] is True

    await licensing.take(ended(goes.workplace))
    await licensing.take(comes)
    assert (await subscribe(licensing, valid_until=str(TODAY)))["lapsed"] is False
    (renewal,) = await licensing.recorded(SubscriptionRenewed)
    assert renewal.workplaces == [stays.workplace]
    assert renewal.revision > lapse.revision


async def test_several_instances_announce_a_lapse_once(licensing: OneService) -> None:
    await subscribe(licensing)
    await licensing.execute("UPDATE subscriptions SET valid_until = :day", day=YESTERDAY)
    await asyncio.gather(*(settle_due(licensing.sessions) for _ in range(8)))
    assert len(await licensing.recorded(SubscriptionLapsed)) == 1


async def test_a_put_into_the_past_lapses_at_once(licensing: OneService) -> None:
    await subscribe(licensing)
    assert (await subscribe(licensing, valid_until=str(YESTERDAY)))["lapsed"] is True
    assert len(await licensing.recorded(SubscriptionLapsed)) == 1


async def test_a_smaller_plan_takes_no_seat_away_and_grants_no_more(licensing: OneService) -> None:
    await subscribe(licensing, "prof")
    for _ in range(3):
        await licensing.take(requested())
    document = await subscribe(licensing, "starter")
    assert (document["limit"], document["used"]) == (1, 3)
    await licensing.take(requested())
    assert len(await licensing.recorded(SeatGranted)) == 3
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["seat_limit_reached"]


async def test_fifty_puts_at_once_make_one_subscription(licensing: OneService) -> None:
    body = {"plan": "prof", "extra_seats": 1, "local_licence": True}
    puts = (licensing.client.put("/subscriptions/acme", json=body) for _ in range(50))
    answers = [answer.status_code for answer in await asyncio.gather(*puts)]
    assert sorted(answers) == [200] * 49 + [201]
