"""New versions of a configuration while workplaces exchange, through the public door."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.sync_gateway.tidy import release_histories
from shared.replication import image, model
from shared.replication.history import current_generation, position_of
from shared.replication.manifest import parse
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.sync_gateway import application
from tests.integration.sync_gateway.application import MANIFEST
from tests.integration.sync_gateway.stand import API, OPERATOR, Stand, code
from tests.integration.sync_gateway.test_exchanges import ORDER, Client, active, checked, edit, put

NEXT = (
    MANIFEST.replace('version = "1.0.0"', 'version = "2.0.0"')
    + '[[migrations]]\nfrom = "1.0.0"\nrenames = { orders = { note = "comment" } }\n'
)
RENAME = "ALTER TABLE orders RENAME note TO comment"


async def attach(stand: Stand, manifest: str, *, dry_run: bool = False) -> httpx.Response:
    return await stand.client.put(
        "/operator/v1/applications/trade",
        json=application.attachment("trade", manifest=manifest),
        params={"dry_run": "true"} if dry_run else {},
        headers=OPERATOR,
    )


async def upgraded(stand: Stand, manifest: str = NEXT, alteration: str = RENAME) -> None:
    edit(stand, alteration)
    answer = await attach(stand, manifest)
    assert answer.status_code == 200, answer.text


def replica(stand: Stand, folder: Path, version: str = MANIFEST) -> sqlite3.Connection:
    """The replica that a package of this version holds."""
    with connect(stand.application_url) as conn:
        bound = model.load(conn, parse(version), None)
        snapshot = image.build(conn, bound, Scope(None), folder / "infobase.db", lambda *_: None).snapshot
        position = position_of(current_generation(conn, "trade"), snapshot)
    version = bound.manifest.configuration.version
    image.personalise(folder / "infobase.db", {"position": position, "version": version, "platform": ">=3.11"}, {})
    return sqlite3.connect(folder / "infobase.db", isolation_level=None)


async def test_a_schema_is_offered_run_and_then_not_offered_again(stand: Stand, tmp_path: Path) -> None:
    client, _ = await active(stand)
    with closing(replica(stand, tmp_path)) as db:
        await upgraded(stand)
        opened = (await client.open()).json()
        assert opened["schema"]["version"] == "2.0.0"
        assert opened["resync"] is None
        sql = await stand.client.get(opened["schema"]["url"], headers=client.headers)
        assert sql.headers["content-type"].startswith("text/plain")
        db.executescript(f"BEGIN; INSERT INTO yurt_paused DEFAULT VALUES; {sql.text} DELETE FROM yurt_paused; COMMIT")
        assert db.execute("SELECT count(comment) FROM orders").fetchone() == (10,)
        assert db.execute("SELECT value FROM yurt_workplace WHERE key = 'version'").fetchone() == ('"2.0.0"',)
    lines = checked((await client.pull(opened["id"])).content)
    assert {line["key"]["id"] for line in lines if line.get("op") == "put" and line["table"] == "orders"} >= {ORDER}
    assert {line["table"] for line in lines[1:-1]} == {"orders"}, "what was not altered does not come"
    client.position = lines[-1]["position"]
    assert (await client.complete(opened["id"])).status_code == 200
    assert (await client.open(version="2.0.0")).json()["idle"] is True


async def test_a_waiting_schema_is_something_to_do(stand: Stand) -> None:
    client, _ = await active(stand)
    client.position = (await client.open()).json()["position"]
    same = MANIFEST.replace('version = "1.0.0"', 'version = "1.0.1"')
    assert (await attach(stand, same)).status_code == 200
    opened = await client.open()
    assert opened.status_code == 201
    assert opened.json()["schema"]["version"] == "1.0.1"
    assert checked((await client.pull(opened.json()["id"])).content)[1:-1] == [], "nothing was altered"


async def test_an_upgrade_in_an_exchange_answers_its_message_and_ends_its_pull(stand: Stand) -> None:
    client, _ = await active(stand)
    edit(stand, "INSERT INTO items (name) VALUES ('something to do')")
    opened = (await client.open()).json()
    await upgraded(stand)
    answer = await client.push(opened["id"], 1, put(ORDER, client.position, "offline", {"note": "order 2"}))
    assert answer.json()["counts"] == {"applied": 1, "merged": 0, "conflict": 0, "rejected": 0}
    assert comments(stand) == ["offline"]
    assert code(await client.pull(opened["id"])) == (410, "exchange_over")
    assert code(await stand.client.get(f"{API}/exchanges/{opened['id']}/schema", headers=client.headers)) == (
        404, "not_found",
    )  # fmt: skip
    client.last_message = 1
    again = (await client.open()).json()
    assert (again["schema"]["version"], again["next_message"]) == ("2.0.0", 2)
    (line,) = [line for line in checked((await client.pull(again["id"])).content) if line.get("key") == {"id": ORDER}
               and line["op"] == "put"]  # fmt: skip
    assert line["row"]["comment"] == "offline"


def comments(stand: Stand) -> list[str]:
    with psycopg.connect(stand.application_url) as conn:
        return [row[0] for row in conn.execute("SELECT comment FROM orders WHERE id = %s", [ORDER])]


async def test_an_upgrade_between_two_versions_ends_the_schema_of_the_first(stand: Stand) -> None:
    client, _ = await active(stand)
    await upgraded(stand)
    opened = (await client.open()).json()
    await upgraded(stand, NEXT.replace("2.0.0", "3.0.0"), "SELECT 1")
    assert code(await stand.client.get(opened["schema"]["url"], headers=client.headers)) == (410, "exchange_over")
    assert code(await client.pull(opened["id"])) == (410, "exchange_over")
    assert (await client.open()).json()["schema"]["version"] == "3.0.0"


async def test_a_schema_is_its_replicas_alone(stand: Stand) -> None:
    client, workplace = await active(stand)
    other, _ = await other_workplace(stand)
    await upgraded(stand)
    opened = (await client.open()).json()
    assert code(await stand.client.get(opened["schema"]["url"], headers=other.headers)) == (404, "not_found")
    assert code(await stand.client.get(opened["schema"]["url"])) == (401, "not_authenticated")
    anna = await stand.sign_in("anna")
    assert code(await stand.client.get(opened["schema"]["url"], headers=anna)) == (403, "wrong_token_kind")
    assert workplace


async def other_workplace(stand: Stand) -> tuple[Client, str]:
    anna = await stand.sign_in("anna")
    made = await stand.create_workplace(anna)
    package = await stand.build_package(made["id"])
    return Client(stand, await stand.activate(made["id"], replica="replica-2"), package, "replica-2"), made["id"]


async def test_without_a_schema_there_is_none_to_get(stand: Stand) -> None:
    client, _ = await active(stand)
    edit(stand, "INSERT INTO items (name) VALUES ('something to do')")
    opened = (await client.open()).json()
    assert opened["schema"] is None
    path = f"{API}/exchanges/{opened['id']}/schema"
    assert code(await stand.client.get(path, headers=client.headers)) == (404, "not_found")


async def test_a_schema_a_resync_and_a_scope_change_come_in_one_opening(stand: Stand) -> None:
    client, workplace = await active(stand)
    await upgraded(stand)
    anna = await stand.sign_in("anna")
    patched = await stand.client.patch(f"{API}/workplaces/{workplace}", json={"organisations": ["north"]}, headers=anna)
    assert patched.status_code == 200
    await stand.reaching(workplace, lambda document: document["organisations"] == ["north"])
    opened = (await client.open()).json()
    assert (opened["schema"]["version"], opened["resync"]) == ("2.0.0", None)
    lines = checked((await client.pull(opened["id"])).content)
    assert lines[0]["scope_version"] == 2
    assert {
        line["row"]["organisation_id"] for line in lines if line.get("op") == "put" and line["table"] == "orders"
    } == {"north"}
    answer = await stand.client.post("/operator/v1/applications/trade/restored", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    opened = (await client.open()).json()
    assert (opened["schema"]["version"], opened["resync"]["reason"]) == ("2.0.0", "generation")
    lines = checked((await client.pull(opened["id"])).content)
    assert lines[0]["reset"] is True
    assert (await stand.client.get(opened["schema"]["url"], headers=client.headers)).status_code == 200


async def test_a_reissued_replica_of_a_former_version_uploads_first(stand: Stand) -> None:
    client, workplace = await active(stand)
    await upgraded(stand)
    anna = await stand.sign_in("anna")
    assert (await stand.client.post(f"{API}/workplaces/{workplace}/reissue", headers=anna)).status_code in {200, 202}
    await stand.build_package(workplace, b"another package")
    opened = (await client.open(pending=1)).json()
    assert (opened["schema"]["version"], opened["resync"]["reason"]) == ("2.0.0", "reissued")
    answer = await client.push(opened["id"], 1, put(ORDER, client.position, "uploaded", {"note": "order 2"}))
    assert answer.json()["counts"]["applied"] == 1
    assert comments(stand) == ["uploaded"]


async def test_a_gateway_that_remembers_the_former_version_sends_nobody_back(stand: Stand) -> None:
    client, _ = await active(stand)
    catalogue = stand.app.state.parts.catalogue
    stale = await catalogue.get("trade")
    await upgraded(stand)
    opened = (await client.open()).json()

    def forgotten() -> None:
        """As a gateway is that neither attached nor opened anything meanwhile."""
        (moment, _), catalogue._seconds = catalogue._known["trade"], 3600
        catalogue._known["trade"] = (moment, stale)

    forgotten()
    assert (await stand.client.get(opened["schema"]["url"], headers=client.headers)).status_code == 200
    forgotten()
    pulled = await client.pull(opened["id"])
    assert pulled.status_code == 200
    client.position = checked(pulled.content)[-1]["position"]
    assert (await client.complete(opened["id"])).status_code == 200
    forgotten()
    assert (await client.open(version="2.0.0")).json()["idle"] is True
    opened = (await client.open(version="2.0.0", pending=1)).json()
    forgotten()
    line = json.loads(put(ORDER, client.position, "new", {"comment": "order 2"}))
    line["row"]["comment"] = line["row"].pop("note")
    answer = await client.push(opened["id"], 1, json.dumps(line).encode() + b"\n", Yurt_Version="2.0.0")
    assert answer.json()["results"] == []


async def test_a_replica_of_a_former_version_is_served_by_a_gateway_that_still_remembers_it(stand: Stand) -> None:
    client, _ = await active(stand)
    catalogue = stand.app.state.parts.catalogue
    stale = await catalogue.get("trade")
    await upgraded(stand)
    catalogue._known["trade"] = (float("inf"), stale)
    assert (await client.open()).json()["schema"]["version"] == "2.0.0"


async def test_altered_tables_in_the_same_version_are_refused_while_replicas_are_in_use(stand: Stand) -> None:
    client, workplace = await active(stand)
    assert (await client.open()).status_code == 200
    edit(stand, "ALTER TABLE orders ADD second text")
    for dry_run in (True, False):
        refused = await attach(stand, MANIFEST, dry_run=dry_run)
        assert code(refused) == (422, "manifest_invalid")
        assert [mistake["place"] for mistake in refused.json()["mistakes"]] == ["configuration.version"]
    assert code(await client.open()) == (409, "configuration_changed")
    anna = await stand.sign_in("anna")
    assert (await stand.client.delete(f"{API}/workplaces/{workplace}", headers=anna)).status_code in {200, 202, 204}
    await stand.reaching(workplace, lambda document: document["state"] == "deleted")
    parts = stand.app.state.parts
    await release_histories(parts.sessions, parts.catalogue, parts.databases)
    assert (await attach(stand, MANIFEST)).status_code == 200, "with its workplace the last replica went"


async def test_altered_tables_in_the_same_version_are_taken_while_nobody_has_a_replica(stand: Stand) -> None:
    edit(stand, "ALTER TABLE orders ADD first text")
    assert (await attach(stand, MANIFEST)).status_code == 200


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_migration_that_cannot_run_is_told_with_its_place(stand: Stand, dry_run: bool) -> None:
    edit(stand, RENAME)
    broken = NEXT + 'sqlite = "ALTER TABLE orders RENAME COLUMN missing TO x"\n'
    refused = await attach(stand, broken, dry_run=dry_run)
    assert code(refused) == (422, "manifest_invalid")
    (mistake,) = refused.json()["mistakes"]
    assert mistake["place"] == "migrations[0].sqlite"
    assert "missing" in mistake["text"]


async def test_a_package_built_before_the_upgrade_is_activated_after_it(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.create_workplace(anna)
    package: Any = await stand.build_package(workplace["id"], b"built in 1.0.0")
    await upgraded(stand)
    client = Client(stand, await stand.activate(workplace["id"]), package)
    opened = (await client.open()).json()
    assert (opened["schema"]["version"], opened["resync"]) == ("2.0.0", None)


async def test_another_configuration_or_a_version_that_never_was_has_no_schema(stand: Stand) -> None:
    client, _ = await active(stand)
    await upgraded(stand)
    for other in ({"version": "0.9"}, {"configuration": "books"}, {"configuration": "books", "version": "2.0.0"}):
        assert code(await client.open(**other)) == (409, "configuration_changed")


async def test_a_key_that_becomes_leased_has_its_ranges_with_the_schema(stand: Stand) -> None:
    client, _ = await active(stand)
    leased = NEXT.replace('keys = "uuid"\norganisation', 'keys = "range"\norganisation').replace(
        'key = ["id"]\nkeys = "range"\norg', 'key = ["no"]\nkeys = "range"\norg'
    )
    leased = leased.replace(
        'parts = [ { table = "order_lines", key = ["id"], keys = "uuid", parent = "order_id" } ]', ""
    )
    edit(stand, "ALTER TABLE orders ADD no serial UNIQUE")
    await upgraded(stand, leased)
    opened = (await client.open(free={"items": 1000})).json()
    assert set(opened["ranges"]) == {"orders"}
    assert opened["ranges"]["orders"]["column"] == "no"
    assert (await client.open(free={"items": 1000, "orders": 1000})).json().get("ranges") is None
