"""The life of a workplace, with events as the other services would send them, in any order and more than once."""

from uuid import uuid4

import pytest

from services.provisioning.fail_stuck import fail_next_stuck
from services.provisioning.settings import WatchdogSettings
from shared.contracts.licensing import SeatRefused
from shared.contracts.provisioning import PackageRequested, WorkplaceChanged, WorkplaceEnded
from shared.contracts.snapshot_builder import BuildFailed, BuildProgressed
from tests.integration.one_service import OneService
from tests.integration.provisioning.office import (
    Document,
    act,
    activated,
    ask,
    built,
    create,
    granted,
    identity,
    look,
    make_active,
    make_preparing,
    make_ready,
    refused,
    wanted_package,
)

PATIENCE = WatchdogSettings(preparation_patience=60).patience()


async def state(service: OneService, workplace: Document) -> str:
    return str((await look(service, workplace))["state"])


async def ends(service: OneService) -> list[str]:
    return [event.outcome for event in await service.recorded(WorkplaceEnded)]


async def test_seat_package_activation(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning, organisations=["7"])
    assert workplace["state"] == "preparing"
    (asked,) = await provisioning.recorded(PackageRequested)
    assert (asked.prefix, asked.organisations, asked.scope_version) == ("A", ["7"], 1)
    await provisioning.take(built(workplace, asked.package))
    ready = await look(provisioning, workplace)
    assert (ready["state"], ready["package"]["id"]) == ("ready", str(asked.package))
    await provisioning.take(activated(workplace))
    assert await state(provisioning, workplace) == "active"
    revisions = [event.revision for event in await provisioning.recorded(WorkplaceChanged)]
    assert revisions == [1, 2, 3, 4]


async def test_every_event_twice_and_under_another_id_changes_nothing_more(provisioning: OneService) -> None:
    workplace = await create(provisioning)
    event_id = uuid4()
    await provisioning.take(granted(workplace), event_id)
    await provisioning.take(granted(workplace), event_id)
    await provisioning.take(granted(workplace))
    package = await wanted_package(provisioning, workplace)
    for event in (built(workplace, package), built(workplace, package), activated(workplace), activated(workplace)):
        await provisioning.take(event)
    assert len(await provisioning.recorded(PackageRequested)) == 1
    assert (await look(provisioning, workplace))["revision"] == 4


async def test_a_refusal_of_licensing_is_shown_with_its_reason(provisioning: OneService) -> None:
    workplace = await create(provisioning)
    refusal = SeatRefused(
        workplace=identity(workplace), subscriber="acme", code="seat_limit_reached", text="All taken."
    )
    await provisioning.take(refusal)
    shown = await look(provisioning, workplace)
    assert (shown["state"], shown["reason"]) == ("refused", {"code": "seat_limit_reached", "text": "All taken."})
    await provisioning.take(granted(workplace))
    assert await state(provisioning, workplace) == "refused"
    assert await ends(provisioning) == []


async def test_a_failed_build_fails_the_workplace_and_gives_the_seat_back(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning)
    package = await wanted_package(provisioning, workplace)
    failure = BuildFailed(workplace=identity(workplace), package_id=package, code="build_failed", text="No space.")
    await provisioning.take(failure)
    await provisioning.take(failure)
    shown = await look(provisioning, workplace)
    assert (shown["state"], shown["reason"]["code"]) == ("failed", "build_failed")
    await provisioning.take(built(workplace, package))
    assert await state(provisioning, workplace) == "failed"
    assert await ends(provisioning) == ["failed"]


async def test_a_delete_while_preparing_ends_it_and_late_events_do_not_wake_it(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning)
    package = await wanted_package(provisioning, workplace)
    gone = await ask(provisioning, "DELETE", f"/workplaces/{workplace['workplace']}")
    assert (gone["state"], gone["package"], gone["reason"]) == ("deleted", None, None)
    for event in (granted(workplace), built(workplace, package), activated(workplace)):
        await provisioning.take(event)
    assert await look(provisioning, workplace) == gone
    assert await ends(provisioning) == ["deleted"]


async def test_a_delete_before_the_answer_of_licensing_orders_no_package(provisioning: OneService) -> None:
    workplace = await create(provisioning)
    await ask(provisioning, "DELETE", f"/workplaces/{workplace['workplace']}")
    await provisioning.take(granted(workplace))
    assert await provisioning.recorded(PackageRequested) == []
    assert await ends(provisioning) == ["deleted"]


