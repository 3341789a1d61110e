"""Page, lines 136-146 and 152-155: deltas, completion, digests, repair."""

import gzip
import json
from uuid import uuid4

import httpx
import pytest

from tests.e2e.contract.lines import task
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace, parse_delta
from tests.e2e.contract.service import good, refused
from tests.e2e.contract.wire import bucket_of

pytestmark = pytest.mark.xdist_group("contract")


@pytest.fixture
def workplace(office: Office, organisation: str) -> Workplace:
    customer = office.customer(organisation, "Customer", phone="1")
    office.order(organisation, customer, comment="first", net="1.00")
    return office.workplace(organisation, synchronised=True)


def test_a_delta_has_its_first_line_puts_with_whole_parts_removes_and_its_last_line(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 136-139."""
    order = workplace.rows("SELECT id FROM orders")[0][0]
    office.sql("UPDATE order_lines SET price = 3 WHERE order_id = %s AND position = 1", order)
    gone = office.customer(organisation)
    workplace.exchange()
    office.sql("DELETE FROM customers WHERE id = %s", gone)
    office.sql("UPDATE order_lines SET price = 4 WHERE order_id = %s AND position = 1", order)
    position = workplace.state("position")
    delta = workplace.pull(workplace.begin()["id"])
    assert set(delta.first) >= {"from", "to", "generation", "scope_version", "reset", "estimate"}
    assert delta.first["from"] == position
    assert delta.first["to"] == delta.last["position"]
    assert delta.first["reset"] is False
    assert delta.first["generation"] == workplace.state("generation")
    put = delta.put("orders", id=order)
    assert put
    assert set(put) == {"op", "table", "key", "row", "parts"}
    assert len(put["parts"]["order_lines"]) == 2, "parts whole"
    assert put["parts"]["order_notes"] == []
    assert list(put["row"]) == list(workplace.columns("orders")), "generated columns too, none that is excluded"
    assert [line["key"] for line in delta.of("customers", "remove")] == [{"id": gone}]
    assert set(delta.of("customers", "remove")[0]) == {"op", "table", "key"}
    keys = [(line["table"], json.dumps(line["key"])) for line in delta.lines]
    assert len(keys) == len(set(keys)), "a key at most once"
    assert "digests" not in delta.last
    workplace.apply(delta)
    assert workplace.rows("SELECT 1 FROM customers WHERE id = ?", gone) == []


def test_ten_edits_of_one_document_are_one_line(office: Office, workplace: Workplace) -> None:
    """Line 139: a key at most once."""
    for n in range(10):
        office.sql("UPDATE orders SET comment = %s WHERE organisation_id = %s", str(n), workplace.about["organisations"][0])
    delta = workplace.pull(workplace.begin()["id"])
    assert len(delta.of("orders")) == 1


def test_a_delta_is_gzip_when_accepted_and_plain_when_not(office: Office, workplace: Workplace, organisation: str) -> None:
    """Line 136."""
    for _ in range(40):
        office.customer(organisation, "x" * 100)
    exchange = workplace.begin()["id"]
    bodies = {}
    for coding in ("gzip", "identity"):
        with workplace.caller.http.stream(
            "GET", f"/api/v1/exchanges/{exchange}/changes", params={"after": workplace.state("position")},
            headers={"Accept-Encoding": coding},
        ) as answer:  # fmt: skip
            raw = b"".join(answer.iter_raw())
            assert answer.headers.get("content-encoding", "identity") == coding
            bodies[coding] = gzip.decompress(raw) if coding == "gzip" else raw
    assert {line["key"]["id"] for line in parse_delta(bodies["gzip"]).of("customers")} == {
        line["key"]["id"] for line in parse_delta(bodies["identity"]).of("customers")
    }


def test_a_pull_may_be_repeated_until_it_is_completed(office: Office, workplace: Workplace, organisation: str) -> None:
    """Lines 140 and 144-145."""
    customer = office.customer(organisation)
    exchange = workplace.begin()["id"]
    assert workplace.pull(exchange).put("customers", id=customer)
    assert workplace.pull(exchange).put("customers", id=customer)
    again = workplace.begin()["id"]
    delta = workplace.pull(again)
    assert delta.put("customers", id=customer)
    workplace.apply(delta)
    good(workplace.complete(again, applied=len(delta.lines)), 200)
    later = workplace.begin()["id"]
    assert workplace.pull(later).put("customers", id=customer) is None


def test_after_a_lost_completion_the_client_goes_on_from_its_stored_position(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 140 and 145."""
    office.customer(organisation)
    workplace.apply(workplace.pull(workplace.begin()["id"]))  # and the completion is lost
    done = workplace.exchange()
    assert done.delta
    assert done.delta.of("customers") == []
    assert workplace.verified(done.delta)


def test_what_is_unsent_is_not_overwritten_and_meets_the_service_with_its_old_base(
    office: Office, workplace: Workplace
) -> None:
    """Line 141."""
    exchange = workplace.begin()["id"]
    workplace.db.execute("UPDATE customers SET name = 'Offline'")
    base = workplace.change("customers")["base"]
    office.sql("UPDATE customers SET name = 'Cloud' WHERE organisation_id = %s", workplace.about["organisations"][0])
    delta = workplace.pull(exchange)
    assert delta.of("customers")
    workplace.apply(delta)
    good(workplace.complete(exchange), 200)
    assert workplace.rows("SELECT name FROM customers")[0][0] == "Offline"
    assert workplace.change("customers")["base"] == base
    done = workplace.exchange()
    assert [r["status"] for r in done.results] == ["conflict"]
    assert workplace.rows("SELECT name FROM customers")[0][0] == "Cloud"


def test_completion_tells_when_to_come_again_and_is_listed(office: Office, workplace: Workplace) -> None:
    """Lines 42 and 144."""
    opened = workplace.begin()
    delta = workplace.pull(opened["id"])
    workplace.apply(delta)
    answer = good(workplace.complete(opened["id"], applied=len(delta.lines), problems=0), 200)
    assert answer["next_exchange_in"] > 0
    (listed,) = [e for e in office.admin.everything(f"/applications/{office.code}/exchanges", workplace=workplace.id)
                 if e["id"] == opened["id"]]  # fmt: skip
    assert listed["finished_at"]


def test_counts_of_an_exchange_are_in_the_list(office: Office, workplace: Workplace, organisation: str) -> None:
    """Line 42: sent, received, problems."""
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 'fine', 0)", [str(uuid4()), organisation])
    workplace.db.execute("INSERT INTO units VALUES (?, 'which is only read')", [uuid4().hex])
    office.insert("tasks", task(organisation))
    done = workplace.exchange()
    assert done.delta
    last = office.seen(workplace)["last_exchange"]
    assert last["sent"] == 2
    assert last["received"] == len(done.delta.lines)
    assert last["problems"] == 1


