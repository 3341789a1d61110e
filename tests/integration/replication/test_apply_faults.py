"""Messages under faults and beside others: nothing stands half, nothing twice; decisions about problems."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from shared.replication import capture, problems
from shared.replication.apply import Message, apply_message
from shared.replication.digest import service_digests
from shared.replication.manifest import parse
from shared.replication.model import load
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import converged, line, order, replica, statuses, uid
from tests.integration.replication.test_values import QUOTED, QUOTED_MANIFEST
from tests.integration.replication.tiny_replica import TinyReplica

AREAS = """
CREATE TABLE notes (area integer, id integer, body text, PRIMARY KEY (area, id));
CREATE TABLE note_lines (area integer, note integer, no integer, body text, PRIMARY KEY (area, note, no),
    FOREIGN KEY (area, note) REFERENCES notes);
INSERT INTO notes VALUES (1, 1, 'one'), (2, 1, 'two'), (2, 2, 'two');
INSERT INTO note_lines VALUES (1, 1, 1, 'one'), (2, 1, 1, 'two');
"""
AREAS_MANIFEST = """
[configuration]
name = "notes"
version = "2.0"
title = { en = "Notes" }
isolation = "column"
area_column = "area"
[[aggregates]]
table = "notes"
key = ["id"]
keys = "natural"
parts = [ { table = "note_lines", key = ["note", "no"], parent = "note" } ]
"""


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


def test_the_same_message_from_two_connections_is_applied_once(market: Market) -> None:
    one = replica(market)
    for number in range(1, 200):
        one.put("orders", order(number, note="REFUSE" if number == 5 else None))
    message = Message(1, one.freeze(), "2.0")

    def push(_: int) -> dict[str, Any]:
        with connect(market.url) as conn:
            return apply_message(conn, APPLICATION, market.model, one.name, one.scope, message, "aigul")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(push, range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert market.value("SELECT count(*) FROM orders") == 198
    assert market.value("SELECT count(*) FROM yurt.problems") == 1
    one.outbox, one.sent, one.frozen = None, 1, set()
    converged(market, one)


def test_a_lock_time_out_leaves_nothing_and_the_retry_succeeds(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    one.put("partners", {"id": uid(2), "firm": "A"})
    with psycopg.connect(market.url) as writer:
        writer.execute("UPDATE partners SET name = 'held'")
        market.sql("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            one.push()
        assert market.sql("SELECT number FROM yurt.messages") == []
        writer.commit()
    assert statuses(one.push()) == {1: ("merged", None)}
    converged(market, one)


def test_a_deadlock_or_a_cancelled_statement_in_a_trigger_is_nobody_s_fault(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1))
    for state in ("40P01", "40001", "57014", "53300", "55P03", "XX000"):
        market.sql(
            "CREATE OR REPLACE FUNCTION moody() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'a bad moment' USING ERRCODE = '{state}'; END $$"
        )
        market.sql("CREATE OR REPLACE TRIGGER moody BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION moody()")
        with pytest.raises(psycopg.Error):
            one.push()
    market.sql("DROP FUNCTION moody CASCADE")
    assert one.push()["results"] == []
    converged(market, one)


def test_a_killed_connection_leaves_nothing_and_the_retry_succeeds(market: Market) -> None:
    one = replica(market)
    for number in range(1, 50):
        one.put("orders", order(number))
    body = one.freeze()
    market.sql("CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS"
               " $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$")  # fmt: skip
    market.sql("CREATE TRIGGER wait_here AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION wait_here()")
    market.sql("SELECT pg_advisory_lock(77)")
    failed = threading.Event()

    def push() -> None:
        with pytest.raises(psycopg.OperationalError), connect(market.url) as conn:
            apply_message(conn, APPLICATION, market.model, one.name, one.scope, Message(1, body, "2.0"), "aigul")
        failed.set()

    thread = threading.Thread(target=push)
    thread.start()
    while not market.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ):
        failed.wait(0.01)
    thread.join()
    assert failed.is_set()
    assert market.sql("SELECT * FROM orders") == []
    assert market.sql("SELECT * FROM yurt.messages") == []
    market.sql("SELECT pg_advisory_unlock(77)")
    assert one.push()["results"] == []
    converged(market, one)


def test_a_decision_puts_the_other_version_in_force_and_travels(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    market.sql("INSERT INTO offers (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one, other = replica(market), replica(market, "w2")
    one.put("partners", {"id": uid(1), "note": "mine"})
    one.put("offers", {"id": uid(1), "note": "mine"})
    one.delete("offers", id=uid(2))
    one.put("orders", order(1, partner=uid(5)))
    market.sql("UPDATE partners SET note = 'theirs'")
    market.sql("UPDATE offers SET note = 'theirs'")
    assert {status for status, _ in statuses(one.push()).values()} == {"conflict", "rejected"}
    converged(market, one, other)
    found = problems.list_(market.conn, APPLICATION)["items"]
    assert len(found) == 4
    by_table = {(item["table"], item["key"]["id"]): item["id"] for item in found}
    with pytest.raises(ProtocolProblem) as refused:
        problems.resolve(market.conn, APPLICATION, market.model, by_table["orders", 1], "rejected", None, "boss")
    assert refused.value.code == "foreign_key_violation"
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'B')", uid(5))
    for place, was, then in (
        (("partners", uid(1)), "service", "workplace"),
        (("offers", uid(1)), "workplace", "service"),
        (("offers", uid(2)), "workplace", "service"),
        (("orders", 1), "service", "workplace"),
    ):
        problem = by_table[place]
        before = problems.get(market.conn, APPLICATION, problem)
        assert before is not None
        assert before["in_force"] == was
        after = problems.resolve(market.conn, APPLICATION, market.model, problem, "rejected", "so", "boss")
        assert (after["in_force"], after["state"], after["comment"]) == (then, "rejected", "so")
        with pytest.raises(ProtocolProblem) as again:
            problems.resolve(market.conn, APPLICATION, market.model, problem, "accepted", None, "boss")
        assert again.value.code == "already_resolved"
    assert market.value("SELECT note FROM partners WHERE id = %s", uid(1)) == "mine"
    assert market.sql("SELECT note FROM offers") == [("theirs",), ("theirs",)]
    assert market.value("SELECT partner::text FROM orders") == uid(5)
    converged(market, one, other)


def test_a_version_that_is_no_row_cannot_be_put_in_force(market: Market) -> None:
    one = replica(market)
    rows: list[dict[str, Any]] = [{"id": uid(1)}, {"id": uid(1), "firm": "A", "name": 5}]
    for row in rows:
        one.push(line(table="partners", key={"id": uid(1)}, row=row, parts={"order_lines": [7]}))
        one.pull()
    for item in problems.list_(market.conn, APPLICATION)["items"]:
        with pytest.raises(ProtocolProblem) as caught:
            problems.resolve(market.conn, APPLICATION, market.model, item["id"], "rejected", None, "boss")
        assert caught.value.code in {"invalid_value", "not_null_violation"}


def test_the_other_area_is_neither_seen_nor_touched(fresh_database: str) -> None:
    with connect(fresh_database) as conn:
        conn.execute(AREAS.encode())
        made = {}
        for area in ("1", "2"):
            model = load(conn, parse(AREAS_MANIFEST), area)
            capture.install(conn, f"app{area}", model)
            made[area] = Market(conn, model, fresh_database, f"app{area}")
        market = made["1"]
        one, two = TinyReplica(made["1"], "w1", Scope(None)), TinyReplica(made["2"], "w2", Scope(None))
        assert len(one.pull()) == 1
        assert len(two.pull()) == 2
        market.sql("UPDATE notes SET body = 'x' WHERE area = 2")
        market.sql("UPDATE note_lines SET body = 'x' WHERE area = 2")
        assert one.lines()[1:-1] == []
        two.pull()
        body = json.dumps({"note": 1, "no": 1, "body": "mine"})
        one.put("notes", {"id": 1, "body": "mine"}, {"note_lines": [json.loads(body), {"note": 1, "no": 2}]})
        one.put("notes", {"id": 2, "body": "new"})
        assert one.push()["results"] == []
        one.delete("notes", id=1)
        one.push()
        assert market.sql("SELECT area, id, body FROM notes ORDER BY 1, 2") == [(1, 2, "new"), (2, 1, "x"), (2, 2, "x")]
        assert market.sql("SELECT * FROM note_lines") == [(2, 1, 1, "x")]
        assert two.lines()[1:-1] == []
        forged = line(table="notes", key={"id": 9}, row={"id": 9, "body": None, "area": 2})
        assert statuses(one.push(forged)) == {1: ("rejected", "invalid_value")}
        for each in (one, two):
            each.pull()
            assert each.digests() == service_digests(conn, each.model, each.scope)


def test_quoted_names_travel_both_ways(fresh_database: str) -> None:
    with connect(fresh_database) as conn:
        conn.execute(QUOTED.encode())
        model = load(conn, parse(QUOTED_MANIFEST), None)
        capture.install(conn, APPLICATION, model)
        market = Market(conn, model, fresh_database)
        one, other = TinyReplica(market, "w1", Scope(("а%",))), TinyReplica(market, "w2", Scope(None))
        one.pull()
        other.pull()
        one.put("order", {"select": 1, "скидка 100%": "7"}, {"order lines": [{"select %": 1, "№": 2, "x %s": "%s"}]})
        one.put("order", {"select": 9, "фирма %": "а%"}, {"order lines": [{"select %": 9, "№": 1}]})
        assert one.push(version="1")["results"] == []
        one.scope = Scope(("б",), 2)
        for each in (one, other):
            each.pull(repair={"order": [], "Фирмы %": [1, 2]})
            assert each.digests() == service_digests(conn, model, each.scope)