@pytest.mark.parametrize("what", ["suspend", "resume", "reissue", "package", "PATCH", "DELETE"])
async def test_a_deleted_workplace_can_only_be_looked_at(provisioning: OneService, what: str) -> None:
    workplace = await create(provisioning)
    path = f"/workplaces/{workplace['workplace']}"
    await ask(provisioning, "DELETE", path)
    call = (what, path, {"name": "x"}) if what.isupper() else ("POST", f"{path}/{what}", None)
    assert await refused(provisioning, *call) == (410, "workplace_deleted")
    assert await state(provisioning, workplace) == "deleted"


@pytest.mark.parametrize("what", ["suspend", "resume", "reissue", "package"])
async def test_what_the_state_does_not_allow_is_refused(provisioning: OneService, what: str) -> None:
    workplace = await make_preparing(provisioning)
    path = f"/workplaces/{workplace['workplace']}/{what}"
    assert await refused(provisioning, "POST", path) == (409, "wrong_state")
    assert await look(provisioning, workplace) == workplace


async def test_an_unknown_workplace_is_not_found(provisioning: OneService) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "x"} if method == "PATCH" else None
        assert await refused(provisioning, method, f"/workplaces/{uuid4()}", body) == (404, "not_found")
    await provisioning.take(granted({"workplace": str(uuid4())}))


async def test_from_an_order_on_only_the_package_ordered_last_is_offered(provisioning: OneService) -> None:
    workplace = await make_active(provisioning)
    first = await act(provisioning, workplace, "package", expect=202)
    superseded = await wanted_package(provisioning, workplace)
    assert (first["state"], first["package"]) == ("active", None)
    await act(provisioning, workplace, "reissue", expect=202)
    wanted = await wanted_package(provisioning, workplace)
    await provisioning.take(built(workplace, superseded))
    assert (await look(provisioning, workplace))["package"] is None
    await provisioning.take(built(workplace, wanted))
    shown = await look(provisioning, workplace)
    assert (shown["state"], shown["package"]["id"]) == ("active", str(wanted))


async def test_a_new_package_that_fails_leaves_the_workplace_as_it_was(provisioning: OneService) -> None:
    workplace = await make_ready(provisioning)
    await act(provisioning, workplace, "package", expect=202)
    package = await wanted_package(provisioning, workplace)
    failure = BuildFailed(workplace=identity(workplace), package_id=package, code="build_failed", text="No space.")
    await provisioning.take(failure)
    shown = await look(provisioning, workplace)
    assert (shown["state"], shown["reason"]["code"], shown["package"]) == (
        "ready",
        "build_failed",
        workplace["package"],
    )
    assert await ends(provisioning) == []
    assert (await act(provisioning, workplace, "package", expect=202))["reason"] is None


async def test_a_preparation_without_a_sign_is_given_up_and_gives_the_seat_back(provisioning: OneService) -> None:
    workplaces = [await create(provisioning), await make_preparing(provisioning)]
    lively = await make_preparing(provisioning)
    done = await make_ready(provisioning)
    await provisioning.execute("UPDATE workplaces SET last_sign_at = now() - interval '61 seconds'")
    progress = BuildProgressed(
        workplace=identity(lively),
        package_id=await wanted_package(provisioning, lively),
        phase="reading",
        done=1,
        total=2,
    )
    await provisioning.take(progress)
    given_up = 0
    async with provisioning.sessions.begin() as session:
        while await fail_next_stuck(session, PATIENCE):
            given_up += 1
    assert given_up == 2
    for workplace in workplaces:
        shown = await look(provisioning, workplace)
        assert (shown["state"], shown["reason"]["code"]) == ("failed", "preparation_timed_out")
    assert await ends(provisioning) == ["failed", "failed"]
    assert await look(provisioning, lively) == lively
    assert await state(provisioning, done) == "ready"


async def test_progress_of_another_package_is_no_sign(provisioning: OneService) -> None:
    workplace = await make_preparing(provisioning)
    await provisioning.execute("UPDATE workplaces SET last_sign_at = now() - interval '1 hour'")
    event = BuildProgressed(workplace=identity(workplace), package_id=uuid4(), phase="reading", done=1, total=2)
    await provisioning.take(event)
    async with provisioning.sessions.begin() as session:
        assert await fail_next_stuck(session, PATIENCE)
