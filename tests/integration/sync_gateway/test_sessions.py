"""Sessions: who gets in, with what, and until when."""

import json

import httpx

from tests.integration.sync_gateway.stand import API, OPERATOR, PASSWORD, Stand, bearer, code


async def test_a_session_opens_the_applications_of_its_person(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    found = (await stand.client.get(f"{API}/applications", headers=anna)).json()
    assert [item["code"] for item in found["items"]] == ["trade"]
    document = found["items"][0]
    assert document["organisations"] == [{"key": "north", "title": "North LLP"}, {"key": "south", "title": "South LLP"}]
    assert document["seats"] == {"limit": 2, "used": 0}
    assert {user["login"]: user["role"] for user in document["users"]} == {
        "anna": "administrator",
        "boris": "user",
        "robot": "synchronisation",
    }
    assert document == (await stand.client.get(f"{API}/applications/trade", headers=anna)).json()


async def test_a_wrong_password_opens_nothing(stand: Stand) -> None:
    answer = await stand.client.post(f"{API}/sessions", json={"login": "anna", "password": "wrong"})
    assert code(answer) == (401, "wrong_credentials")


async def test_without_a_token_or_with_an_unknown_one_nothing_opens(stand: Stand) -> None:
    assert code(await stand.client.get(f"{API}/applications")) == (401, "not_authenticated")
    unknown = await stand.client.get(f"{API}/applications", headers=bearer("yurt_s_unknown"))
    assert code(unknown) == (401, "not_authenticated")


async def test_the_wrong_kind_of_token_is_told_so(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    assert code(await stand.client.get(f"{API}/applications", headers=OPERATOR)) == (403, "wrong_token_kind")
    assert code(await stand.client.get("/operator/v1/dead-letters", headers=anna)) == (403, "wrong_token_kind")
    assert code(await stand.client.post(f"{API}/exchanges", json={}, headers=anna)) == (403, "wrong_token_kind")
    assert code(await stand.client.get(f"{API}/ping", headers=anna)) == (403, "wrong_token_kind")


async def test_a_session_that_was_ended_opens_nothing(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    assert (await stand.client.delete(f"{API}/sessions/current", headers=anna)).status_code == 204
    assert code(await stand.client.get(f"{API}/applications", headers=anna)) == (401, "not_authenticated")


async def test_a_new_password_ends_the_sessions_and_the_same_one_does_not(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = "/operator/v1/applications/trade/users/anna"
    person = {"full_name": "Anna", "role": "administrator", "password": PASSWORD}
    again = await stand.client.put(path, json=person, headers=OPERATOR)
    assert again.status_code == 200
    assert "password_changed" not in again.json()
    assert (await stand.client.get(f"{API}/applications", headers=anna)).status_code == 200
    await stand.client.put(path, json=person | {"password": "another one"}, headers=OPERATOR)
    assert code(await stand.client.get(f"{API}/applications", headers=anna)) == (401, "not_authenticated")


async def test_the_console_gets_a_cookie_that_foreign_pages_cannot_use(stand: Stand) -> None:
    body = {"login": "anna", "password": PASSWORD, "cookie": True}
    answer = await stand.client.post(f"{API}/sessions", json=body)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert (await stand.client.get(f"{API}/applications")).status_code == 200
    foreign = {"Sec-Fetch-Site": "cross-site"}
    refused = await stand.client.delete(f"{API}/sessions/current", headers=foreign)
    assert code(refused) == (401, "not_authenticated")


async def test_a_user_with_synchronisation_only_can_do_nothing_else(stand: Stand) -> None:
    robot = await stand.sign_in("robot")
    assert (await stand.client.get(f"{API}/applications", headers=robot)).json()["items"] == []
    for path in ("applications/trade", "applications/trade/workplaces", "applications/trade/exchanges"):
        assert code(await stand.client.get(f"{API}/{path}", headers=robot)) == (403, "not_permitted")


async def test_ping_needs_no_token(stand: Stand) -> None:
    answer = (await stand.client.get(f"{API}/ping")).json()
    assert answer["protocol"] == [1]
    assert answer["time"].endswith("Z")


async def test_hostile_bodies_are_refused_with_a_problem(stand: Stand) -> None:
    async def post(content: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return await stand.client.post(f"{API}/sessions", content=content, headers=headers)

    hostile = [
        b'{"login": "anna", "password": "x", "extra": 1}',
        b'{"login": "an\\u0000na", "password": "x"}',
        b'{"login": "\\ud800", "password": "x"}',
        b'{"\\ud800": 1}',
        b'{"login": "\xff", "password": "x"}',
        b'{"login": 12, "password": "x"}',
        b"[" * 100_000,
        b'{"login": ' + b"9" * 5000 + b', "password": "x"}',
        b'{"login": "\\\\\\u0000", "password": "x"}',
        b"[" + b"[]," * 20_000 + b"[]]",
        b"",
    ]
    for content in hostile:
        answer = await post(content)
        assert code(answer) == (422, "invalid_request"), content[:40]
    assert code(await post(b" " * 1_000_001)) == (413, "body_too_large")
    assert code(await post(b'{"login": "\\\\u0000", "password": "x"}')) == (401, "wrong_credentials")  # no NUL
    strange = await post(json.dumps({f"k{n}": 0 for n in range(70_000)}).encode())
    assert code(strange) == (422, "invalid_request")
    assert len(strange.content) < 50_000