def test_a_position_from_nowhere_is_refused(workplace: Workplace) -> None:
    """Line 136."""
    exchange = workplace.begin()["id"]
    for wrong in ("nonsense", ""):
        answer = workplace.caller.get(f"/exchanges/{exchange}/changes", params={"after": wrong})
        assert 400 <= answer.status_code < 500
        refused(answer, answer.status_code, answer.json()["code"])
    answer = workplace.caller.get(f"/exchanges/{exchange}/changes", params={"after": "1:1:", "digests": "colours"})
    refused(answer, 422, "invalid_request")


@pytest.mark.parametrize("depth", ["tables", "buckets"])
def test_digests_of_the_deltas_cut_equal_those_computed_from_the_replica(
    office: Office, workplace: Workplace, organisation: str, depth: str
) -> None:
    """Lines 152-155."""
    office.customer(organisation, 'tricky "\\\n\x01 Ж \U0001f3d5', phone="\x7f")
    office.insert("every_type", {"id": 555_000 + len(depth), "single": 0.1, "twofold": -0.0, "floats": [1.5, 1e300],
                                 "big": 2**53, "bytes": b"\x00\x01", "docb": '{"a": "Ж"}', "texts": ["a", None, '"']})  # fmt: skip
    done = workplace.exchange(digests=depth)
    assert done.delta
    theirs = done.delta.last["digests"]
    assert set(theirs) == set(workplace.tables()), "part tables by themselves"
    mine = workplace.digests(buckets=depth == "buckets")
    assert {t: mine[t] for t in mine if mine[t] != theirs[t]} == {}
    assert all(len(of["digest"]) == 16 for of in theirs.values())
    if depth == "buckets":
        assert {len(of["buckets"]) for of in theirs.values()} == {256}
    else:
        assert not any("buckets" in of for of in theirs.values())


def damage(workplace: Workplace, *statements: str) -> None:
    workplace.db.execute("BEGIN")
    workplace.db.execute("INSERT INTO yurt_paused DEFAULT VALUES")
    for statement in statements:
        workplace.db.execute(statement)
    workplace.db.execute("DELETE FROM yurt_paused")
    workplace.db.execute("COMMIT")


