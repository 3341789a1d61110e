"""What the operator may look at."""

from typing import Any

import httpx

from tests.integration.sync_gateway import application
from tests.integration.sync_gateway.conftest import SUBSCRIPTION
from tests.integration.sync_gateway.stand import API, OPERATOR, Stand, code
from tests.integration.sync_gateway.test_exchanges import active

FITTING = {"over": 0, "grace_until": None}


async def look(stand: Stand, path: str, **headers: str) -> httpx.Response:
    return await stand.client.get(f"/operator/v1/{path}", headers=OPERATOR | headers)


async def read(stand: Stand, path: str) -> dict[str, Any]:
    answer = await look(stand, path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_subscribers_are_read_with_their_subscription_and_seats(stand: Stand) -> None:
    acme = {"code": "acme", "name": "Acme", **SUBSCRIPTION, "limit": 2, "used": 0, "lapsed": False, **FITTING}
    assert await read(stand, "subscribers/acme") == acme
    first = await read(stand, "subscribers?limit=1")
    assert first == {"items": [acme], "next": "acme"}
    rest = await read(stand, f"subscribers?after={first['next']}")
    assert ([item["code"] for item in rest["items"]], rest["next"]) == (["other"], None)
    assert code(await look(stand, "subscribers/nobody")) == (404, "not_found")


async def test_a_subscriber_without_subscription_is_shown_with_empty_terms(stand: Stand) -> None:
    await stand.app.state.parts.provisioning.put("/subscribers/half", json={"name": "Half"})
    half = await read(stand, "subscribers/half")
    assert half == {
        "code": "half",
        "name": "Half",
        **dict.fromkeys((*SUBSCRIPTION, "limit", "used", "lapsed", *FITTING)),
    }
    assert half in (await read(stand, "subscribers"))["items"]


async def test_applications_are_read_as_they_were_attached(stand: Stand) -> None:
    trade = await read(stand, "applications/trade")
    assert trade.items() >= application.attachment("trade").items()
    assert [user["login"] for user in trade["users"]] == ["anna", "boris", "robot"]
    page = await read(stand, "applications")
    assert [item["code"] for item in page["items"]] == ["foreign", "trade"]
    assert page["items"][1] == {name: value for name, value in trade.items() if name not in {"manifest", "users"}}
    assert code(await look(stand, "applications/nothing")) == (404, "not_found")


async def test_a_connection_that_is_a_url_is_shown_without_its_secret(stand: Stand) -> None:
    document = await stand.app.state.parts.provisioning.get("/applications/trade")
    body = {name: value for name, value in document.json().items() if name not in {"code", "users"}}
    body["connection"] = "postgresql://yurt:hush@db.example:5432/trade?password=hush&sslmode=require"
    await stand.app.state.parts.provisioning.put("/applications/trade", json=body)
    shown = "postgresql://db.example:5432/trade"
    assert (await read(stand, "applications/trade"))["connection"] == shown
    assert shown in [item["connection"] for item in (await read(stand, "applications"))["items"]]


async def test_workplaces_and_exchanges_of_an_application_are_read_by_the_operator(stand: Stand) -> None:
    client, identity = await active(stand)
    anna = await stand.sign_in("anna")
    theirs = (await stand.client.get(f"{API}/applications/trade/workplaces", headers=anna)).json()
    assert await read(stand, "applications/trade/workplaces") == theirs
    assert [await read(stand, f"workplaces/{identity}")] == theirs["items"]
    opened = (await client.open(pending=1)).json()["id"]
    exchanges = await read(stand, f"applications/trade/exchanges?workplace={identity}")
    assert [(item["id"], item["workplace"]) for item in exchanges["items"]] == [(opened, identity)]
    assert (await read(stand, "applications/trade/exchanges?result=completed"))["items"] == []
    table = await look(stand, "applications/trade/exchanges", Accept="text/csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 2
    assert await read(stand, "applications/foreign/workplaces") == {"items": [], "next": None}
    for nothing in ("applications/nothing/workplaces", "applications/nothing/exchanges", "workplaces/nothing"):
        assert code(await look(stand, nothing)) == (404, "not_found")
