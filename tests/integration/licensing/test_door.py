"""What the door of licensing lets through."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.one_service import OneService

TERMS: dict[str, Any] = {"plan": "prof", "extra_seats": 2, "valid_until": "2999-12-31", "local_licence": True}


async def test_a_subscription_is_concluded_changed_and_read(licensing: OneService) -> None:
    assert (await licensing.client.get("/subscriptions/acme")).status_code == 404
    concluded = await licensing.client.put("/subscriptions/acme", json=TERMS)
    assert (concluded.status_code, concluded.json()) == (
        201,
        TERMS | {"subscriber": "acme", "limit": 7, "used": 0, "lapsed": False, "over": 0, "grace_until": None},
    )
    changed = await licensing.client.put("/subscriptions/acme", json=TERMS | {"plan": "starter", "valid_until": None})
    assert (changed.status_code, changed.json()["limit"]) == (200, 3)
    assert (await licensing.client.get("/subscriptions/acme")).json() == changed.json()


@pytest.mark.parametrize(
    "wrong",
    [
        {"plan": "gold"},
        {"extra_seats": -1},
        {"extra_seats": 10**12},
        {"extra_seats": "2"},
        {"extra_seats": True},
        {"valid_until": "31.12.2999"},
        {"local_licence": None},
        {"surprise": 1},
    ],
)
async def test_terms_that_make_no_sense_are_refused_as_a_problem(licensing: OneService, wrong: dict[str, Any]) -> None:
    answer = await licensing.client.put("/subscriptions/acme", json=TERMS | wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("code", ["ACME", "a" * 64, "-a", "a%00b", "a%20b"])
async def test_a_code_has_its_alphabet(licensing: OneService, code: str) -> None:
    answer = await licensing.client.put(f"/subscriptions/{code}", json=TERMS)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_without_the_service_token_only_health_answers(licensing: OneService) -> None:
    nobody = {"Authorization": "Bearer somebody-elses"}
    assert (await licensing.client.get("/subscriptions/acme", headers=nobody)).status_code == 401
    assert (await licensing.client.put("/subscriptions/acme", json=TERMS, headers=nobody)).status_code == 401
    assert (await licensing.client.get("/health/live", headers=nobody)).status_code == 200
    assert (await licensing.client.get("/health/ready", headers=nobody)).status_code == 200


async def test_a_seat_is_taken_back_at_the_door_once_and_never_given_again(licensing: OneService) -> None:
    await licensing.client.put("/subscriptions/acme", json=TERMS)
    door = f"/subscriptions/acme/seats/{uuid4()}"
    for _ in range(2):
        assert (await licensing.client.delete(door)).status_code == 204
    assert (await licensing.client.get("/subscriptions/acme")).json()["used"] == 0
