"""Page, lines 117-133: messages."""

import gzip
import json
from uuid import uuid4

import pytest

from tests.e2e.contract.lines import delete, new, new_task, order_line, put, task
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace, content_digest, ndjson, sha256
from tests.e2e.contract.service import good, refused

pytestmark = pytest.mark.xdist_group("contract-exchange")


@pytest.fixture
def workplace(office: Office, organisation: str) -> Workplace:
    """A workplace of one organisation with a customer, an order of two lines, and a task."""
    customer = office.customer(organisation, "Customer", phone="1")
    office.order(organisation, customer, comment="first", net="1.00")
    office.insert("tasks", task(organisation, title="task"))
    return office.workplace(organisation)


@pytest.fixture(scope="module")
def untouched(office: Office) -> Workplace:
    """A workplace none of whose messages is ever taken."""
    return office.workplace(office.organisation())


def only(workplace: Workplace, table: str) -> str:
    return str(workplace.rows(f"SELECT id FROM {table}")[0][0])


def test_the_digest_header_must_be_there_and_match_the_bytes_as_sent(workplace: Workplace, organisation: str) -> None:
    """Lines 122-123."""
    opened = workplace.begin()
    body = ndjson(new_task(workplace, organisation))
    refused(workplace.push(opened["id"], 1, body, Content_Digest=None), 400, "digest_missing")
    refused(workplace.push(opened["id"], 1, body, Content_Digest=content_digest(b"other")), 400, "digest_mismatch")
    over_decoded = content_digest(body)
    refused(workplace.push(opened["id"], 1, body, zipped=True, Content_Digest=over_decoded), 400, "digest_mismatch")
    good(workplace.push(opened["id"], 1, body), 200)


def test_a_digest_of_another_algorithm_alone_is_missing(workplace: Workplace, organisation: str) -> None:
    """Line 122."""
    opened = workplace.begin()
    body = ndjson(new_task(workplace, organisation))
    refused(
        workplace.push(opened["id"], 1, body, Content_Digest="md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"), 400, "digest_missing"
    )


