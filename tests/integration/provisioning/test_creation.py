"""A workplace is asked for: name, people, organisations, prefix."""

import asyncio
from typing import Any

import pytest

from shared.contracts.provisioning import WorkplaceChanged, WorkplaceRequested
from tests.integration.one_service import OneService
from tests.integration.provisioning.office import APPLICATION, ask, create, identity, look, make_ready, refused

WORKPLACES = "/applications/books/workplaces"


async def test_a_new_workplace_is_requested_and_everybody_is_told(provisioning: OneService) -> None:
    workplace = await create(provisioning)
    assert workplace["state"] == "requested"
    assert workplace["name"] == "Автономное рабочее место 1"
    assert (workplace["prefix"], workplace["revision"], workplace["scope_version"]) == ("A", 1, 1)
    assert (workplace["users"], workplace["organisations"]) == (["anna"], None)
    (requested,) = await provisioning.recorded(WorkplaceRequested)
    assert (requested.workplace, requested.subscriber) == (identity(workplace), "acme")
    (changed,) = await provisioning.recorded(WorkplaceChanged)
    assert changed.model_dump(mode="json") == workplace == await look(provisioning, workplace)


async def test_the_creator_is_always_among_the_users(provisioning: OneService) -> None:
    workplace = await create(provisioning, users=["boris", "robot"], name=" Магазин ")
    assert set(workplace["users"]) == {"anna", "boris", "robot"}
    assert workplace["name"] == "Магазин"


async def test_two_hundred_workplaces_at_once_have_two_hundred_prefixes_and_names(provisioning: OneService) -> None:
    made = await asyncio.gather(*(create(provisioning) for _ in range(200)))
    assert len({workplace["prefix"] for workplace in made}) == 200
    assert len({workplace["name"] for workplace in made}) == 200


async def test_a_default_name_that_somebody_gave_by_hand_is_left_out(provisioning: OneService) -> None:
    await create(provisioning, name="Автономное рабочее место 2")
    assert (await create(provisioning))["name"] == "Автономное рабочее место 3"


async def test_prefixes_go_on_after_a_workplace_and_the_application_itself_are_gone(provisioning: OneService) -> None:
    first = await create(provisioning)
    await ask(provisioning, "DELETE", f"/workplaces/{first['workplace']}")
    assert (await create(provisioning))["prefix"] == "B"
    await ask(provisioning, "DELETE", "/applications/books", expect=204)
    await ask(provisioning, "PUT", "/applications/books", APPLICATION, expect=201)
    person = {"full_name": "Анна", "role": "administrator"}
    await ask(provisioning, "PUT", "/applications/books/users/anna", person, expect=201)
    again = await create(provisioning)
    assert (again["prefix"], again["name"]) == ("C", "Автономное рабочее место 3")


async def test_applications_count_apart(provisioning: OneService) -> None:
    await ask(provisioning, "PUT", "/applications/other", APPLICATION, expect=201)
    person = {"full_name": "Анна", "role": "user"}
    await ask(provisioning, "PUT", "/applications/other/users/anna", person, expect=201)
    await create(provisioning)
    assert (await create(provisioning, "other"))["prefix"] == "A"


async def test_the_same_idempotency_key_gives_the_same_workplace(provisioning: OneService) -> None:
    headers = {"Idempotency-Key": "k1"}
    posts = (provisioning.client.post(WORKPLACES, json={"created_by": "anna"}, headers=headers) for _ in range(20))
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["workplace"] for answer in answers}) == 1
    assert len(await provisioning.recorded(WorkplaceRequested)) == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"users": ["ghost"]}, "unknown_user"),
        ({"created_by": "ghost"}, "unknown_user"),
        ({"organisations": []}, "invalid_request"),
        ({"organisations": ["\0"]}, "invalid_request"),
        ({"organisations": "all"}, "invalid_request"),
        ({"name": " "}, "invalid_request"),
        ({"name": "a\0b"}, "invalid_request"),
        ({"name": "a" * 101}, "invalid_request"),
        ({"users": ["Анна"]}, "invalid_request"),
        ({"prefix": "ZZ"}, "invalid_request"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_made(
    provisioning: OneService, wrong: dict[str, Any], code: str
) -> None:
    assert await refused(provisioning, "POST", WORKPLACES, {"created_by": "anna"} | wrong) == (422, code)
    assert await provisioning.recorded(WorkplaceRequested) == []
    assert (await create(provisioning))["prefix"] == "A"


async def test_an_application_without_organisations_has_none_to_choose(provisioning: OneService) -> None:
    await ask(provisioning, "PUT", "/applications/books", APPLICATION | {"organisations_declared": False})
    wishes = {"created_by": "anna", "organisations": ["1"]}
    assert await refused(provisioning, "POST", WORKPLACES, wishes) == (422, "invalid_request")
    assert (await create(provisioning))["organisations"] is None


async def test_the_list_comes_in_pages_without_deleted_ones(provisioning: OneService) -> None:
    made = [await create(provisioning) for _ in range(5)]
    await ask(provisioning, "DELETE", f"/workplaces/{made[1]['workplace']}")
    first = await ask(provisioning, "GET", f"{WORKPLACES}?limit=2")
    second = await ask(provisioning, "GET", f"{WORKPLACES}?limit=2&after={first['next']}")
    assert [w["prefix"] for w in first["items"] + second["items"]] == ["A", "C", "D", "E"]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "after=abc", "after=-1", "after=%00", "after=9999999999"])
async def test_marks_and_limits_are_checked(provisioning: OneService, query: str) -> None:
    assert await refused(provisioning, "GET", f"{WORKPLACES}?{query}") == (422, "invalid_request")


async def test_other_organisations_raise_the_version_of_the_scope(provisioning: OneService) -> None:
    workplace = await make_ready(provisioning, organisations=["1", "2"])
    path = f"/workplaces/{workplace['workplace']}"
    wider = await ask(provisioning, "PATCH", path, {"organisations": ["1", "2", "3"]})
    assert (wider["scope_version"], wider["organisations"]) == (2, ["1", "2", "3"])
    same = await ask(provisioning, "PATCH", path, {"organisations": ["3", "2", "1"]})
    assert same == wider
    everything = await ask(provisioning, "PATCH", path, {"organisations": None})
    assert (everything["scope_version"], everything["organisations"]) == (3, None)
    renamed = await ask(provisioning, "PATCH", path, {"name": "Склад", "users": ["boris"]})
    assert (renamed["scope_version"], renamed["name"]) == (3, "Склад")
    assert set(renamed["users"]) == {"anna", "boris"}
    assert renamed["revision"] == everything["revision"] + 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"users": ["ghost"]}, "unknown_user"),
        ({"users": None}, "invalid_request"),
        ({"name": None}, "invalid_request"),
        ({"organisations": []}, "invalid_request"),
        ({"state": "active"}, "invalid_request"),
    ],
)
async def test_a_wrong_change_changes_nothing(provisioning: OneService, wrong: dict[str, Any], code: str) -> None:
    workplace = await create(provisioning)
    path = f"/workplaces/{workplace['workplace']}"
    assert await refused(provisioning, "PATCH", path, wrong) == (422, code)
    assert await look(provisioning, workplace) == workplace
