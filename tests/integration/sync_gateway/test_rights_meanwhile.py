"""Rights and licences that change between two requests of one replica: nothing is applied, nothing is lost."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.integration.sync_gateway.conftest import SUBSCRIPTION, operate
from tests.integration.sync_gateway.stand import API, OPERATOR, PASSWORD, Stand, bearer, code
from tests.integration.sync_gateway.test_exchanges import Client, checked, put

VERA: dict[str, Any] = {"full_name": "Vera", "role": "user", "password": PASSWORD}
NEW = "another horse"


class Sending(NamedTuple):
    """vera's replica in the middle of an exchange: opened, with a message that is not pushed yet."""

    client: Client
    workplace: str
    exchange: str
    key: str

    async def push(self, exchange: str | None = None) -> httpx.Response:
        body = put(self.key, None, "written offline")
        return await self.client.push(exchange or self.exchange, 1, body)


@pytest.fixture
async def sending(stand: Stand) -> Sending:
    await operate(stand, "applications/trade/users/vera", VERA)
    workplace = await stand.create_workplace(await stand.sign_in("anna"), users=["vera"])
    package = await stand.build_package(workplace["id"])
    client = Client(stand, await stand.activate(workplace["id"], "vera"), package)
    exchange = (await client.open(pending=1)).json()["id"]
    return Sending(client, workplace["id"], exchange, str(uuid4()))


def stored(stand: Stand, key: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stand.application_url) as connection:
        return connection.execute("SELECT note FROM orders WHERE id = %s", [key]).fetchall()


async def operator(stand: Stand, method: str, path: str, body: Any = None) -> None:
    answer = await stand.client.request(method, f"/operator/v1/{path}", json=body, headers=OPERATOR)
    assert answer.status_code in {200, 201, 204}, answer.text


async def activate(stand: Stand, sending: Sending, password: str) -> httpx.Response:
    claim = {"login": "vera", "password": password, "replica_id": "replica-1", "program": "tests/1.0"}
    return await stand.client.post(f"{API}/workplaces/{sending.workplace}/activation", json=claim)


async def arrives_once(stand: Stand, sending: Sending) -> None:
    """After the right is back, the held message is sent as it is, and then once more."""
    opened = (await sending.client.open(pending=1, sending=1)).json()
    assert opened["next_message"] == 1
    first, again = [(await sending.push(opened["id"])).json() for _ in range(2)]
    assert first == again
    assert first["counts"]["applied"] == 1
    lines = checked((await sending.client.pull(opened["id"])).content)
    assert lines[-1]["end"] is True
    assert stored(stand, sending.key) == [("written offline",)]


async def test_edits_of_who_was_taken_off_the_workplace_arrive_when_he_is_back(stand: Stand, sending: Sending) -> None:
    anna = await stand.sign_in("anna")
    path = f"{API}/workplaces/{sending.workplace}"
    await stand.client.patch(path, json={"users": []}, headers=anna)
    assert code(await sending.push()) == (401, "not_authenticated")
    assert code(await activate(stand, sending, PASSWORD)) == (403, "not_permitted")
    assert stored(stand, sending.key) == []
    await stand.client.patch(path, json={"users": ["vera"]}, headers=anna)
    assert code(await sending.push()) == (401, "not_authenticated")  # the token is gone, the right is not
    sending.client.headers = bearer((await activate(stand, sending, PASSWORD)).json()["token"])
    await arrives_once(stand, sending)


async def test_edits_of_a_dismissed_user_arrive_when_he_is_admitted_again(stand: Stand, sending: Sending) -> None:
    await operator(stand, "DELETE", "applications/trade/users/vera")
    assert code(await sending.push()) == (401, "not_authenticated")
    assert code(await sending.client.open(pending=1)) == (401, "not_authenticated")
    assert code(await activate(stand, sending, PASSWORD)) == (401, "wrong_credentials")
    assert stored(stand, sending.key) == []
    await operator(stand, "PUT", "applications/trade/users/vera", VERA)
    anna = await stand.sign_in("anna")
    path = f"{API}/workplaces/{sending.workplace}"
    assert (await stand.client.patch(path, json={"users": ["vera"]}, headers=anna)).status_code == 200
    sending.client.headers = bearer((await activate(stand, sending, PASSWORD)).json()["token"])
    await arrives_once(stand, sending)


async def test_a_new_password_ends_the_replicas_token_and_the_new_one_goes_on(stand: Stand, sending: Sending) -> None:
    await operator(stand, "PUT", "applications/trade/users/vera", VERA | {"password": NEW})
    assert code(await sending.push()) == (401, "not_authenticated")
    assert code(await activate(stand, sending, PASSWORD)) == (401, "wrong_credentials")
    assert stored(stand, sending.key) == []
    sending.client.headers = bearer((await activate(stand, sending, NEW)).json()["token"])
    await arrives_once(stand, sending)


async def test_a_role_that_only_synchronises_keeps_the_token_and_sends(stand: Stand, sending: Sending) -> None:
    await operator(stand, "PUT", "applications/trade/users/vera", VERA | {"role": "synchronisation", "password": None})
    await arrives_once(stand, sending)


async def test_a_lapse_in_the_middle_of_an_exchange_holds_the_message_until_the_renewal(
    stand: Stand, sending: Sending
) -> None:
    await stand.reaching(sending.workplace, lambda document: document["state"] == "active")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    terms = {"name": "Acme", **SUBSCRIPTION}
    await operator(stand, "PUT", "subscribers/acme", terms | {"valid_until": yesterday})
    await stand.reaching(sending.workplace, lambda document: document["state"] == "suspended")
    for answer in (
        await sending.push(),
        await sending.client.open(pending=1),
        await sending.client.pull(sending.exchange),
    ):
        assert code(answer) == (403, "suspended")
        assert answer.json()["reason"]["code"] == "subscription_lapsed"
    assert stored(stand, sending.key) == []
    await operator(stand, "PUT", "subscribers/acme", terms)
    await stand.reaching(sending.workplace, lambda document: document["state"] == "active")
    assert (await sending.push()).json()["counts"]["applied"] == 1  # in the exchange that stood still
    assert stored(stand, sending.key) == [("written offline",)]
    assert (await sending.client.pull(sending.exchange)).status_code == 200
