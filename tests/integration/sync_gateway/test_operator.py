"""The operator's calls."""

import psycopg

from shared.contracts.envelope import Envelope
from shared.contracts.provisioning import WorkplaceChanged
from tests.integration.sync_gateway import application
from tests.integration.sync_gateway.stand import API, OPERATOR, PASSWORD, Stand, code


async def test_every_mistake_of_a_manifest_comes_in_one_answer(stand: Stand) -> None:
    broken = application.MANIFEST.replace('organisation = "organisation_id"', 'organisation = "nobody"').replace(
        'table = "items"', 'table = "wares"'
    )
    body = application.attachment("trade", manifest=broken)
    answer = await stand.client.put("/operator/v1/applications/new", json=body, headers=OPERATOR)
    assert code(answer) == (422, "manifest_invalid")
    places = [mistake["place"] for mistake in answer.json()["mistakes"]]
    assert len(places) >= 2
    assert all(set(mistake) == {"place", "text"} for mistake in answer.json()["mistakes"])
    no_toml = await stand.client.put(
        "/operator/v1/applications/new", json=body | {"manifest": "= nothing"}, headers=OPERATOR
    )
    assert code(no_toml) == (422, "manifest_invalid")


async def test_a_dry_run_installs_nothing(empty: Stand) -> None:
    subscriber = {"name": "Acme", "plan": "prof", "extra_seats": 0, "valid_until": None, "local_licence": True}
    await empty.client.put("/operator/v1/subscribers/acme", json=subscriber, headers=OPERATOR)
    url = "/operator/v1/applications/trade"
    body = application.attachment("trade")
    answer = await empty.client.put(url, params={"dry_run": "true"}, json=body, headers=OPERATOR)
    assert answer.status_code == 200
    with psycopg.connect(empty.application_url) as connection:
        assert connection.execute("SELECT to_regclass('yurt.applications')").fetchone() == (None,)
    assert (await empty.client.put(url, json=body, headers=OPERATOR)).status_code == 201
    assert (await empty.client.put(url, json=body, headers=OPERATOR)).status_code == 200


async def test_unknown_subscribers_connections_and_fields_are_refused(stand: Stand) -> None:
    url = "/operator/v1/applications/new"
    unknown = application.attachment("trade", "nobody")
    assert code(await stand.client.put(url, json=unknown, headers=OPERATOR)) == (404, "not_found")
    nowhere = application.attachment("nowhere")
    assert code(await stand.client.put(url, json=nowhere, headers=OPERATOR)) == (422, "unknown_connection")
    surplus = application.attachment("trade") | {"secret": 1}
    assert code(await stand.client.put(url, json=surplus, headers=OPERATOR)) == (422, "invalid_request")


async def test_a_login_of_another_subscriber_is_taken(stand: Stand) -> None:
    person = {"full_name": "Olga", "role": "user", "password": PASSWORD}
    answer = await stand.client.put("/operator/v1/applications/trade/users/olga", json=person, headers=OPERATOR)
    assert code(answer) == (409, "login_taken")


async def test_a_detached_application_is_gone_and_capture_with_it(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    for name in ("trade", "foreign"):
        answer = await stand.client.delete(f"/operator/v1/applications/{name}", headers=OPERATOR)
        assert answer.status_code == 204
    assert code(await stand.client.get(f"{API}/applications/trade", headers=anna)) == (404, "not_found")
    with psycopg.connect(stand.application_url) as connection:
        assert connection.execute("SELECT to_regnamespace('yurt')").fetchone() == (None,)


async def test_a_declared_restore_begins_a_new_generation(stand: Stand) -> None:
    path = "/operator/v1/applications/trade/restored"
    first = (await stand.client.post(path, headers=OPERATOR)).json()["generation"]
    second = (await stand.client.post(path, headers=OPERATOR)).json()["generation"]
    assert first != second
    with psycopg.connect(stand.application_url) as connection:
        stored = connection.execute("SELECT generation FROM yurt.applications WHERE code = 'trade'").fetchone()
    assert stored == (second,)


async def test_dead_letters_are_listed_and_replayed(stand: Stand) -> None:
    await stand.bus.publish(Envelope(name=WorkplaceChanged.wire_name, payload={"no": "event"}), 1)
    listed = (await stand.client.get("/operator/v1/dead-letters", headers=OPERATOR)).json()["items"]
    assert [(letter["service"], letter["consumer"]) for letter in listed] == [("sync-gateway", "project_workplace")]
    replay = f"/operator/v1/dead-letters/{listed[0]['id']}/replay"
    assert (await stand.client.post(replay, headers=OPERATOR)).status_code == 202
    unknown = "/operator/v1/dead-letters/00000000-0000-4000-8000-000000000000/replay"
    assert code(await stand.client.post(unknown, headers=OPERATOR)) == (404, "not_found")
