"""Suspended by an administrator, by a lapse, by both."""

from shared.contracts.licensing import SubscriptionLapsed, SubscriptionRenewed
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


def lapsed(*workplaces: Document, revision: int = 1, subscriber: str = "acme") -> SubscriptionLapsed:
    return SubscriptionLapsed(subscriber=subscriber, workplaces=[identity(w) for w in workplaces], revision=revision)


def renewed(*workplaces: Document, revision: int = 2) -> SubscriptionRenewed:
    return SubscriptionRenewed(subscriber="acme", workplaces=[identity(w) for w in workplaces], revision=revision)


async def seen(service: OneService, workplace: Document) -> tuple[str, str | None]:
    shown = await look(service, workplace)
    return shown["state"], shown["reason"] and shown["reason"]["code"]


async def test_a_suspended_workplace_resumes_to_the_state_it_had(provisioning: OneService) -> None:
    ready, active = await make_ready(provisioning), await make_active(provisioning)
    for workplace, had in ((ready, "ready"), (active, "active")):
        await act(provisioning, workplace, "suspend")
        assert await seen(provisioning, workplace) == ("suspended", "suspended_by_administrator")
        path = f"/workplaces/{workplace['workplace']}/suspend"
        assert await refused(provisioning, "POST", path) == (409, "wrong_state")
        assert (await act(provisioning, workplace, "resume"))["state"] == had


async def test_a_lapse_suspends_what_works_and_a_renewal_resumes_it(provisioning: OneService) -> None:
    ready, active, other = [await make(provisioning) for make in (make_ready, make_active, make_ready)]
    await provisioning.take(lapsed(ready, active))
    assert await seen(provisioning, ready) == ("suspended", "subscription_lapsed")
    assert await seen(provisioning, other) == ("ready", None)
    path = f"/workplaces/{ready['workplace']}/resume"
    assert await refused(provisioning, "POST", path) == (409, "wrong_state")
    await provisioning.take(renewed(ready, active))
    assert await seen(provisioning, ready) == ("ready", None)
    assert await seen(provisioning, active) == ("active", None)


async def test_an_administrators_suspension_survives_the_renewal(provisioning: OneService) -> None:
    before, during = await make_active(provisioning), await make_active(provisioning)
    await act(provisioning, before, "suspend")
    await provisioning.take(lapsed(before, during))
    await act(provisioning, during, "suspend")
    assert await seen(provisioning, during) == ("suspended", "subscription_lapsed")
    await provisioning.take(renewed(before, during))
    assert await seen(provisioning, before) == ("suspended", "suspended_by_administrator")
    assert await seen(provisioning, during) == ("suspended", "suspended_by_administrator")
    assert (await act(provisioning, before, "resume"))["state"] == "active"


async def test_an_administrator_cannot_resume_over_a_lapse(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await act(provisioning, workplace, "suspend")
    await provisioning.take(lapsed(workplace))
    assert (await act(provisioning, workplace, "resume"))["reason"]["code"] == "subscription_lapsed"
    await provisioning.take(renewed(workplace))
    assert await seen(provisioning, workplace) == ("active", None)


async def test_a_renewal_that_overtakes_its_lapse_wins(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await provisioning.take(renewed(workplace, revision=2))
    await provisioning.take(lapsed(workplace, revision=1))
    assert await seen(provisioning, workplace) == ("active", None)
    await provisioning.take(lapsed(workplace, revision=3))
    assert await seen(provisioning, workplace) == ("suspended", "subscription_lapsed")


async def test_a_lapse_during_the_preparation_holds_it_when_it_is_ready(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning)
    await provisioning.take(lapsed(workplace))
    assert await seen(provisioning, workplace) == ("preparing", None)
    await provisioning.take(built(workplace, await wanted_package(provisioning, workplace)))
    assert await seen(provisioning, workplace) == ("suspended", "subscription_lapsed")
    assert (await look(provisioning, workplace))["package"] is not None
    await provisioning.take(renewed(workplace))
    assert await seen(provisioning, workplace) == ("ready", None)


async def test_a_package_built_while_suspended_is_stored_and_the_suspension_holds(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await act(provisioning, workplace, "package", expect=202)
    wanted = await wanted_package(provisioning, workplace)
    await act(provisioning, workplace, "suspend")
    await provisioning.take(built(workplace, wanted))
    shown = await look(provisioning, workplace)
    assert (shown["state"], shown["package"]["id"]) == ("suspended", str(wanted))
    assert (await act(provisioning, workplace, "resume"))["state"] == "active"


async def test_an_activation_that_arrives_while_suspended_is_not_forgotten(provisioning: OneService) -> None:
    workplace = await make_ready(provisioning)
    await act(provisioning, workplace, "suspend")
    await provisioning.take(activated(workplace))
    assert (await act(provisioning, workplace, "resume"))["state"] == "active"


async def test_another_subscribers_lapse_touches_nobody_else(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    await provisioning.take(lapsed(workplace, subscriber="rival"))
    assert await seen(provisioning, workplace) == ("active", None)


async def test_a_lapse_wakes_nothing_that_is_over(provisioning: OneService) -> None:
    workplace = await make_ready(provisioning)
    await provisioning.client.delete(f"/workplaces/{workplace['workplace']}")
    await provisioning.take(lapsed(workplace))
    await provisioning.take(renewed(workplace))
    await provisioning.take(granted(workplace))
    assert await seen(provisioning, workplace) == ("deleted", None)
