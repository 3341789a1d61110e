"""Fewer seats than are held: a grace for all, then the newest are suspended until the number fits."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.licensing.settle_due import settle_due
from shared.contracts.licensing import SeatGranted, SeatRefused, SeatsReduced, SeatsRestored, SubscriptionRenewed
from shared.contracts.provisioning import WorkplaceEnded, WorkplaceRequested
from tests.integration.one_service import OneService

YESTERDAY = str(datetime.now(UTC).date() - timedelta(days=1))


async def subscribe(licensing: OneService, plan: str = "prof", **terms: Any) -> dict[str, Any]:
    body = {"plan": plan, "extra_seats": 0, "valid_until": None, "local_licence": True} | terms
    answer = await licensing.client.put("/subscriptions/acme", json=body)
    assert answer.status_code in {200, 201}, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def subscription(licensing: OneService) -> dict[str, Any]:
    document: dict[str, Any] = (await licensing.client.get("/subscriptions/acme")).json()
    return document


async def hold(licensing: OneService, seats: int) -> list[UUID]:
    """Workplaces that hold seats, the oldest first."""
    workplaces = [uuid4() for _ in range(seats)]
    for workplace in workplaces:
        await licensing.take(WorkplaceRequested(workplace=workplace, application="books", subscriber="acme"))
    return workplaces


async def end(licensing: OneService, workplace: UUID) -> None:
    await licensing.take(WorkplaceEnded(workplace=workplace, subscriber="acme", outcome="deleted"))


async def let_the_grace_pass(licensing: OneService) -> None:
    await licensing.execute("UPDATE subscriptions SET grace_until = now() WHERE grace_until IS NOT NULL")
    await settle_due(licensing.sessions)


async def suspended(licensing: OneService) -> dict[UUID, str]:
    """Who is suspended for what, as one knows who has heard of every event in whatever order."""
    heard: dict[UUID, tuple[int, str | None]] = {}
    events: Sequence[SeatsReduced | SeatsRestored] = [
        *await licensing.recorded(SeatsReduced),
        *await licensing.recorded(SeatsRestored),
    ]
    for event in sorted(events, key=lambda event: event.revision):
        for workplace in event.workplaces:
            heard[workplace] = (event.revision, event.code if isinstance(event, SeatsReduced) else None)
    return {workplace: code for workplace, (_, code) in heard.items() if code}


def days_left(document: dict[str, Any]) -> float:
    left = datetime.fromisoformat(document["grace_until"]) - datetime.now(UTC)
    return round(left / timedelta(days=1), 2)


async def test_a_downgrade_tells_who_is_over_and_until_when_and_takes_nothing_away(licensing: OneService) -> None:
    await subscribe(licensing)
    await hold(licensing, 4)
    document = await subscribe(licensing, "optimal")
    assert (document["limit"], document["used"], document["over"]) == (2, 4, 2)
    assert days_left(document) == 14
    await settle_due(licensing.sessions)
    assert await subscription(licensing) == document
    assert await licensing.recorded(SeatsReduced) == []


async def test_after_the_grace_the_newest_go_and_come_back_the_oldest_first(licensing: OneService) -> None:
    await subscribe(licensing)
    first, second, third, fourth = await hold(licensing, 4)
    await subscribe(licensing, "optimal")
    await let_the_grace_pass(licensing)
    assert await suspended(licensing) == {third: "seats_reduced", fourth: "seats_reduced"}
    document = await subscription(licensing)
    assert (document["used"], document["over"], document["grace_until"]) == (4, 2, None)
    await end(licensing, first)
    assert await suspended(licensing) == {fourth: "seats_reduced"}
    await subscribe(licensing, "optimal", extra_seats=1)
    assert await suspended(licensing) == {}
    document = await subscription(licensing)
    assert (document["limit"], document["used"], document["over"]) == (3, 3, 0)
    assert [event.workplaces for event in await licensing.recorded(SeatsRestored)] == [[third], [fourth]]
    assert second not in {w for event in await licensing.recorded(SeatsReduced) for w in event.workplaces}


async def test_nothing_new_is_granted_while_over_in_the_grace_and_after_it(licensing: OneService) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 4)
    await subscribe(licensing, "optimal")
    await hold(licensing, 1)
    await let_the_grace_pass(licensing)
    await hold(licensing, 1)
    for workplace in held[:2]:
        await end(licensing, workplace)
    await hold(licensing, 1)
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["seat_limit_reached"] * 3
    assert await suspended(licensing) == {}
    await end(licensing, held[2])
    await hold(licensing, 1)
    assert len(await licensing.recorded(SeatGranted)) == 5


async def test_seats_bought_back_in_the_grace_end_it_and_the_next_reduction_has_its_own(licensing: OneService) -> None:
    await subscribe(licensing, "prof", extra_seats=2)
    await hold(licensing, 7)
    assert (await subscribe(licensing, "prof"))["over"] == 2
    await licensing.execute("UPDATE subscriptions SET grace_until = now() + interval '1 day'")
    assert days_left(await subscribe(licensing, "prof", extra_seats=1)) == 1
    assert days_left(await subscribe(licensing, "prof", extra_seats=1)) == 1
    assert days_left(await subscribe(licensing, "prof", extra_seats=0)) == 14
    assert (await subscribe(licensing, "prof", extra_seats=2))["grace_until"] is None
    await let_the_grace_pass(licensing)
    assert await licensing.recorded(SeatsReduced) == []


async def test_deletions_in_the_grace_end_it_when_the_number_fits(licensing: OneService) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 3)
    await subscribe(licensing, "optimal")
    await end(licensing, held[2])
    assert (await subscription(licensing))["grace_until"] is None
    await let_the_grace_pass(licensing)
    assert await licensing.recorded(SeatsReduced) == []


async def test_a_reduction_after_the_grace_has_a_grace_of_its_own(licensing: OneService) -> None:
    await subscribe(licensing)
    first, *others = await hold(licensing, 4)
    await subscribe(licensing, "optimal")
    await let_the_grace_pass(licensing)
    document = await subscribe(licensing, "starter")
    assert (document["over"], days_left(document)) == (3, 14)
    assert set(await suspended(licensing)) == set(others[1:])
    await let_the_grace_pass(licensing)
    assert set(await suspended(licensing)) == set(others)
    assert first not in await suspended(licensing)


async def test_a_withdrawn_local_licence_is_a_reduction_to_nothing(licensing: OneService) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 3)
    document = await subscribe(licensing, local_licence=False)
    assert (document["limit"], document["used"], document["over"]) == (5, 3, 3)
    assert days_left(document) == 14
    await hold(licensing, 1)
    assert [event.code for event in await licensing.recorded(SeatRefused)] == ["local_licence_required"]
    await let_the_grace_pass(licensing)
    assert await suspended(licensing) == dict.fromkeys(held, "local_licence_required")
    assert (await subscribe(licensing))["over"] == 0
    assert await suspended(licensing) == {}


async def test_a_licence_that_comes_back_with_fewer_seats_tells_the_rest_what_they_wait_for(
    licensing: OneService,
) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 3)
    await subscribe(licensing, local_licence=False)
    await let_the_grace_pass(licensing)
    await subscribe(licensing, "starter")
    assert await suspended(licensing) == dict.fromkeys(held[1:], "seats_reduced")
    await subscribe(licensing, "starter", local_licence=False)
    assert await suspended(licensing) == dict.fromkeys(held[1:], "local_licence_required")
    assert (await subscription(licensing))["grace_until"] is not None


async def test_without_a_grace_the_newest_go_at_once(licensing: OneService) -> None:
    licensing.app.state.downgrade_grace = timedelta(0)
    await subscribe(licensing)
    held = await hold(licensing, 2)
    document = await subscribe(licensing, "starter")
    assert (document["over"], document["grace_until"]) == (1, None)
    assert await suspended(licensing) == {held[1]: "seats_reduced"}


async def test_a_lapse_in_the_grace_and_the_reduction_are_settled_apart(licensing: OneService) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 3)
    await subscribe(licensing, "optimal", valid_until=YESTERDAY)
    assert (await subscription(licensing))["over"] == 1
    await let_the_grace_pass(licensing)
    assert await suspended(licensing) == {held[2]: "seats_reduced"}
    await subscribe(licensing, "optimal")
    (renewal,) = await licensing.recorded(SubscriptionRenewed)
    assert set(renewal.workplaces) == set(held)
    assert await suspended(licensing) == {held[2]: "seats_reduced"}


async def test_another_subscribers_reduction_touches_nobody_else(licensing: OneService) -> None:
    body = {"plan": "prof", "extra_seats": 0, "local_licence": True}
    await licensing.client.put("/subscriptions/rival", json=body)
    rivals = [uuid4(), uuid4()]
    for workplace in rivals:
        await licensing.take(WorkplaceRequested(workplace=workplace, application="shop", subscriber="rival"))
    await subscribe(licensing)
    held = await hold(licensing, 2)
    await subscribe(licensing, "starter")
    await let_the_grace_pass(licensing)
    assert set(await suspended(licensing)) == {held[1]}
    assert (await licensing.client.get("/subscriptions/rival")).json()["over"] == 0


async def test_several_instances_reduce_once(licensing: OneService) -> None:
    await subscribe(licensing)
    held = await hold(licensing, 4)
    await subscribe(licensing, "optimal")
    await licensing.execute("UPDATE subscriptions SET grace_until = now()")
    await asyncio.gather(*(settle_due(licensing.sessions) for _ in range(8)))
    (reduction,) = await licensing.recorded(SeatsReduced)
    assert reduction.workplaces == held[2:]


async def test_changes_ends_requests_and_the_clock_at_once_leave_exactly_what_fits(licensing: OneService) -> None:
    licensing.app.state.downgrade_grace = timedelta(0)
    await subscribe(licensing, extra_seats=15)
    held = await hold(licensing, 20)
    at_once = [subscribe(licensing, extra_seats=extra) for extra in (0, 3, 1, 12, 0, 7, 2, 15)]
    at_once += [subscribe(licensing, local_licence=licence) for licence in (False, True)]
    ends = [end(licensing, workplace) for workplace in held[::3]]
    clocks = [settle_due(licensing.sessions) for _ in range(8)]
    await asyncio.gather(*at_once, *ends, *clocks, hold(licensing, 3))
    document = await subscribe(licensing, "optimal", extra_seats=4)
    await settle_due(licensing.sessions)
    assert document["limit"] == 6
    waiting = await suspended(licensing)
    living = [workplace for workplace in held if workplace not in held[::3]]
    granted = {event.workplace for event in await licensing.recorded(SeatGranted)} - set(held)
    assert document["used"] == len(living) + len(granted)
    assert [workplace for workplace in living if workplace not in waiting] == living[:6]
    assert set(waiting) - set(held[::3]) == {*living[6:], *granted}
    assert set(waiting.values()) <= {"seats_reduced", "local_licence_required"}
    assert {waiting[workplace] for workplace in living[6:]} == {"seats_reduced"}