@pytest.mark.parametrize("how", ["bucket", "table"])
def test_what_differs_comes_whole_with_the_next_exchange_and_repairs_the_copy(
    office: Office, workplace: Workplace, organisation: str, how: str
) -> None:
    """Lines 138 and 144-146."""
    for n in range(12):
        office.customer(organisation, f"c{n}")
    workplace.exchange()
    kept = workplace.rows("SELECT id FROM customers ORDER BY name LIMIT 3")
    ghost = str(uuid4())
    damage(
        workplace,
        f"UPDATE customers SET name = 'rotten' WHERE id = '{kept[0][0]}'",
        f"DELETE FROM customers WHERE id = '{kept[1][0]}'",
        f"INSERT INTO customers (id, organisation_id, name) VALUES ('{ghost}', '{organisation}', 'ghost')",
    )
    opened = workplace.begin(verify="buckets")
    delta = workplace.pull(opened["id"], "buckets")
    workplace.apply(delta)
    mine = workplace.digests(buckets=True)
    assert not workplace.verified(delta)
    assert {t for t in mine if mine[t]["digest"] != delta.last["digests"][t]["digest"]} == {"customers"}
    theirs = delta.last["digests"]["customers"]["buckets"]
    wrong = [n for n in range(256) if theirs[n] != mine["customers"]["buckets"][n]]
    assert set(wrong) == {bucket_of([key]) for key in (kept[0][0], kept[1][0], ghost)}
    differing = {"customers": wrong if how == "bucket" else []}
    good(workplace.complete(opened["id"], verified=False, differing=differing), 200)
    done = workplace.exchange(digests="tables")
    assert done.delta
    assert workplace.verified(done.delta)
    assert workplace.rows("SELECT 1 FROM customers WHERE id = ?", ghost) == []
    if how == "bucket":
        buckets = done.delta.of("customers", "bucket")
        assert sorted(line["bucket"] for line in buckets) == wrong
        named = {key["id"] for line in buckets for key in line["keys"]}
        assert named == {line["key"]["id"] for line in done.delta.of("customers")}, "all of them follow as puts"
        assert ghost not in named
    assert good(workplace.open(), 200)["idle"] is True, "repaired once"


def test_something_to_repair_is_not_idle(workplace: Workplace) -> None:
    """Line 112."""
    opened = workplace.begin()
    workplace.apply(workplace.pull(opened["id"]))
    good(workplace.complete(opened["id"], verified=False, differing={"customers": [3]}), 200)
    assert good(workplace.open(), 201)["id"]


def test_a_repair_does_not_overwrite_what_is_unsent(office: Office, workplace: Workplace) -> None:
    """Lines 138 and 141."""
    workplace.db.execute("UPDATE customers SET name = 'unsent'")
    opened = workplace.begin()
    workplace.apply(workplace.pull(opened["id"]))
    good(workplace.complete(opened["id"], verified=False, differing={"customers": []}), 200)
    done = workplace.exchange()
    assert done.results == []
    assert workplace.rows("SELECT name FROM customers")[0][0] == "unsent"
    assert office.sql("SELECT 1 FROM customers WHERE name = 'unsent'")


def test_moving_to_another_organisation_removes_here_and_brings_there(office: Office, organisation: str) -> None:
    """Lines 137 and 155: leaving the scope."""
    other = office.organisation()
    values = task(organisation)
    office.insert("tasks", values)
    here, there = office.workplace(organisation, synchronised=True), office.workplace(other, synchronised=True)
    office.sql("UPDATE tasks SET organisation_id = %s WHERE id = %s", other, values["id"])
    first, second = here.exchange().delta, there.exchange().delta
    assert first
    assert second
    assert [line["key"] for line in first.of("tasks", "remove")] == [{"id": values["id"]}]
    assert second.put("tasks", id=values["id"])
    assert here.verified(first)
    assert there.verified(second)


def test_truncate_is_seen(office: Office) -> None:
    """Line 137: whatever removed the rows."""
    office.sql("INSERT INTO entries (organisation_id, booked_on, amount) VALUES (%s, '2026-01-01', 1)", office.first)
    workplace = office.workplace(office.first, synchronised=True)
    office.sql("TRUNCATE entries")
    done = workplace.exchange()
    assert workplace.rows("SELECT 1 FROM entries") == []
    assert done.delta
    assert workplace.verified(done.delta)


def test_a_direct_delta_has_no_file(workplace: Workplace) -> None:
    """Line 142."""
    exchange = workplace.begin()["id"]
    workplace.pull(exchange)
    answer: httpx.Response = workplace.caller.get(f"/exchanges/{exchange}/delta")
    refused(answer, 404, "not_found")
