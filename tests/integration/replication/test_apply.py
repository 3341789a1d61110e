"""Messages applied to a difficult application: what is refused, what stands, what comes back."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from shared.replication import capture
from shared.replication.digest import service_digests
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.tiny_replica import Document, TinyReplica


def uid(number: int) -> str:
    return str(UUID(int=number))


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


def replica(market: Market, name: str = "w1", organisations: tuple[str, ...] | None = ("A", "B")) -> TinyReplica:
    made = TinyReplica(market, name, Scope(organisations))
    made.pull()
    return made


def converged(market: Market, *replicas: TinyReplica) -> None:
    """Each replica equals its scope, and nothing more comes."""
    for one in replicas:
        one.pull()
        wanted = service_digests(market.conn, market.model, one.scope)
        assert one.digests() == wanted
        assert one.lines()[1:-1] == []


def statuses(answer: Document) -> dict[int, tuple[str, str | None]]:
    return {result["seq"]: (result["status"], result["code"]) for result in answer["results"]}


def line(**fields: Any) -> bytes:
    return json.dumps({"seq": 1, "op": "put", "base": None, "before": {}} | fields).encode() + b"\n"


ORDER = {"firm": "B", "number": "N1", "ordered_on": "2024-05-01", "total": "0.00", "created": None, "partner": None,
         "note": None}  # fmt: skip


def order(key: int, **more: Any) -> Document:
    return {**ORDER, "id": key, "number": f"N{key}", **more}


def test_a_partner_stored_exactly_never_comes_back(market: Market) -> None:
    one, other = replica(market), replica(market, "w2")
    one.put("partners", {"id": uid(1), "firm": "A", "name": "x", "weight": 0.1})
    assert one.push()["counts"] == {"applied": 1, "merged": 0, "conflict": 0, "rejected": 0}
    assert one.lines()[1:-1] == []
    assert [found["key"] for found in other.pull()] == [{"id": uid(1)}]
    one.put("partners", {"id": uid(1), "note": "edited"})
    one.push()
    one.delete("partners", id=uid(1))
    one.push()
    assert one.lines()[1:-1] == []
    converged(market, one, other)


def test_every_type_of_an_item_is_stored_exactly(market: Market) -> None:
    one = replica(market)
    one.put(
        "items",
        {"id": uid(1), "name": "n", "shade": "red", "price": "1.50", "tags": ['a"b', None, "ә"], "photo": "AAH/",
         "thumbs": ["AAE=", None], "unit": "kg  ", "sold": "0"},
    )  # fmt: skip
    assert one.push()["results"] == []
    assert one.lines()[1:-1] == []
    assert market.sql("SELECT photo, thumbs, unit, secret, tags FROM items") == [
        (b"\x00\x01\xff", [b"\x00\x01", None], "kg  ", "kept", ['a"b', None, "ә"])
    ]
    converged(market, one)


def test_what_triggers_change_comes_back_and_then_nothing_more(market: Market) -> None:
    one = replica(market)
    one.put("items", {"id": uid(1), "name": "n", "sold": "0"})
    one.put("orders", order(1, note="two  spaces"), {"order_lines": [
        {"order_id": 1, "no": 1, "item": uid(1), "qty": "2.000", "price": "3.00"}]})  # fmt: skip
    assert one.push()["counts"]["applied"] == 2
    assert {found["table"] for found in one.pull()} == {"orders", "items"}
    stored = one.at("orders", id=1)
    assert stored is not None
    assert (stored["row"]["total"], stored["row"]["note"]) == ("6.00", "two spaces")
    assert market.value("SELECT internal FROM orders") == "internal"
    converged(market, one)


def test_a_generated_column_of_a_root_or_a_part_comes_back(market: Market) -> None:
    one = replica(market)
    one.put("offers", {"id": uid(1), "firm": "A", "note": "quiet"})
    one.put("orders", order(1, created="2024-05-01T00:00:00.000000Z"))
    one.push()
    converged(market, one)
    one.put("orders", {"id": 1}, {"order_marks": [{"order_id": 1, "id": 5, "length": 4}]})
    one.push()
    assert [found["parts"]["order_marks"] for found in one.pull()] == [
        [{"order_id": 1, "id": 5, "length": 4, "doubled": 8}]
    ]
    converged(market, one)


@pytest.mark.parametrize(
    ("table", "row", "code"),
    [
        ("orders", order(1, note="REFUSE"), "application_error"),
        ("orders", order(1, note="CUSTOM"), "application_error"),
        ("orders", order(1, note="BUG"), "application_error"),
        ("orders", order(1, note="SKIP"), "application_error"),
        ("orders", order(1, firm="A", ordered_on="2024-03-31"), "closed_period"),
        ("orders", order(1, number="TAKEN"), "unique_violation"),
        ("orders", order(1, number="".join(str(uid(n * 7**40)) for n in range(300))), "invalid_value"),
        ("orders", order(1, number=None), "not_null_violation"),
        ("orders", order(1, partner=uid(99)), "foreign_key_violation"),
        ("orders", order(1, ordered_on="2024-02-31"), "invalid_value"),
        ("orders", order(1, firm="C"), "outside_scope"),
        ("orders", order(1, firm=None), "outside_scope"),
        ("orders", order(1, total="1e20"), "invalid_value"),
        ("orders", order(1, internal="x"), "invalid_value"),
        ("items", {"id": uid(1), "name": "n", "price": "-1", "sold": "0"}, "check_violation"),
        ("items", {"id": uid(1), "name": "n", "shade": "blue", "sold": "0"}, "invalid_value"),
        ("items", {"id": uid(1), "name": "N\x00L", "sold": "0"}, "invalid_value"),
        ("items", {"id": uid(1), "name": "n", "tags": [["a"], "b"], "sold": "0"}, "invalid_value"),
        ("deals", {"id": uid(1), "firm": "A", "offer": uid(9)}, "foreign_key_violation"),
        ("firms", {"id": "D", "title": "new"}, "outside_scope"),
    ],
)
def test_each_refusal_is_a_problem_and_the_rest_stands(market: Market, table: str, row: Document, code: str) -> None:
    market.sql(
        "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE"
        " VALUES (9, 'A', 'TAKEN', '2024-06-01')"
    )
    one = replica(market)
    one.put("partners", {"id": uid(7), "firm": "A", "name": "good"})
    one.put(table, row)
    one.put("partners", {"id": uid(8), "firm": "B", "name": "good too"})
    answer = one.push()
    assert statuses(answer) == {2: ("rejected", code)}
    assert answer["counts"] == {"applied": 2, "merged": 0, "conflict": 0, "rejected": 1}
    kept = market.sql("SELECT id::text, kind, code, in_force, pushed->'row'->'firm', state FROM yurt.problems")
    assert kept == [(answer["results"][0]["problem"], "rejected", code, "service", row.get("firm"), "open")]
    assert [found["op"] for found in one.pull()] == ["remove"]
    converged(market, one)


def test_unknown_and_read_only_tables_are_refused_alone(market: Market) -> None:
    one = replica(market)
    one.put("rates", {"currency": "KZT", "on_date": "2024-01-01", "rate": "2"})
    one.put("partners", {"id": uid(7), "firm": "A"})
    body = one.freeze() + line(seq=9, table="no such", key={"a": 1}, row={"a": "b"})
    assert statuses(one.push(body)) == {1: ("rejected", "read_only"), 9: ("rejected", "unknown_table")}
    converged(market, one)


def test_a_line_with_null_in_its_key_is_refused_alone(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1), {"order_lines": [{"order_id": 1, "no": None}]})
    one.put("orders", order(2), {"order_lines": [{"order_id": 1, "no": 1}]})
    one.put("orders", order(3), {"order_lines": [{"order_id": 3, "no": 1}, {"order_id": 3, "no": 1}]})
    one.put("orders", order(4))
    assert statuses(one.push()) == dict.fromkeys((1, 2, 3), ("rejected", "invalid_value"))
    converged(market, one)


def test_one_bad_aggregate_never_stops_a_thousand(market: Market) -> None:
    one = replica(market)
    for number in range(1, 1001):
        one.put("orders", order(number, note="REFUSE" if number == 777 else "fine"))
    answer = one.push()
    assert answer["counts"] == {"applied": 999, "merged": 0, "conflict": 0, "rejected": 1}
    assert market.value("SELECT count(*) FROM orders") == 999
    converged(market, one)


def test_a_number_freed_by_a_delete_in_the_same_message_is_free(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, number="FREE"))
    one.push()
    one.pull()
    one.delete("orders", id=1)
    one.put("orders", order(2, number="FREE"))
    assert one.push()["counts"]["applied"] == 2
    converged(market, one)


def test_parents_children_and_cycles_come_in_any_order_beside_a_bad_one(market: Market) -> None:
    one = replica(market)
    one.put("partners", {"id": uid(3), "firm": "A", "parent": uid(2)})
    one.put("partners", {"id": uid(2), "firm": "A", "parent": uid(1)})
    one.put("orders", order(1, partner=uid(3)))
    one.put("orders", order(2, note="REFUSE"))
    one.put("deals", {"id": uid(1), "firm": "A", "offer": uid(1)})
    one.put("partners", {"id": uid(1), "firm": "A"})
    one.put("offers", {"id": uid(1), "firm": "A", "deal": uid(1)})
    assert statuses(one.push()) == {4: ("rejected", "application_error")}
    one.pull()
    for number in (1, 2, 3):
        one.delete("partners", id=uid(number))
    one.delete("orders", id=1)
    assert one.push()["counts"]["applied"] == 4
    converged(market, one)


def test_two_that_need_each_other_come_together_and_go_together(market: Market) -> None:
    one = replica(market)
    one.put("deals", {"id": uid(1), "firm": "A", "offer": uid(2)})
    one.put("offers", {"id": uid(2), "firm": "A", "deal": uid(1), "note": "n"})
    assert one.push()["results"] == []
    one.pull()
    one.delete("deals", id=uid(1))
    one.delete("offers", id=uid(2))
    assert one.push()["results"] == []
    converged(market, one)


def test_a_child_of_a_refused_parent_is_refused_too(market: Market) -> None:
    one = replica(market)
    one.put("partners", {"id": uid(1), "firm": "C"})
    one.put("orders", order(1, partner=uid(1)))
    assert statuses(one.push()) == {1: ("rejected", "outside_scope"), 2: ("rejected", "foreign_key_violation")}
    converged(market, one)


def test_a_resent_message_gets_the_stored_answer(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, note="REFUSE"))
    one.put("orders", order(2))
    body = one.freeze()
    answer = one.push()
    assert one.send(1, body) == answer
    assert market.value("SELECT count(*) FROM yurt.problems") == 1
    for number, code in ((3, "message_gap"), (1, "message_differs"), (0, "message_old")):
        with pytest.raises(ProtocolProblem) as caught:
            one.send(number, body + b"\n")
        assert caught.value.code == code
    one.send(2, b"")
    with pytest.raises(ProtocolProblem) as old:
        one.send(1, body)
    assert (old.value.code, old.value.extra) == ("message_old", {"digest": answer["digest"]})
    with pytest.raises(ProtocolProblem) as gap:
        one.send(9, body)
    assert gap.value.extra == {"expected": 3}


def test_a_message_that_cannot_be_read_changes_nothing(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1))
    good = one.freeze()
    for bad in (b"{", b"[]", b'{"seq":1}', good):
        with pytest.raises(ProtocolProblem) as caught:
            one.send(1, good + bad)
        assert caught.value.extra["line"] == 2
    with pytest.raises(ProtocolProblem) as version:
        one.send(1, good, "0.1")
    assert (version.value.code, version.value.extra) == ("invalid_body", {"line": None})
    assert market.sql("SELECT * FROM orders") == []
    assert one.push()["results"] == []


def test_a_key_that_the_database_cannot_hold_is_refused_alone_and_removed(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1))
    one.put("orders", order(99999999999, note="too far"))
    answer = one.push()
    assert statuses(answer) == {2: ("rejected", "invalid_value")}
    assert {"op": "remove", "table": "orders", "key": {"id": 99999999999}} in one.pull()
    converged(market, one)
    one.put("orders", {**order(88888888888), "number": 5})  # refused for its row already
    assert statuses(one.push()) == {1: ("rejected", "invalid_value")}
    converged(market, one)
    assert market.value("SELECT count(*) FROM yurt.problems") == 2


def test_what_is_held_under_another_spelling_of_a_key_is_removed(market: Market) -> None:
    one, other = replica(market, "w1", None), replica(market, "w2", None)
    upper = "ABCDEF00-0000-0000-0000-000000000001"
    one.put("partners", {"id": upper, "firm": "A", "note": "mine"})
    one.put("visits", {"firm": "A", "at": "2024-05-01T00:00:00Z", "level": "1", "note": "v"})
    assert one.push()["counts"]["applied"] == 2
    lines = one.pull()
    assert {"op": "remove", "table": "partners", "key": {"id": upper}} in lines
    assert one.at("partners", id=upper.lower())["row"]["note"] == "mine"  # type: ignore[index]
    assert one.at("visits", firm="A", at="2024-05-01T00:00:00.000000Z", level="1.00") is not None
    converged(market, one, other)
    one.put("units", {"code": "kg", "title": "again"})
    assert one.push()["counts"]["conflict"] == 1
    converged(market, one)
    assert one.at("units", code="kg") is None
    assert one.at("units", code="kg  ") is not None


def test_two_spellings_of_one_key_are_one_key(market: Market) -> None:
    one = replica(market)
    visit = {"firm": "A", "at": "2024-05-01T10:00:00.000000Z", "level": "1.50"}
    one.put("visits", visit | {"note": "here"})
    assert one.push()["results"] == []
    converged(market, one)
    market.sql("UPDATE visits SET note = 'there'")
    one.put("visits", visit | {"note": "here again"})
    assert statuses(one.push()) == {1: ("conflict", "conflict")}
    converged(market, one)
    row = visit | {"note": None}
    twice = line(seq=1, table="visits", key=visit, row=row) + line(
        seq=2, table="visits", key=visit | {"level": "1.5"}, row=row | {"level": "1.5"}
    )
    with pytest.raises(ProtocolProblem) as caught:
        one.push(twice)
    assert (caught.value.code, caught.value.extra["line"]) == ("duplicate_key", 2)


def test_lines_and_records_of_others_cannot_be_taken(market: Market) -> None:
    values = "('C', 'C1', '2024-06-01'), ('B', 'B1', '2024-06-01')"
    market.sql(f"INSERT INTO orders (firm, number, ordered_on) VALUES {values}")
    market.sql("INSERT INTO order_marks VALUES (1, 10, 1), (2, 20, 2)")
    one = replica(market)
    one.put("orders", {"id": 2}, {"order_marks": [{"order_id": 2, "id": 10, "length": 9}]})
    forged = order(1, firm="B")
    forgery = line(seq=2, table="orders", key={"id": 1}, base=one.position, row=forged, before={"firm": "C"})
    body = one.freeze() + forgery
    assert statuses(one.push(body)) == {1: ("rejected", "unique_violation"), 2: ("rejected", "outside_scope")}
    assert market.sql("SELECT order_id, id, length FROM order_marks ORDER BY id") == [(1, 10, 1), (2, 20, 2)]
    one.pull()
    stolen = line(seq=1, table="orders", key={"id": 1}, op="delete", base=one.position, before=forged)
    assert statuses(one.push(stolen)) == {1: ("rejected", "outside_scope")}
    assert market.sql("SELECT service FROM yurt.problems WHERE code = 'outside_scope'") == [(None,), (None,)]
    converged(market, one)


def test_a_record_cannot_be_moved_into_a_foreign_organisation(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    one, both = replica(market, "w1", ("A",)), replica(market, "w2")
    one.put("partners", {"id": uid(1), "firm": "B"})
    assert statuses(one.push()) == {1: ("rejected", "outside_scope")}
    both.put("partners", {"id": uid(1), "firm": "B"})
    assert both.push()["results"] == []
    converged(market, one, both)
    assert one.at("partners", id=uid(1)) is None


def test_columns_not_edited_and_excluded_keep_the_service_s_value(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, name, note, code) VALUES (%s, 'A', 'name', 'note', '1')", uid(1))
    market.sql("INSERT INTO orders (firm, number, ordered_on, internal) VALUES ('B', 'B1', '2024-06-01', 'own')")
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "workplace"})
    one.put("orders", {"id": 1, "note": "workplace"})
    market.sql("UPDATE partners SET name = 'service'")
    assert statuses(one.push()) == {1: ("merged", None)}
    assert market.sql("SELECT name, note, code FROM partners") == [("service", "workplace", "1")]
    assert market.value("SELECT internal FROM orders") == "own"
    converged(market, one)


def test_closed_periods_count_before_and_after_and_for_lines_and_deletes(market: Market) -> None:
    market.sql("DELETE FROM closings")
    one = replica(market, "w1", ("A",))
    for number in range(1, 5):
        one.put("orders", order(number, firm="A", ordered_on="2024-03-31" if number != 2 else "2024-04-01"))
    one.push()
    one.pull()
    market.sql("INSERT INTO closings VALUES ('A', '2024-03-31')")
    one.put("orders", {"id": 1, "ordered_on": "2024-04-02"})
    one.put("orders", {"id": 2, "ordered_on": "2024-03-31"})
    one.put("orders", {"id": 3}, {"order_lines": [{"order_id": 3, "no": 1}]})
    one.delete("orders", id=4)
    assert statuses(one.push()) == dict.fromkeys(range(1, 5), ("rejected", "closed_period"))
    converged(market, one)


def test_a_stale_date_that_was_not_edited_is_no_closed_period(market: Market) -> None:
    market.sql("DELETE FROM closings")
    one = replica(market, "w1", ("A",))
    one.put("orders", order(1, firm="A", ordered_on="2024-03-31"))
    one.push()
    one.pull()
    market.sql("UPDATE orders SET ordered_on = '2024-04-05'")
    market.sql("INSERT INTO closings VALUES ('A', '2024-03-31')")
    one.put("orders", {"id": 1, "note": "still open"})
    assert statuses(one.push()) == {1: ("merged", None)}
    converged(market, one)


def test_an_edit_made_before_the_rejection_was_known_waits_behind_it(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, note="REFUSE"))
    one.freeze()
    one.put("orders", {"id": 1, "note": "fine"})
    edited = one.changes
    one.push()
    assert edited
    assert edited[next(iter(edited))].base == one.position
    assert statuses(one.push()) == {1: ("rejected", "after_rejection")}
    converged(market, one)
    one.put("orders", order(1, note="fine"))
    assert one.push()["results"] == []
    converged(market, one)


@pytest.mark.parametrize("generated", [True, False])
def test_a_conflict_comes_back_and_then_all_are_equal(market: Market, generated: bool) -> None:
    table = "offers" if generated else "partners"
    market.sql(f"INSERT INTO {table} (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one, other = replica(market), replica(market, "w2")
    for workplace in (one, other):
        workplace.put(table, {"id": uid(1), "note": workplace.name})
    one.delete(table, id=uid(2))
    other.put(table, {"id": uid(2), "note": "edited"})
    one.push()
    assert statuses(other.push()) == {1: ("conflict", "conflict"), 2: ("conflict", "conflict")}
    note = market.value(f"SELECT note FROM {table} WHERE id = %s", uid(1))
    assert note == ("w2" if generated else "w1")  # workplace_wins, service_wins
    assert market.value(f"SELECT count(*) FROM {table}") == (2 if generated else 1)
    converged(market, one, other)


def test_delete_against_an_edit_of_the_service(market: Market) -> None:
    for table in ("offers", "partners"):
        market.sql(f"INSERT INTO {table} (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one = replica(market)
    for table in ("offers", "partners"):
        one.delete(table, id=uid(1))
        one.delete(table, id=uid(2))
        market.sql(f"UPDATE {table} SET note = 'new' WHERE id = %s", uid(1))
        market.sql(f"DELETE FROM {table} WHERE id = %s", uid(2))
    answer = one.push()
    assert [found["code"] for found in answer["results"]] == ["conflict", "conflict"]
    assert market.sql("SELECT count(*) FROM offers UNION ALL SELECT count(*) FROM partners") == [(0,), (1,)]
    columns = "table_name, service->'row'->>'note', pushed, op, columns"
    versions = market.sql(f"SELECT {columns} FROM yurt.problems ORDER BY 1")
    assert versions == [("offers", "new", None, "delete", ["*"]), ("partners", "new", None, "delete", ["*"])]
    converged(market, one)


def test_a_base_from_the_future_hides_no_conflict(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET note = 'theirs'")
    generation = str(one.position).partition(".")[0].encode()
    body = one.freeze().replace(json.dumps(one.position).encode(), b'"%s.999999999:999999999:"' % generation)
    assert statuses(one.push(body)) == {1: ("conflict", "conflict")}
    converged(market, one)


def test_a_base_of_another_generation_hides_no_conflict(market: Market) -> None:
    """After a restore its numbers are those of other transactions: nobody can tell what it has seen."""
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    one.put("partners", {"id": uid(2), "name": "mine"})
    market.sql("UPDATE partners SET note = 'theirs'")
    one.pull()
    body = one.freeze()
    capture.restored(market.conn, APPLICATION)
    assert statuses(one.push(body)) == {1: ("conflict", "conflict"), 2: ("merged", None)}
    with pytest.raises(ProtocolProblem, match="shortened"):
        one.lines()
    one.pull(reset=True)
    converged(market, one)


def test_messages_of_an_older_version_are_translated(market: Market) -> None:
    one = replica(market)
    one.put("partners", {"id": uid(1), "firm": "A", "note": "said"})
    one.put("orders", order(1), {"order_lines": [{"order_id": 1, "no": 1, "note": "x"}]})
    documents = [json.loads(found) for found in one.freeze().splitlines()]
    documents[0]["row"]["remark"] = documents[0]["row"].pop("note")
    del documents[0]["row"]["weight"]
    written = documents[1]["parts"]["order_lines"][0]
    written["comment"] = written.pop("note")
    del written["price"]
    one.outbox = (1, b"\n".join(json.dumps(found).encode() for found in documents))
    assert one.push(version="1.0")["results"] == []
    assert market.sql("SELECT note, weight FROM partners") == [("said", 1.5)]
    assert market.sql("SELECT note, price::text FROM order_lines") == [("x", "7.00")]


def test_hostile_leftovers_of_a_change_are_refused_alone(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET note = 'theirs'")
    document = json.loads(one.freeze())
    hostile: list[dict[str, Any]] = [
        {"parts_before": {"order_lines": None}},
        {"parts_before": {"order_lines": [5]}},
        {"parts": {"order_lines": []}},
        {"row": document["row"] | {"id": None}},
        {"row": document["row"] | {"note": {"a": [[["deep"]]]}}},
        {"row": document["row"] | {"extra\x00": "NUL"}},
    ]
    for damage in hostile:
        body = json.dumps(document | damage).encode()
        assert statuses(one.push(body)) == {1: ("rejected", "invalid_value")}, damage
        generation = str(one.position).partition(".")[0]
        document["base"] = f"{generation}.{market.value('SELECT pg_current_snapshot()::text')}"
    body = json.dumps(document | {"before": {"note": None, "no such\x00": 1}}).encode()
    assert one.push(body)["counts"]["rejected"] == 0
    converged(market, one)
