"""Problems through the public door: talked about, decided, opened again, each by those who may."""

from typing import Any

import psycopg
import pytest

from tests.integration.sync_gateway.conftest import operate
from tests.integration.sync_gateway.stand import API, PASSWORD, Stand, code
from tests.integration.sync_gateway.test_exchanges import ORDER, Client, active, edit, put

Headers = dict[str, str]


class Trouble:
    """A conflict about the note of an order: `cloud` in the service, `field` in the workplace of vera."""

    def __init__(self, stand: Stand, client: Client, workplace: str, problem: str) -> None:
        self.stand, self.client, self.workplace = stand, client, workplace
        self.path = f"{API}/problems/{problem}"

    async def get(self, headers: Headers) -> Any:
        answer = await self.stand.client.get(self.path, headers=headers)
        return answer.json() if answer.status_code == 200 else code(answer)

    async def post(self, what: str, body: dict[str, Any], headers: Headers, **more: str) -> Any:
        """The problem, or what refuses it."""
        given = headers | {name.replace("_", "-"): value for name, value in more.items()}
        answer = await self.stand.client.post(f"{self.path}/{what}", json=body, headers=given)
        return answer.json() if answer.status_code in {200, 201} else code(answer)

    def note(self) -> str:
        with psycopg.connect(self.stand.application_url) as connection:
            row = connection.execute("SELECT note FROM orders WHERE id = %s", [ORDER]).fetchone()
        return str(row and row[0])


@pytest.fixture
async def trouble(stand: Stand) -> Trouble:
    await operate(stand, "applications/trade/users/vera", {"full_name": "Vera", "role": "user", "password": PASSWORD})
    client, workplace = await active(stand, users=["vera"])
    edit(stand, f"UPDATE orders SET note = 'cloud' WHERE id = '{ORDER}'")
    exchange = (await client.open(pending=1)).json()["id"]
    body = put(ORDER, client.position, "field", {"note": "order 2"}, number="C-2")
    (result,) = (await client.push(exchange, 1, body)).json()["results"]
    return Trouble(stand, client, workplace, result["problem"])


async def test_who_may_read_a_problem_may_comment_on_it_and_nobody_else(stand: Stand, trouble: Trouble) -> None:
    anna, vera, boris = [await stand.sign_in(login) for login in ("anna", "vera", "boris")]
    for caller, login in ((vera, "vera"), (anna, "anna"), (trouble.client.headers, "anna")):
        found = await trouble.post("comments", {"text": f"said {len(login)}"}, caller)
        assert found["comments"][-1]["by"] == login
        assert await trouble.get(caller) == found
    assert found["state"] == "open"
    assert len(found["comments"]) == 3
    listed = await stand.client.get(f"{API}/workplaces/{trouble.workplace}/problems", headers=vera)
    assert listed.json()["items"] == [found]
    for body in ({"text": ""}, {"text": "x" * 2001}, {}, {"text": "x", "state": "accepted"}):
        assert await trouble.post("comments", body, anna) == (422, "invalid_request")
    assert await trouble.get(boris) == await trouble.post("comments", {"text": "me too"}, boris) == (404, "not_found")


async def test_a_comment_sent_twice_under_one_key_is_said_once(stand: Stand, trouble: Trouble) -> None:
    anna = await stand.sign_in("anna")
    for _ in range(2):
        found = await trouble.post("comments", {"text": "once"}, anna, Idempotency_Key="k1")
        again = await trouble.post("comments", {"text": "offline"}, trouble.client.headers, Idempotency_Key="k1")
        assert ([said["text"] for said in found["comments"]][:1], len(again["comments"])) == (["once"], 2)
    mismatch = await trouble.post("comments", {"text": "other"}, anna, Idempotency_Key="k1")
    assert mismatch == (422, "idempotency_mismatch")


async def test_an_administrator_decides_reopens_and_decides_otherwise(stand: Stand, trouble: Trouble) -> None:
    anna, vera = await stand.sign_in("anna"), await stand.sign_in("vera")
    assert await trouble.post("reopening", {}, anna) == (409, "not_resolved")
    for turn, note in enumerate(("field", "cloud", "field")):
        edit(stand, f"UPDATE orders SET number = 'N-{turn}', note = 'somebody' WHERE id = '{ORDER}'")
        decided = await trouble.post("resolution", {"choice": "rejected", "comment": f"turn {turn}"}, anna)
        assert (decided["state"], decided["comment"], trouble.note()) == ("rejected", f"turn {turn}", note)
        assert await trouble.post("reopening", {}, vera) == (403, "not_permitted")
        assert await trouble.post("reopening", {}, trouble.client.headers) == (403, "wrong_token_kind")
        found = await trouble.post("reopening", {"comment": "wait"}, anna)
        assert (found["state"], found["in_force"], found["resolved_by"]) == ("open", decided["in_force"], None)
        assert trouble.note() == note
    assert [event["action"] for event in found["history"]] == ["rejected", "reopened"] * 3
    assert {event["by"] for event in found["history"]} == {"anna"}
    assert all(event["at"].endswith("Z") for event in found["history"])


async def test_a_problem_of_a_deleted_workplace_is_still_decided_and_commented(stand: Stand, trouble: Trouble) -> None:
    anna = await stand.sign_in("anna")
    await stand.client.delete(f"{API}/workplaces/{trouble.workplace}", headers=anna)
    assert (await trouble.post("comments", {"text": "late"}, anna))["comments"][0]["text"] == "late"
    assert (await trouble.post("resolution", {"choice": "rejected"}, anna))["in_force"] == "workplace"
    assert (await trouble.post("reopening", {}, anna))["state"] == "open"
    assert trouble.note() == "field"


async def test_another_workplaces_problem_is_unknown_to_a_replica(stand: Stand, trouble: Trouble) -> None:
    anna = await stand.sign_in("anna")
    other = await stand.create_workplace(anna)
    await stand.build_package(other["id"])
    sister = await stand.activate(other["id"], replica="replica-2")
    assert await trouble.get(sister) == (404, "not_found")
    assert await trouble.post("comments", {"text": "not mine"}, sister) == (404, "not_found")
    no_uuid = await stand.client.get(f"{API}/problems/1", headers=sister)
    assert code(no_uuid) == (404, "not_found")
