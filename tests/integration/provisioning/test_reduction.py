"""Suspended because the subscription has fewer seats than workplaces: a cause by itself, beside the others."""

import pytest

from shared.contracts.licensing import ReductionCode, SeatsReduced, SeatsRestored
from tests.integration.one_service import OneService
from tests.integration.provisioning.office import (
    Document,
    act,
    activated,
    built,
    granted,
    identity,
    look,
    make_active,
    make_preparing,
    make_ready,
    refused,
    wanted_package,
)
from tests.integration.provisioning.test_suspension import lapsed, renewed, seen


def reduced(
    *workplaces: Document, revision: int = 1, subscriber: str = "acme", code: ReductionCode = "seats_reduced"
) -> SeatsReduced:
    named = [identity(workplace) for workplace in workplaces]
    return SeatsReduced(subscriber=subscriber, workplaces=named, code=code, revision=revision)


def restored(*workplaces: Document, revision: int = 2) -> SeatsRestored:
    return SeatsRestored(subscriber="acme", workplaces=[identity(w) for w in workplaces], revision=revision)


@pytest.mark.parametrize("lack", ["seats_reduced", "local_licence_required"])
async def test_a_reduction_suspends_who_is_named_and_a_restoration_resumes(
    provisioning: OneService, lack: ReductionCode
) -> None:
    ready, active, other = [await make(provisioning) for make in (make_ready, make_active, make_ready)]
    await provisioning.take(reduced(ready, active, code=lack))
    assert await seen(provisioning, ready) == ("suspended", lack)
    assert await seen(provisioning, active) == ("suspended", lack)
    assert (await look(provisioning, active))["package"] is not None
    assert await seen(provisioning, other) == ("ready", None)
    assert await refused(provisioning, "POST", f"/workplaces/{ready['workplace']}/resume") == (409, "wrong_state")
    await provisioning.take(restored(ready, active))
    assert await seen(provisioning, ready) == ("ready", None)
    assert await seen(provisioning, active) == ("active", None)


async def test_an_administrators_suspension_survives_the_restoration(provisioning: OneService) -> None:
    before, during = await make_active(provisioning), await make_active(provisioning)
    await act(provisioning, before, "suspend")
    await provisioning.take(reduced(before, during))
    await act(provisioning, during, "suspend")
    assert await seen(provisioning, before) == ("suspended", "seats_reduced")
    await provisioning.take(restored(before, during))
    for workplace in (before, during):
        assert await seen(provisioning, workplace) == ("suspended", "suspended_by_administrator")
        assert (await act(provisioning, workplace, "resume"))["state"] == "active"


async def test_an_administrator_cannot_resume_over_a_reduction(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await act(provisioning, workplace, "suspend")
    await provisioning.take(reduced(workplace))
    assert (await act(provisioning, workplace, "resume"))["reason"]["code"] == "seats_reduced"
    await provisioning.take(restored(workplace))
    assert await seen(provisioning, workplace) == ("active", None)


async def test_a_renewal_resumes_only_who_has_a_seat(provisioning: OneService) -> None:
    fits, beyond = await make_active(provisioning), await make_active(provisioning)
    await provisioning.take(lapsed(fits, beyond))
    await provisioning.take(reduced(beyond))
    assert await seen(provisioning, beyond) == ("suspended", "subscription_lapsed")
    await provisioning.take(renewed(fits, beyond))
    assert await seen(provisioning, fits) == ("active", None)
    assert await seen(provisioning, beyond) == ("suspended", "seats_reduced")
    await provisioning.take(lapsed(fits, beyond, revision=3))
    await provisioning.take(restored(beyond))
    assert await seen(provisioning, beyond) == ("suspended", "subscription_lapsed")
    await provisioning.take(renewed(fits, beyond, revision=4))
    assert await seen(provisioning, beyond) == ("active", None)


async def test_one_that_lacks_another_thing_now_says_so(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await provisioning.take(reduced(workplace))
    await provisioning.take(reduced(workplace, code="local_licence_required", revision=2))
    assert await seen(provisioning, workplace) == ("suspended", "local_licence_required")


async def test_a_restoration_that_overtakes_its_reduction_wins(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await provisioning.take(restored(workplace, revision=2))
    await provisioning.take(reduced(workplace, revision=1))
    assert await seen(provisioning, workplace) == ("active", None)
    await provisioning.take(reduced(workplace, revision=3))
    assert await seen(provisioning, workplace) == ("suspended", "seats_reduced")


async def test_a_reduction_during_the_preparation_holds_it_when_it_is_ready(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning)
    await provisioning.take(reduced(workplace))
    assert await seen(provisioning, workplace) == ("preparing", None)
    await provisioning.take(built(workplace, await wanted_package(provisioning, workplace)))
    assert await seen(provisioning, workplace) == ("suspended", "seats_reduced")
    await provisioning.take(activated(workplace))
    await provisioning.take(restored(workplace))
    assert await seen(provisioning, workplace) == ("active", None)


async def test_another_subscribers_reduction_touches_nobody_else_and_wakes_nothing_that_is_over(
    provisioning: OneService,
) -> None:
    workplace = await make_active(provisioning)
    await provisioning.take(reduced(workplace, subscriber="rival"))
    assert await seen(provisioning, workplace) == ("active", None)
    await provisioning.client.delete(f"/workplaces/{workplace['workplace']}")
    for event in (reduced(workplace), restored(workplace), granted(workplace)):
        await provisioning.take(event)
    assert await seen(provisioning, workplace) == ("deleted", None)