def test_the_answer_has_number_decoded_digest_counts_and_results(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 131-132."""
    opened = workplace.begin()
    lines = [new_task(workplace, organisation, seq=n) for n in (3, 7)]
    body = ndjson(*lines)
    answer = good(workplace.push(opened["id"], 1, body, zipped=True), 200)
    assert answer == {
        "message": 1,
        "digest": sha256(body),
        "counts": {"applied": 2, "merged": 0, "conflict": 0, "rejected": 0},
        "results": [],
    }
    assert len(office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s AND title = 't'", organisation)) == 2


def test_the_same_body_under_the_same_number_gets_the_stored_answer_and_is_applied_once(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Line 132."""
    opened = workplace.begin()
    body = ndjson(
        new(
            workplace,
            "entries",
            {"id": lease(workplace, "entries")},
            organisation_id=organisation,
            booked_on="2026-01-01",
            amount="5.00",
        )
    )
    first = good(workplace.push(opened["id"], 1, body), 200)
    office.sql("UPDATE entries SET amount = 6 WHERE organisation_id = %s", organisation)
    assert good(workplace.push(opened["id"], 1, body, zipped=True), 200) == first
    later = workplace.begin(last_message=0, sending=1)
    assert good(workplace.push(later["id"], 1, body), 200) == first
    assert office.one("SELECT amount FROM entries WHERE organisation_id = %s", organisation)["amount"] == 6


def lease(workplace: Workplace, table: str) -> int:
    return int(workplace.rows("SELECT next FROM yurt_ranges WHERE table_name = ?", table)[0][0])


def test_numbers_that_do_not_fit(workplace: Workplace, organisation: str) -> None:
    """Lines 119-120, 132-133."""
    opened = workplace.begin()
    first, second, third = (ndjson(new_task(workplace, organisation)) for _ in range(3))
    gap = refused(workplace.push(opened["id"], 2, first), 409, "message_gap")
    assert gap["expected"] == 1
    good(workplace.push(opened["id"], 1, first), 200)
    refused(workplace.push(opened["id"], 1, second), 409, "message_differs")
    good(workplace.push(opened["id"], 2, second), 200)
    old = refused(workplace.push(opened["id"], 1, first), 409, "message_old")
    assert old["digest"] == sha256(first)
    old = refused(workplace.push(opened["id"], 1, third), 409, "message_old")
    assert old["digest"] == sha256(first)
    assert refused(workplace.push(opened["id"], 9, third), 409, "message_gap")["expected"] == 3


def test_every_answered_message_is_final_whatever_happens_to_the_exchange(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Line 133."""
    opened = workplace.begin()
    workplace.pushed(opened, new_task(workplace, organisation))
    workplace.caller.delete(f"/exchanges/{opened['id']}")
    assert len(office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s AND title = 't'", organisation)) == 1
    assert workplace.begin()["next_message"] == 2


def _damaged(workplace: Workplace, organisation: str) -> dict[str, tuple[bytes, int | None]]:
    fine = ndjson(new_task(workplace, organisation))
    line = new_task(workplace, organisation)

    def without(name: str) -> bytes:
        return ndjson({k: v for k, v in line.items() if k != name})

    return {
        "no JSON": (fine + b"{broken\n", 2),
        "no object": (fine + b"[1]\n", 2),
        "no UTF-8": (fine + b'{"a": "\xff"}\n', 2),
        "unknown op": (fine + ndjson({**line, "op": "upsert"}), 2),
        "missing op": (fine + without("op"), 2),
        "missing key": (fine + without("key"), 2),
        "missing table": (fine + without("table"), 2),
        "empty key": (fine + ndjson({**line, "key": {}}), 2),
        "wrong key": (fine + ndjson({**line, "key": {"ident": 1}}), 2),
        "first line": (b"nonsense\n" + fine, 1),
    }


@pytest.mark.parametrize(
    "damage",
    [
        "no JSON",
        "no object",
        "no UTF-8",
        "unknown op",
        "missing op",
        "missing key",
        "missing table",
        "empty key",
        "wrong key",
        "first line",
    ],
)
def test_a_damaged_body_is_refused_whole_with_its_line(office: Office, untouched: Workplace, damage: str) -> None:
    """Line 133."""
    (organisation,) = untouched.about["organisations"]
    body, line = _damaged(untouched, organisation)[damage]
    opened = untouched.begin()
    problem = refused(untouched.push(opened["id"], 1, body), 400, "invalid_body")
    assert problem["line"] == line
    assert office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s", organisation) == []
    assert untouched.begin()["next_message"] == 1


def test_broken_gzip_and_an_unknown_version_are_an_invalid_body_without_a_line(
    workplace: Workplace, organisation: str
) -> None:
    """Line 133."""
    opened = workplace.begin()
    body = ndjson(new_task(workplace, organisation))
    broken = gzip.compress(body)[:-12]
    answer = workplace.push(opened["id"], 1, broken, Content_Encoding="gzip")
    problem = refused(answer, 400, "invalid_body")
    assert problem["line"] is None
    problem = refused(workplace.push(opened["id"], 1, body, Yurt_Version="0.0.1"), 400, "invalid_body")
    assert problem["line"] is None
    refused(workplace.push(opened["id"], 1, body, Yurt_Version=None), 400, "invalid_body")


def test_a_key_twice_is_refused_whole(office: Office, workplace: Workplace, organisation: str) -> None:
    """Line 130."""
    opened = workplace.begin()
    line = new_task(workplace, organisation)
    refused(workplace.push(opened["id"], 1, ndjson(line, {**line, "seq": 2})), 400, "duplicate_key")
    assert office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s AND title = 't'", organisation) == []


def test_more_than_20000_aggregates_are_too_large(workplace: Workplace, organisation: str) -> None:
    """Line 123."""
    opened = workplace.begin()
    line = json.dumps(new_task(workplace, organisation))
    body = "".join(line.replace(only_id(line), str(uuid4())) + "\n" for _ in range(20_001)).encode()
    refused(workplace.push(opened["id"], 1, body, zipped=True), 413, "message_too_large")


def only_id(line: str) -> str:
    return str(json.loads(line)["key"]["id"])


def test_sizes_of_messages_and_of_one_aggregate(office: Office, workplace: Workplace, organisation: str) -> None:
    """Lines 123-124: 16 MB decoded, 64 MB for one aggregate alone."""
    opened = workplace.begin()
    half = [new_task(workplace, organisation, seq=n, title="x" * 8_100_000) for n in (1, 2)]
    refused(workplace.push(opened["id"], 1, ndjson(*half), zipped=True), 413, "message_too_large")
    alone = ndjson(new_task(workplace, organisation, title="y" * 17_000_000))
    answer = good(workplace.push(opened["id"], 1, alone, zipped=True), 200)
    assert answer["counts"]["applied"] == 1
    beyond = ndjson(new_task(workplace, organisation, title="z" * 64_000_001))
    refused(workplace.push(opened["id"], 2, beyond, zipped=True), 413, "aggregate_too_large")
    office.sql("DELETE FROM tasks WHERE length(title) > 1000")


def test_only_columns_in_before_are_edited(office: Office, workplace: Workplace) -> None:
    """Line 128."""
    customer = only(workplace, "customers")
    line = put(workplace, "customers", {"id": customer}, name="Offline")
    line["row"]["phone"] = "not edited"
    office.sql("UPDATE customers SET discount = 7 WHERE id = %s", customer)
    answer = workplace.pushed(workplace.begin(), line)
    stored = office.one("SELECT name, phone, discount FROM customers WHERE id = %s", customer)
    assert (stored["name"], stored["phone"], stored["discount"]) == ("Offline", "1", 7)
    assert answer["counts"]["merged"] == 1
    assert [r["status"] for r in answer["results"]] == ["merged"]


def test_generated_columns_are_ignored_if_sent(office: Office, workplace: Workplace) -> None:
    """Line 127."""
    order = only(workplace, "orders")
    line = put(workplace, "orders", {"id": order}, net="100.00")
    line["row"]["gross"] = "1.0000"
    answer = workplace.pushed(workplace.begin(), line)
    assert answer["results"] == []
    assert str(office.one("SELECT gross FROM orders WHERE id = %s", order)["gross"]) == "112.0000"


def test_an_absent_part_table_is_unchanged_and_an_empty_list_removes_all(office: Office, workplace: Workplace) -> None:
    """Line 128."""
    order = only(workplace, "orders")
    office.sql("INSERT INTO order_notes VALUES (%s, 1, 'note')", order)
    workplace.exchange()
    opened = workplace.begin()
    workplace.pushed(opened, put(workplace, "orders", {"id": order}, comment="only the root"))
    assert len(office.sql("SELECT 1 FROM order_lines WHERE order_id = %s", order)) == 2
    line = put(workplace, "orders", {"id": order})
    line["base"] = workplace.pull(opened["id"]).last["position"]
    line |= {
        "parts": {"order_lines": []},
        "parts_before": {"order_lines": delete(workplace, "orders", {"id": order})["parts_before"]["order_lines"]},
    }
    assert workplace.pushed(opened, line)["results"] == []
    assert office.sql("SELECT 1 FROM order_lines WHERE order_id = %s", order) == []
    assert len(office.sql("SELECT 1 FROM order_notes WHERE order_id = %s", order)) == 1


def test_lines_equal_in_parts_and_parts_before_keep_the_services_values(office: Office, workplace: Workplace) -> None:
    """Lines 128-129."""
    order = only(workplace, "orders")
    lines = delete(workplace, "orders", {"id": order})["parts_before"]["order_lines"]
    one, two = sorted(lines, key=lambda x: int(x["position"]))
    office.sql("UPDATE order_lines SET price = 99 WHERE id = %s", one["id"])
    edited = {**two, "price": "55.00"}
    line = put(workplace, "orders", {"id": order}) | {
        "parts": {"order_lines": [one, edited]},
        "parts_before": {"order_lines": [one, two]},
    }
    answer = workplace.pushed(workplace.begin(), line)
    assert answer["counts"]["merged"] == 1
    prices = {
        str(r["id"]): r["price"] for r in office.sql("SELECT id, price FROM order_lines WHERE order_id = %s", order)
    }
    assert prices == {one["id"]: 99, two["id"]: 55}


def test_a_line_removed_offline_and_one_added_by_the_service_both_hold(office: Office, workplace: Workplace) -> None:
    """Lines 128-129."""
    order = only(workplace, "orders")
    lines = delete(workplace, "orders", {"id": order})["parts_before"]["order_lines"]
    added = str(uuid4())
    office.insert("order_lines", {"id": added, "order_id": order, "position": 9, "item_id": 1, "quantity": 1})
    line = put(workplace, "orders", {"id": order}) | {
        "parts": {"order_lines": lines[:1]},
        "parts_before": {"order_lines": lines},
    }
    answer = workplace.pushed(workplace.begin(), line)
    assert answer["counts"]["conflict"] == answer["counts"]["rejected"] == 0
    stored = {str(r["id"]) for r in office.sql("SELECT id FROM order_lines WHERE order_id = %s", order)}
    assert stored == {lines[0]["id"], added}


def test_a_new_aggregate_arrives_with_its_lines_whatever_the_order_of_the_message(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 129-130: one set in any order."""
    customer, order = str(uuid4()), str(uuid4())
    late = new(workplace, "customers", {"id": customer}, seq=2, organisation_id=organisation, name="Late")
    early = new(
        workplace,
        "orders",
        {"id": order},
        seq=1,
        parts={"order_lines": [order_line(order)]},
        organisation_id=organisation,
        ordered_on="2026-01-01",
        customer_id=customer,
    )
    answer = workplace.pushed(workplace.begin(), early, late)
    assert answer["results"] == []
    assert len(office.sql("SELECT 1 FROM order_lines WHERE order_id = %s", order)) == 1


@pytest.mark.parametrize("writer", ["service", "workplace"])
def test_a_new_aggregate_on_an_existing_key_is_a_conflict_whoever_wrote_that(
    office: Office, workplace: Workplace, organisation: str, writer: str
) -> None:
    """Line 129."""
    key = str(uuid4())
    line = new(workplace, "customers", {"id": key}, organisation_id=organisation, name="Mine")
    opened = workplace.begin()
    if writer == "service":
        office.insert("customers", {"id": key, "organisation_id": organisation, "name": "Theirs"})
    else:
        workplace.pushed(opened, line)
    answer = workplace.pushed(opened, {**line, "row": {**line["row"], "name": "Mine again"}})
    (result,) = answer["results"]
    assert result["status"] == "conflict"
    assert result["problem"]
    assert answer["counts"]["conflict"] == 1
    stored = office.one("SELECT name FROM customers WHERE id = %s", key)["name"]
    assert stored == ("Theirs" if writer == "service" else "Mine"), "service_wins is the default"


def test_a_delete_removes_the_aggregate_with_its_lines(office: Office, workplace: Workplace) -> None:
    """Lines 129-130."""
    order = only(workplace, "orders")
    answer = workplace.pushed(workplace.begin(), delete(workplace, "orders", {"id": order}))
    assert answer["counts"]["applied"] == 1
    assert office.sql("SELECT 1 FROM orders WHERE id = %s", order) == []
    assert office.sql("SELECT 1 FROM order_lines WHERE order_id = %s", order) == []


def test_what_a_client_froze_from_triggers_is_taken_as_it_is(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 117-130, from the replica's own capture: edits, a new document with lines, a delete."""
    order, customer = only(workplace, "orders"), only(workplace, "customers")
    db, fresh = workplace.db, str(uuid4())
    db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [customer])
    db.execute("UPDATE order_lines SET quantity = '5.000' WHERE order_id = ? AND position = 1", [order])
    db.execute(
        "INSERT INTO orders (id, organisation_id, ordered_on, customer_id) VALUES (?, ?, '2026-07-07', ?)",
        [fresh, organisation, customer],
    )
    db.execute(
        "INSERT INTO order_lines (id, order_id, position, item_id, quantity) VALUES (?, ?, 1, 1, '1')",
        [str(uuid4()), fresh],
    )
    db.execute("DELETE FROM tasks")
    done = workplace.exchange()
    assert done.results == []
    assert done.answers[0]["counts"]["applied"] == 4
    assert office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s", organisation) == []
    number = office.one("SELECT number FROM orders WHERE id = %s", fresh)["number"]
    assert number.startswith(f"{workplace.state('prefix')}-")
    assert done.delta
    assert workplace.verified(done.delta)


def test_edits_after_freezing_go_with_the_next_message_and_meet_no_conflict(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 117-122: even when the first answer never came."""
    fresh = str(uuid4())
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 'new', 0)", [fresh, organisation])
    opened = workplace.begin()
    body = workplace.freeze(opened["next_message"])
    workplace.db.execute("UPDATE tasks SET title = 'newer' WHERE id = ?", [fresh])
    good(workplace.push(opened["id"], opened["next_message"], body), 200)  # and the answer is lost
    done = workplace.exchange()
    assert done.opening["last_result"]["counts"]["applied"] == 1
    assert done.results == []
    assert office.one("SELECT title FROM tasks WHERE id = %s", fresh)["title"] == "newer"
    office.sql("UPDATE tasks SET done = true WHERE id = %s", fresh)
    workplace.exchange()
    assert workplace.row("SELECT title, done FROM tasks WHERE id = ?", fresh) == {"title": "newer", "done": 1}


def test_a_held_message_whose_number_no_longer_fits_goes_under_the_next(office: Office, organisation: str) -> None:
    """Lines 119-120."""
    workplace = office.workplace(organisation)
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 'held', 0)", [str(uuid4()), organisation])
    body = workplace.freeze(5)
    opened = workplace.begin()
    assert opened["next_message"] == 1
    assert refused(workplace.push(opened["id"], 5, body), 409, "message_gap")["expected"] == 1
    good(workplace.push(opened["id"], 1, body), 200)
    assert len(office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s", organisation)) == 1
