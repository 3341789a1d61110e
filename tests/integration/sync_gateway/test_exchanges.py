"""Exchanges through the public door, spoken by hand from the protocol page."""

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from shared.contracts.licensing import ReductionCode, SeatsReduced, SeatsRestored
from tests.integration.sync_gateway.stand import API, OPERATOR, Stand, code

ORDER = "00000000-0000-4000-8000-000000000002"


class Client:
    """A replica of one workplace that keeps what the protocol tells it to keep."""

    def __init__(self, stand: Stand, headers: dict[str, str], package: Any, replica: str = "replica-1") -> None:
        self.stand = stand
        self.headers = headers
        self.replica = replica
        self.position = package.position
        self.generation = package.generation
        self.scope_version = package.scope_version
        self.last_message = 0

    def greeting(self) -> dict[str, Any]:
        return {
            "replica_id": self.replica,
            "configuration": "trading",
            "version": "1.0.0",
            "generation": self.generation,
            "position": self.position,
            "scope_version": self.scope_version,
            "last_message": self.last_message,
            "sending": None,
            "pending": 0,
            "program": "tests/1.0",
        }

    async def open(self, **other: Any) -> httpx.Response:
        return await self.stand.client.post(f"{API}/exchanges", json=self.greeting() | other, headers=self.headers)

    async def push(self, exchange: str, number: int, body: bytes, **headers: str | None) -> httpx.Response:
        sent: dict[str, str | None] = {
            **self.headers,
            "Content-Type": "application/x-ndjson",
            "Content-Digest": digest(body),
            "Yurt-Version": "1.0.0",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        given = {name: value for name, value in sent.items() if value is not None}
        return await self.stand.client.post(
            f"{API}/exchanges/{exchange}/messages/{number}", content=body, headers=given
        )

    async def pull(self, exchange: str, **params: str) -> httpx.Response:
        asked = {"after": self.position} | params
        return await self.stand.client.get(f"{API}/exchanges/{exchange}/changes", params=asked, headers=self.headers)

    async def complete(self, exchange: str, **body: Any) -> httpx.Response:
        given = {"position": self.position, "applied": 0} | body
        return await self.stand.client.post(f"{API}/exchanges/{exchange}/completion", json=given, headers=self.headers)


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def checked(content: bytes) -> list[dict[str, Any]]:
    """The lines of a delta whose last line is there and right."""
    lines = content.splitlines(keepends=True)
    last = json.loads(lines[-1])
    assert last["end"] is True
    assert last["count"] == len(lines) - 2
    assert last["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    return [json.loads(line) for line in lines]


def put(key: str, base: str | None, note: str, before: dict[str, Any] | None = None, **row: Any) -> bytes:
    line = {
        "seq": 1,
        "table": "orders",
        "key": {"id": key},
        "op": "put",
        "base": base,
        "row": {"id": key, "organisation_id": "north", "number": None, "note": note, "total": "0.00"} | row,
        "before": before or {},
        "parts": {} if base else {"order_lines": []},
        "parts_before": {},
        "edited_at": "2026-01-02T03:04:05.000000Z",
        "edited_by": "anna",
    }
    return json.dumps(line).encode() + b"\n"


async def active(stand: Stand, **wishes: Any) -> tuple[Client, str]:
    anna = await stand.sign_in("anna")
    workplace = await stand.create_workplace(anna, **wishes)
    package = await stand.build_package(workplace["id"])
    return Client(stand, await stand.activate(workplace["id"]), package), workplace["id"]


def edit(stand: Stand, statement: str) -> None:
    with psycopg.connect(stand.application_url) as connection:
        connection.execute(statement.encode())


async def test_with_nothing_to_do_one_request_is_enough(stand: Stand) -> None:
    client, workplace = await active(stand)
    answer = await client.open()
    assert answer.status_code == 200
    assert answer.json()["idle"] is True
    assert set(answer.json()) == {"idle", "position", "next_exchange_in"}
    client.position = answer.json()["position"]
    assert (await client.open()).status_code == 200
    document = await stand.reaching(workplace, lambda document: document["last_exchange"] is not None)
    assert document["last_exchange"]["result"] == "idle"


async def test_edits_travel_both_ways_in_one_exchange(stand: Stand) -> None:
    client, workplace = await active(stand)
    edit(stand, f"UPDATE orders SET note = 'from the cloud' WHERE id = '{ORDER}'")
    opened = await client.open(pending=1)
    assert opened.status_code == 201
    exchange = opened.json()
    assert exchange["next_message"] == 1
    assert exchange["last_result"] is None
    assert exchange["resync"] is None
    new = str(uuid4())
    body = put(new, None, "from the field")
    pushed = await client.push(exchange["id"], 1, body)
    assert pushed.status_code == 200, pushed.text
    answer = pushed.json()
    assert answer["digest"] == hashlib.sha256(body).hexdigest()
    assert answer["counts"] == {"applied": 1, "merged": 0, "conflict": 0, "rejected": 0}
    again = await client.push(exchange["id"], 1, body)
    assert again.json() == answer
    lines = checked((await client.pull(exchange["id"], digests="tables")).content)
    assert lines[0]["from"] == client.position
    assert [line["row"]["note"] for line in lines[1:-1]] == ["from the cloud"]
    assert set(lines[-1]["digests"]) == {"organisations", "items", "orders", "order_lines"}
    client.position = lines[-1]["position"]
    completed = await client.complete(exchange["id"], applied=1, verified=True)
    assert completed.status_code == 200
    assert completed.json()["next_exchange_in"] > 0
    over = await client.pull(exchange["id"])
    assert code(over) == (410, "exchange_over")
    client.last_message = 1
    assert (await client.open()).json()["idle"] is True
    document = await stand.reaching(workplace, lambda document: True)
    assert document["unsent"] == 0
    anna = await stand.sign_in("anna")
    listed = await stand.client.get(f"{API}/applications/trade/exchanges", params={"result": "completed"}, headers=anna)
    (found,) = listed.json()["items"]
    assert (found["sent"], found["received"], found["problems"], found["workplace"]) == (1, 1, 0, workplace)
    table = await stand.client.get(f"{API}/applications/trade/exchanges", headers=anna | {"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[0] == "id,workplace,started_at,finished_at,result,sent,received,problems"
    assert len(table.text.splitlines()) == 3


async def test_the_summary_of_exchanges_is_filtered_by_what_can_be_meant(stand: Stand) -> None:
    client, workplace = await active(stand)
    await client.complete((await client.open(pending=1)).json()["id"], position=client.position)
    anna = await stand.sign_in("anna")
    path = f"{API}/applications/trade/exchanges"

    async def found(**filters: str) -> int:
        answer = await stand.client.get(path, params=filters, headers=anna)
        assert answer.status_code == 200, answer.text
        return len(answer.json()["items"])

    today = datetime.now(UTC).date().isoformat()
    assert await found(to=today, workplace=workplace, **{"from": today}) == 1
    assert await found(to="2020-01-01") == 0
    for filters in ({"result": "nonsense"}, {"workplace": "nope"}, {"from": "1764000000"}, {"to": "soon"}):
        refusal = await stand.client.get(path, params=filters, headers=anna)
        assert code(refusal) == (422, "invalid_request"), filters
    accepted = await stand.client.get(path, headers=anna | {"Accept": "text/csv;q=0, application/json"})
    assert accepted.headers["content-type"].startswith("application/json")
    assert (await stand.client.get(path + "/", headers=anna)).status_code == 404


async def test_a_damaged_message_changes_nothing(stand: Stand) -> None:
    client, _ = await active(stand)
    exchange = (await client.open(pending=1)).json()["id"]
    body = put(str(uuid4()), None, "x")
    assert code(await client.push(exchange, 1, body, Content_Digest=None)) == (400, "digest_missing")
    assert code(await client.push(exchange, 1, body, Content_Digest=digest(b"y"))) == (400, "digest_mismatch")
    assert code(await client.push(exchange, 1, body, Yurt_Version=None)) == (400, "invalid_body")
    assert code(await client.push(exchange, 1, body, Yurt_Version="0.0.1")) == (400, "invalid_body")
    assert code(await client.push(exchange, 1, b'{"op": "?"}\n')) == (400, "invalid_body")
    assert code(await client.push(exchange, 1, body + body)) == (400, "duplicate_key")
    gap = await client.push(exchange, 2, body)
    assert code(gap) == (409, "message_gap")
    assert gap.json()["expected"] == 1
    packed = gzip.compress(body)
    damaged = await client.push(exchange, 1, packed[:-9], Content_Encoding="gzip")
    assert code(damaged) == (400, "invalid_body")
    assert damaged.json()["line"] is None
    assert (await client.push(exchange, 1, packed, Content_Encoding="gzip")).status_code == 200
    assert code(await client.push(exchange, 1, body.replace(b'"x"', b'"z"'))) == (409, "message_differs")


async def test_a_bomb_stops_at_the_limit(stand: Stand) -> None:
    client, _ = await active(stand)
    exchange = (await client.open(pending=1)).json()["id"]
    lines = gzip.compress(b'{"seq":1}\n' * 100_000)
    assert code(await client.push(exchange, 1, lines, Content_Encoding="gzip")) == (413, "message_too_large")
    single = gzip.compress(b" " * 300_000_000)
    assert code(await client.push(exchange, 1, single, Content_Encoding="gzip")) == (413, "aggregate_too_large")
    wide = gzip.compress((b" " * 9_000_000 + b"\n") * 2)
    assert code(await client.push(exchange, 1, wide, Content_Encoding="gzip")) == (413, "message_too_large")


async def test_a_large_delta_waits_as_a_file_and_resumes_by_range(stand: Stand) -> None:
    client, _ = await active(stand)
    edit(
        stand,
        "INSERT INTO orders (id, organisation_id, note) SELECT gen_random_uuid(), 'north', md5(n::text)"
        " FROM generate_series(1, 2000) n",
    )
    exchange = (await client.open()).json()["id"]
    answer = await client.pull(exchange)
    assert answer.status_code == 303
    place = answer.headers["location"]
    raw = []
    async with stand.client.stream("GET", place, headers=client.headers) as whole:
        assert whole.headers["content-encoding"] == "gzip"
        etag = whole.headers["etag"]
        raw = [chunk async for chunk in whole.aiter_raw()]
    content = b"".join(raw)
    rest = client.headers | {"Range": "bytes=1000-", "If-Range": etag}
    async with stand.client.stream("GET", place, headers=rest) as resumed:
        assert resumed.status_code == 206
        assert content[1000:] == b"".join([chunk async for chunk in resumed.aiter_raw()])
    lines = checked(gzip.decompress(content))
    assert len(lines) == 2002
    client.position = lines[-1]["position"]
    assert (await client.complete(exchange, applied=2000)).status_code == 200
    assert code(await stand.client.get(place, headers=client.headers)) == (410, "exchange_over")
    assert [found async for found in stand.objects.list("deltas/")] == []


async def test_an_opening_ends_the_unfinished_exchange_of_the_replica(stand: Stand) -> None:
    client, _ = await active(stand)
    first = (await client.open(pending=1)).json()["id"]
    second = (await client.open(pending=1)).json()["id"]
    assert code(await client.pull(first)) == (410, "exchange_over")
    assert (await stand.client.delete(f"{API}/exchanges/{second}", headers=client.headers)).status_code == 204
    assert code(await client.pull(second)) == (410, "exchange_over")
    anna = await stand.sign_in("anna")
    items = (await stand.client.get(f"{API}/applications/trade/exchanges", headers=anna)).json()["items"]
    assert [item["result"] for item in items] == ["abandoned", "superseded"]


async def test_a_clone_and_another_replica_are_refused(stand: Stand) -> None:
    client, _ = await active(stand)
    assert code(await client.open(replica_id="replica-2")) == (409, "activated_elsewhere")


@pytest.mark.parametrize("lack", ["seats_reduced", "local_licence_required"])
async def test_a_workplace_without_a_seat_is_told_what_it_lacks(stand: Stand, lack: ReductionCode) -> None:
    client, workplace = await active(stand)
    event = SeatsReduced(subscriber="acme", workplaces=[UUID(workplace)], code=lack, revision=1)
    await stand.publish(event)
    document = await stand.reaching(workplace, lambda document: document["state"] == "suspended")
    answer = await client.open()
    assert code(answer) == (403, "suspended")
    assert answer.json()["reason"] == document["reason"]
    assert answer.json()["reason"]["code"] == lack
    await stand.publish(SeatsRestored(subscriber="acme", workplaces=[UUID(workplace)], revision=2))
    await stand.reaching(workplace, lambda document: document["state"] == "active")
    assert (await client.open()).status_code == 200


async def test_suspended_deleted_and_changed_are_told_apart(stand: Stand) -> None:
    client, workplace = await active(stand)
    anna = await stand.sign_in("anna")
    exchange = (await client.open(pending=1)).json()["id"]
    assert code(await client.open(configuration="other")) == (409, "configuration_changed")
    assert code(await client.open(version="0.9.0")) == (409, "configuration_changed")
    await stand.reaching(workplace, lambda document: document["state"] == "active")
    await stand.client.post(f"{API}/workplaces/{workplace}/suspend", headers=anna)
    suspended = await client.open()
    assert code(suspended) == (403, "suspended")
    assert suspended.json()["reason"]["code"] == "suspended_by_administrator"
    assert code(await client.pull(exchange)) == (403, "suspended")
    await stand.client.post(f"{API}/workplaces/{workplace}/resume", headers=anna)
    assert (await client.pull(exchange)).status_code == 200
    await stand.client.delete(f"{API}/workplaces/{workplace}", headers=anna)
    assert code(await client.open()) == (410, "workplace_deleted")


async def test_an_altered_table_stops_exchanges_until_it_is_attached_again(stand: Stand) -> None:
    client, _ = await active(stand)
    edit(stand, "ALTER TABLE orders ADD COLUMN priority integer")
    assert code(await client.open()) == (409, "configuration_changed")


async def test_the_old_replica_uploads_after_a_reissue_until_the_new_one_is_there(stand: Stand) -> None:
    client, workplace = await active(stand)
    await stand.reaching(workplace, lambda document: document["state"] == "active")
    anna = await stand.sign_in("anna")
    assert (await stand.client.post(f"{API}/workplaces/{workplace}/reissue", headers=anna)).status_code == 200
    opened = await client.open(pending=1)
    assert opened.json()["resync"] == {"reason": "reissued", "upload_first": True}
    pushed = await client.push(opened.json()["id"], 1, put(str(uuid4()), None, "late"))
    assert pushed.status_code == 200
    package = await stand.build_package(workplace)
    heir = Client(stand, await stand.activate(workplace, replica="replica-2"), package, "replica-2")
    assert code(await client.open()) == (401, "not_authenticated")
    first = await heir.open()
    assert first.status_code == 200, first.text


async def test_a_restored_database_makes_replicas_upload_and_start_again(stand: Stand) -> None:
    client, _ = await active(stand)
    await stand.client.post("/operator/v1/applications/trade/restored", headers=OPERATOR)
    opened = (await client.open()).json()
    assert opened["resync"] == {"reason": "generation", "upload_first": True}
    lines = checked((await client.pull(opened["id"])).content)
    assert lines[0]["reset"] is True
    assert sum(line.get("table") == "orders" for line in lines) == 10


async def test_widening_and_narrowing_arrive_with_the_next_exchange(stand: Stand) -> None:
    client, workplace = await active(stand, organisations=["north"])
    anna = await stand.sign_in("anna")
    for organisations, op in ((["north", "south"], "put"), (["south"], "remove")):
        await stand.client.patch(f"{API}/workplaces/{workplace}", json={"organisations": organisations}, headers=anna)
        exchange = (await client.open()).json()["id"]
        lines = checked((await client.pull(exchange)).content)
        assert [line["op"] for line in lines if line.get("table") == "orders"] == [op] * 5
        client.position, client.scope_version = lines[-1]["position"], lines[0]["scope_version"]
        assert (await client.complete(exchange)).status_code == 200
    assert (await client.open()).json()["idle"] is True


async def test_what_differs_comes_whole_with_the_next_exchange(stand: Stand) -> None:
    client, _ = await active(stand)
    exchange = (await client.open(verify=True)).json()["id"]
    lines = checked((await client.pull(exchange, digests="buckets")).content)
    assert len(lines[-1]["digests"]["orders"]["buckets"]) == 256
    client.position = lines[-1]["position"]
    await client.complete(exchange, verified=False, differing={"orders": []})
    repair = (await client.open()).json()["id"]
    lines = checked((await client.pull(repair)).content)
    assert sum(line.get("op") == "put" and line["table"] == "orders" for line in lines) == 10
    client.position = lines[-1]["position"]
    await client.complete(repair, verified=True)
    assert (await client.open()).json()["idle"] is True


async def test_what_a_comparison_said_stays_with_the_exchange(stand: Stand) -> None:
    client, workplace = await active(stand)
    differing = {"orders": [3, 200], "order_lines": []}
    repaired = {"orders": {"missing": 1, "extra": 0, "different": 2}}
    for said in ({"verified": False, "differing": differing}, {"verified": True, "repaired": repaired}, {}):
        exchange = (await client.open(verify=True)).json()["id"]
        client.position = checked((await client.pull(exchange)).content)[-1]["position"]
        for wrong in (
            {"orders": {"missing": -1, "extra": 0, "different": 0}},
            {"orders": {"missing": 1}},
            {"orders": 1},
        ):
            assert code(await client.complete(exchange, repaired=wrong)) == (422, "invalid_request")
        assert (await client.complete(exchange, **said)).status_code == 200
    anna = await stand.sign_in("anna")
    path = f"{API}/applications/trade/exchanges"
    items = (await stand.client.get(path, params={"workplace": workplace}, headers=anna)).json()["items"]
    assert [(item["verified"], item["differing"], item["repaired"]) for item in items] == [
        (None, None, None), (True, None, repaired), (False, differing, None),
    ]  # fmt: skip


async def test_only_positions_of_this_exchange_are_acknowledged(stand: Stand) -> None:
    client, _ = await active(stand)
    exchange = (await client.open(pending=1)).json()["id"]
    assert code(await client.complete(exchange, position="999999:999999:")) == (422, "invalid_request")
    assert code(await client.pull(exchange, after="no position")) == (422, "invalid_request")


async def test_a_conflict_is_kept_with_both_versions_until_a_person_decides(stand: Stand) -> None:
    client, workplace = await active(stand)
    edit(stand, f"UPDATE orders SET note = 'cloud' WHERE id = '{ORDER}'")
    exchange = (await client.open(pending=1)).json()["id"]
    body = put(ORDER, client.position, "field", {"note": "order 2"}, number="C-2")
    answer = (await client.push(exchange, 1, body)).json()
    assert answer["counts"]["conflict"] == 1
    anna, boris = await stand.sign_in("anna"), await stand.sign_in("boris")
    (found,) = (await stand.client.get(f"{API}/applications/trade/problems", headers=anna)).json()["items"]
    assert (found["id"], found["workplace"], found["kind"]) == (answer["results"][0]["problem"], workplace, "conflict")
    assert (found["service"]["row"]["note"], found["pushed"]["row"]["note"]) == ("cloud", "field")
    own = (await stand.client.get(f"{API}/workplaces/{workplace}/problems", headers=client.headers)).json()["items"]
    assert own == [found]
    path = f"{API}/problems/{found['id']}/resolution"
    olga = await stand.sign_in("olga")
    for person in (boris, olga):
        refused = await stand.client.post(path, json={"choice": "rejected"}, headers=person)
        assert code(refused) == (404, "not_found")
    decided = await stand.client.post(path, json={"choice": "rejected", "comment": "field knows"}, headers=anna)
    assert (decided.json()["state"], decided.json()["in_force"]) == ("rejected", "workplace")
    assert code(await stand.client.post(path, json={"choice": "accepted"}, headers=anna)) == (409, "already_resolved")


async def test_an_exchange_of_another_workplace_cannot_be_used(stand: Stand) -> None:
    client, _ = await active(stand)
    anna = await stand.sign_in("anna")
    other = await stand.create_workplace(anna)
    package = await stand.build_package(other["id"])
    stranger = Client(stand, await stand.activate(other["id"]), package)
    exchange = (await client.open(pending=1)).json()["id"]
    assert code(await stranger.pull(exchange)) == (404, "not_found")
    assert code(await stranger.push(exchange, 1, put(str(uuid4()), None, "x"))) == (404, "not_found")
    assert code(await stranger.complete(exchange)) == (404, "not_found")


async def test_leased_keys_come_when_they_run_low(stand: Stand) -> None:
    client, _ = await active(stand)
    opened = (await client.open(free={"items": 10})).json()
    (span,) = opened["ranges"]["items"]["spans"]
    assert opened["ranges"]["items"]["column"] == "id"
    assert span[1] - span[0] + 1 == 1000
