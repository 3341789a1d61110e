"""Workplaces through the public door."""

import asyncio
import json
from typing import Any

from tests.integration.sync_gateway.stand import API, OPERATOR, Stand, code


async def test_a_workplace_is_requested_built_and_ready(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    answer = await stand.client.post(f"{API}/applications/trade/workplaces", json={}, headers=anna)
    assert answer.status_code == 202
    requested = answer.json()
    assert set(requested) == {
        *("id", "name", "application", "state", "reason", "progress", "organisations", "users", "prefix"),
        *("package", "last_exchange", "unsent", "created_at"),
    }
    assert requested["users"] == ["anna"]
    assert requested["organisations"] is None
    preparing = await stand.reaching(requested["id"], lambda document: document["state"] == "preparing")
    assert preparing["progress"] == {"phase": "waiting", "done": 0, "total": 0}
    package = await stand.build_package(requested["id"])
    ready = await stand.reaching(requested["id"], lambda document: document["state"] == "ready")
    assert ready["package"]["size"] == package.size
    assert set(ready["package"]) == {"filename", "size", "sha256", "expires_at"}
    listed = (await stand.client.get(f"{API}/applications/trade/workplaces", headers=anna)).json()
    assert listed == {"items": [ready], "next": None}


async def test_organisations_are_checked_against_the_application(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = f"{API}/applications/trade/workplaces"
    unknown = await stand.client.post(path, json={"organisations": ["north", "west"]}, headers=anna)
    assert code(unknown) == (422, "unknown_organisation")
    assert unknown.json()["organisations"] == ["west"]
    empty = await stand.client.post(path, json={"organisations": []}, headers=anna)
    assert code(empty) == (422, "invalid_request")
    created = await stand.create_workplace(anna, organisations=["north"])
    changed = await stand.client.patch(f"{API}/workplaces/{created['id']}", json={"organisations": None}, headers=anna)
    assert changed.json()["organisations"] is None
    refused = await stand.client.patch(
        f"{API}/workplaces/{created['id']}", json={"organisations": ["west"]}, headers=anna
    )
    assert code(refused) == (422, "unknown_organisation")


async def test_a_repeated_request_with_its_key_makes_one_workplace(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = f"{API}/applications/trade/workplaces"
    headers = anna | {"Idempotency-Key": "once"}
    first = await stand.client.post(path, json={"name": "Till"}, headers=headers)
    again = await stand.client.post(path, json={"name": "Till"}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    other = await stand.client.post(path, json={"name": "Shop"}, headers=headers)
    assert code(other) == (422, "idempotency_mismatch")


async def test_a_third_seat_is_refused_with_a_reason(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    for _ in range(2):
        await stand.create_workplace(anna)
    third = await stand.create_workplace(anna)
    assert third["state"] == "refused"
    assert third["reason"]["code"] == "seat_limit_reached"
    package = await stand.client.get(f"{API}/workplaces/{third['id']}/package", headers=anna)
    assert code(package) == (409, "package_not_ready")


async def test_a_watcher_sees_every_state_until_the_workplace_is_ready(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.create_workplace(anna)
    path = f"{API}/workplaces/{workplace['id']}/events"
    watching = asyncio.create_task(stand.client.get(path, headers=anna))
    await stand.build_package(workplace["id"])
    answer = await asyncio.wait_for(watching, 30)
    assert answer.headers["content-type"].startswith("text/event-stream")
    shown = _events(answer.text)
    assert shown[-1]["state"] == "ready"
    assert shown == sorted(shown, key=lambda document: ["preparing", "ready"].index(document["state"]))


def _events(text: str) -> list[dict[str, Any]]:
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    assert all(block[0] == "event: workplace" for block in blocks if not block[0].startswith(":"))
    return [json.loads(line.removeprefix("data: ")) for block in blocks for line in block if line.startswith("data: ")]


async def test_a_deleted_workplace_is_gone_for_good(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna)
    path = f"{API}/workplaces/{workplace['id']}"
    assert (await stand.client.delete(path, headers=anna)).json()["state"] == "deleted"
    assert code(await stand.client.get(f"{path}/package", headers=anna)) == (410, "workplace_deleted")
    assert code(await stand.client.delete(path, headers=anna)) == (410, "workplace_deleted")
    seats = (await stand.client.get(f"{API}/applications/trade", headers=anna)).json()["seats"]
    assert seats["limit"] == 2


async def test_pages_follow_one_another_without_gap_or_overlap(stand: Stand) -> None:
    await operate_again(stand)
    anna = await stand.sign_in("anna")
    made = [(await stand.create_workplace(anna))["id"] for _ in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": "2"} | ({"after": after} if after else {})
        page = (await stand.client.get(f"{API}/applications/trade/workplaces", params=params, headers=anna)).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == made
    bad = await stand.client.get(f"{API}/applications/trade/workplaces", params={"after": "x"}, headers=anna)
    assert code(bad) == (422, "invalid_request")


async def operate_again(stand: Stand) -> None:
    body = {"name": "Acme", "plan": "prof", "extra_seats": 5, "valid_until": None, "local_licence": True}
    answer = await stand.client.put("/operator/v1/subscribers/acme", json=body, headers=OPERATOR)
    assert answer.status_code == 200
    assert answer.json() | body == answer.json()


async def test_a_user_sees_the_workplaces_he_is_listed_in_and_changes_none(stand: Stand) -> None:
    anna, boris = await stand.sign_in("anna"), await stand.sign_in("boris")
    own = await stand.create_workplace(anna, users=["boris"])
    other = await stand.create_workplace(anna)
    listed = (await stand.client.get(f"{API}/applications/trade/workplaces", headers=boris)).json()["items"]
    assert [item["id"] for item in listed] == [own["id"]]
    assert (await stand.client.get(f"{API}/workplaces/{own['id']}", headers=boris)).status_code == 200
    assert code(await stand.client.get(f"{API}/workplaces/{other['id']}", headers=boris)) == (404, "not_found")
    for attempt in (
        stand.client.patch(f"{API}/workplaces/{own['id']}", json={"name": "Mine"}, headers=boris),
        stand.client.delete(f"{API}/workplaces/{own['id']}", headers=boris),
        stand.client.post(f"{API}/workplaces/{own['id']}/suspend", headers=boris),
        stand.client.post(f"{API}/applications/trade/workplaces", json={}, headers=boris),
        stand.client.get(f"{API}/applications/trade", headers=boris),
    ):
        assert code(await attempt) == (403, "not_permitted")


async def test_an_administrator_sees_how_many_are_over_and_until_when(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    for _ in range(2):
        await stand.ready_workplace(anna)
    terms = {"name": "Acme", "plan": "starter", "extra_seats": 0, "valid_until": None, "local_licence": True}
    put = (await stand.client.put("/operator/v1/subscribers/acme", json=terms, headers=OPERATOR)).json()
    assert put["over"] == 1
    shown = (await stand.client.get(f"{API}/applications/trade", headers=anna)).json()["seats"]
    assert shown == {"limit": 1, "used": 2, "over": 1, "grace_until": put["grace_until"]}
    read = (await stand.client.get("/operator/v1/subscribers/acme", headers=OPERATOR)).json()
    assert (read["over"], read["grace_until"]) == (1, put["grace_until"])


async def test_a_lapse_suspends_and_a_renewal_resumes(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna)
    terms = {"name": "Acme", "plan": "optimal", "extra_seats": 0, "local_licence": True}
    lapsed = await stand.client.put(
        "/operator/v1/subscribers/acme", json=terms | {"valid_until": "2020-01-31"}, headers=OPERATOR
    )
    assert lapsed.status_code == 200
    suspended = await stand.reaching(workplace["id"], lambda document: document["state"] == "suspended")
    assert suspended["reason"]["code"] == "subscription_lapsed"
    await stand.client.put("/operator/v1/subscribers/acme", json=terms | {"valid_until": None}, headers=OPERATOR)
    await stand.reaching(workplace["id"], lambda document: document["state"] == "ready")
