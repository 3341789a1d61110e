"""Deltas and openings: what a position has not seen, and what changes of scope take away and bring."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from shared.replication import capture, opening, ranges, stage
from shared.replication.delta_rows import AggregateRows
from shared.replication.digest import service_digests
from shared.replication.opening import Opening
from shared.replication.scope import Scope
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import converged, order, replica, uid
from tests.integration.replication.tiny_replica import TinyReplica


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


def partner(market: Market, number: int, firm: str = "A", **more: Any) -> None:
    market.sql(
        "INSERT INTO partners (id, firm, name) VALUES (%s, %s, %s)", uid(number), firm, more.get("name", f"p{number}")
    )


def keys(lines: list[dict[str, Any]], op: str = "put") -> list[int]:
    return sorted(
        int(line["key"]["id"].replace("-", ""), 16)
        for line in lines
        if line["op"] == op and line["table"] == "partners"
    )


@contextmanager
def writer(market: Market, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the application's own, left open."""
    with psycopg.connect(market.url) as conn:
        for statement in statements:
            conn.execute(statement.encode())
        yield conn


def test_an_open_transaction_arrives_with_the_next_delta_and_nothing_twice(market: Market) -> None:
    one = replica(market)
    with writer(market, f"INSERT INTO partners (id, firm) VALUES ('{uid(1)}', 'A')") as slow:
        partner(market, 2)
        assert keys(one.pull()) == [2]
        assert one.pull() == []
        with writer(market, f"INSERT INTO partners (id, firm) VALUES ('{uid(3)}', 'A')") as aborted:
            partner(market, 4)
            aborted.rollback()
        slow.commit()
    assert keys(one.pull()) == [1, 4]
    assert one.pull() == []
    converged(market, one)


def test_rows_that_enter_leave_and_cross_the_scope(market: Market) -> None:
    for number, firm in enumerate("ABCCAB", start=1):
        partner(market, number, firm)
    one, other = replica(market, "w1", ("A",)), replica(market, "w2", ("B", "C"))
    for number, firm in ((1, "B"), (2, "A"), (3, "A"), (4, "B")):
        market.sql("UPDATE partners SET firm = %s WHERE id = %s", firm, uid(number))
    market.sql("UPDATE partners SET firm = 'B' WHERE id = %s", uid(3))
    market.sql("DELETE FROM partners WHERE id IN (%s, %s)", uid(5), uid(6))
    lines = one.pull()
    assert (keys(lines), keys(lines, "remove")) == ([2], [1, 3, 5])  # 3 came and left: nobody knows it
    lines = other.pull()
    assert (keys(lines), keys(lines, "remove")) == ([1, 3, 4], [2, 6])
    converged(market, one, other)


def test_widening_brings_the_old_and_narrowing_takes_it_with_what_changed_meanwhile(market: Market) -> None:
    for number, firm in enumerate("AABBCC", start=1):
        partner(market, number, firm)
    one = replica(market, "w1", ("A", "B"))
    market.sql("UPDATE partners SET name = 'changed' WHERE id = ANY(%s)", [uid(1), uid(3), uid(5)])
    market.sql("UPDATE partners SET firm = 'C' WHERE id = %s", uid(2))
    market.sql("UPDATE partners SET firm = 'A' WHERE id = %s", uid(4))
    market.sql("DELETE FROM partners WHERE id = %s", uid(6))
    one.scope = Scope(("B", "C"), 2)
    lines = one.pull()
    assert (keys(lines), keys(lines, "remove")) == ([2, 3, 5], [1, 4])
    converged(market, one)
    for organisations in (None, ("C",), ("A", "C"), ("A",), None, ("B",)):
        one.scope = Scope(organisations, one.scope.version + 1)
        market.sql("UPDATE partners SET firm = CASE firm WHEN 'A' THEN 'B' WHEN 'B' THEN 'C' ELSE 'A' END")
        converged(market, one)


def test_truncate_empties_and_what_came_after_stays(market: Market) -> None:
    for number in range(1, 400):
        partner(market, number)
    market.sql("INSERT INTO orders (firm, number, ordered_on) SELECT 'B', n, '2024-05-01' FROM generate_series(1, 9) n")
    market.sql("INSERT INTO order_marks SELECT id, id, 1 FROM orders")
    one = replica(market)
    market.sql("TRUNCATE partners CASCADE")
    partner(market, 5)
    converged(market, one)
    assert set(one.rows) >= {("partners", f'{{"id":"{uid(5)}"}}')}


def test_repair_brings_whole_buckets_and_whole_tables(market: Market) -> None:
    for number in range(1, 300):
        partner(market, number)
    market.sql("INSERT INTO orders (firm, number, ordered_on) SELECT 'B', n, '2024-05-01' FROM generate_series(1, 9) n")
    market.sql("INSERT INTO order_lines SELECT id, 1 FROM orders")
    one = replica(market)
    wanted = service_digests(market.conn, market.model, one.scope)
    places = sorted(one.rows)
    for place in places[::7]:
        del one.rows[place]
    for place in places[1::7]:
        one.rows[place]["row"]["note"] = "damaged"
    one.rows["partners", f'{{"id":"{uid(999)}"}}'] = {"row": dict.fromkeys(["id"], uid(999)), "parts": {}}
    market.sql("UPDATE partners SET note = 'meanwhile' WHERE id = %s", uid(2))
    one.pull(repair={"partners": list(range(256)), "order_lines": [], "units": [], "firms": [], "rates": []})
    assert one.digests().keys() == wanted.keys()
    assert one.digests() == service_digests(market.conn, market.model, one.scope)
    converged(market, one)


def test_digests_describe_the_delta_s_own_cut(market: Market) -> None:
    partner(market, 1)
    one = replica(market)
    for buckets in ("tables", "buckets"):
        partner(market, 2 + len(buckets))
        found = one.lines(digests=buckets)
        one.pull()
        told = found[-1]["digests"].items()
        assert {table: {"rows": one_["rows"], "digest": one_["digest"]} for table, one_ in told} == one.digests()


def test_a_reset_is_the_whole_scope_and_keeps_what_is_unsent(market: Market) -> None:
    partner(market, 1)
    partner(market, 2, "C")
    one = replica(market)
    one.put("partners", {"id": uid(3), "firm": "A"})
    one.rows["partners", f'{{"id":"{uid(9)}"}}'] = {"row": {}, "parts": {}}
    found = one.lines(reset=True)[0]
    assert (found["from"], found["reset"], found["estimate"]) == (None, True, 7)
    one.pull(reset=True)
    assert one.push()["counts"]["applied"] == 1
    converged(market, one)


def inspect(market: Market, one: TinyReplica, **more: Any) -> Opening:
    attachment = capture.state(market.conn, APPLICATION)
    assert attachment is not None
    known: dict[str, Any] = {"scope_before": one.scope, "scope_now": one.scope, "position": one.position}
    known |= {"fresh": False, "generation": attachment.generation, "last_message": one.sent, "sending": None} | more
    return opening.inspect(market.conn, APPLICATION, market.model, one.name, **known)


def test_an_opening_is_idle_until_something_in_scope_changes(market: Market) -> None:
    one = replica(market, "w1", ("A",))
    assert inspect(market, one).idle
    partner(market, 1, "C")
    idle = inspect(market, one)
    assert idle.idle
    one.position = idle.position
    with writer(market, f"UPDATE partners SET firm = 'A' WHERE id = '{uid(1)}'") as slow:
        still = inspect(market, one)
        assert still.idle
        one.position = still.position
        slow.commit()
    assert not inspect(market, one).idle
    assert keys(one.pull()) == [1]
    one.put("partners", {"id": uid(2), "firm": "A"})
    one.push()
    assert inspect(market, one).idle
    one.put("orders", order(1, firm="C"))
    one.push()
    assert not inspect(market, one).idle


def test_another_generation_and_a_future_position_ask_for_a_resync(market: Market) -> None:
    one = replica(market)
    assert inspect(market, one, generation="other").resync == "generation"
    generation = str(one.position).partition(".")[0]
    for position in (f"{generation}.999999999:999999999:", "no position", "", f"{generation}.5:3:", "5:5:", "abc.5:5:"):
        assert inspect(market, one, position=position).resync == "generation"
    assert inspect(market, one, scope_before=None).resync == "too_old"
    assert inspect(market, one).resync is None


def test_an_older_replica_is_found_until_it_has_what_it_lacks(market: Market) -> None:
    one = replica(market)
    before = one.position
    one.put("partners", {"id": uid(1), "firm": "A"})
    body = one.freeze()
    assert inspect(market, one, sending=1).resync is None
    one.send(1, body)
    lost = inspect(market, one, sending=1)
    assert (lost.resync, lost.next_message) == (None, 2)
    assert lost.last_result
    assert lost.last_result["counts"]["applied"] == 1
    for _ in range(2):  # a reset that was not applied must be asked for again
        assert inspect(market, one, last_message=0).resync == "replica_is_older"
    one.position = None
    one.pull()
    assert inspect(market, one, last_message=0).resync is None
    assert inspect(market, one, last_message=1, position=before).resync is None


def test_a_package_cut_before_the_last_message_lacks_it(market: Market) -> None:
    old = replica(market)
    fresh = replica(market)
    old.put("partners", {"id": uid(1), "firm": "A"})
    old.push()
    assert inspect(market, fresh, fresh=True).resync == "replica_is_older"
    newer = replica(market)
    assert inspect(market, newer, fresh=True, last_message=0).resync is None
    converged(market, newer)


def test_lines_of_a_document_out_of_scope_leave_a_workplace_idle(market: Market) -> None:
    for number, firm in ((1, "A"), (2, "C")):
        market.sql(
            "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, now())",
            number, firm, firm,
        )  # fmt: skip
    one = replica(market, "w1", ("A",))
    market.sql("INSERT INTO order_marks VALUES (2, 1, 5)")
    market.sql("UPDATE order_marks SET length = 6")
    market.sql("DELETE FROM order_marks")
    market.sql("DELETE FROM orders WHERE id = 2")
    assert inspect(market, one).idle
    market.sql("INSERT INTO order_marks VALUES (1, 1, 5)")
    assert not inspect(market, one).idle
    one.pull()
    market.sql("INSERT INTO items (id, name) VALUES (%s, 'shared by all')", uid(1))
    assert not inspect(market, one).idle


def test_a_poll_moves_what_may_be_forgotten(market: Market) -> None:
    one = replica(market)
    inspect(market, one)
    opening.acknowledge(market.conn, APPLICATION, "w1", str(one.position))
    assert market.sql("SELECT acknowledged FROM yurt.workplaces") == [(str(one.position).partition(".")[2],)]
    opening.forget(market.conn, APPLICATION, "w1")
    assert market.sql("SELECT * FROM yurt.workplaces") == []


def test_leases_of_three_workplaces_never_meet_each_other_or_the_application(market: Market) -> None:
    spans: list[tuple[int, int]] = []
    for turn in range(3):
        for name in ("w1", "w2", "w3"):
            found = (
                ranges.renew(market.conn, APPLICATION, market.model, name)
                if turn == 1
                else ranges.lease(market.conn, APPLICATION, market.model, name, {"orders": 0})
            )
            spans += [(first, last) for first, last in found["orders"]["spans"]]
        market.sql("INSERT INTO orders (firm, number, ordered_on) VALUES ('A', %s, '2024-05-01')", f"own {turn}")
    taken = [key for first, last in spans for key in range(first, last + 1)]
    taken += [key for (key,) in market.sql("SELECT id FROM orders")]
    assert len(taken) == len(set(taken)) == 9 * 1000 + 3
    assert ranges.lease(market.conn, APPLICATION, market.model, "w1", {"orders": 250}) == {}
    assert market.value("SELECT count(*) FROM yurt.leases WHERE void AND table_name = 'orders'") == 3


def test_lines_without_an_index_are_found_by_hash_not_key_by_key(market: Market) -> None:
    """A reset read every line once for each 2,000 roots and compared it with all of them: quadratic."""
    many = "SELECT 'B', n, '2024-05-01' FROM generate_series(1, 999) n"
    market.sql(f"INSERT INTO orders (firm, number, ordered_on) {many}")
    market.sql("INSERT INTO order_marks SELECT id, id, 1 FROM orders")
    rows = AggregateRows(market.conn, market.model, market.model.root["orders"], Scope(None), Scope(None))
    arguments = {**rows.arguments, "k0": [str(key) for key in range(1, 1000)]}
    plan = "\n".join(line for (line,) in market.conn.execute(b"EXPLAIN " + rows.query, arguments))
    assert "order_marks" in plan
    assert "ANY" not in plan
    assert "Hash" in plan


def test_staged_lines_of_one_aggregate_are_found_by_index(market: Market) -> None:
    """Merging ten thousand contested documents went through all staged lines for each."""
    stage.prepare(market.conn)
    market.sql("INSERT INTO yurt_stage_lines SELECT n, 'order_lines', '{1}', '{}' FROM generate_series(1, 9) n")
    market.sql("SET enable_seqscan = off")
    plan = market.sql("EXPLAIN (COSTS off) DELETE FROM yurt_stage_lines WHERE seq = 5")
    assert any("Index Cond: (seq = 5)" in line for (line,) in plan)


@pytest.mark.parametrize("meanwhile", ["the scope is narrowed", "it moves on", "nothing"])
def test_what_was_pushed_into_an_organisation_before_it_was_pulled_leaves_with_it(
    market: Market, meanwhile: str
) -> None:
    """The scope is widened, a row of the new organisation pushed, and only then pulled: found by random histories."""
    one = TinyReplica(market, "w1", Scope(("A",)))
    one.pull()
    one.scope = Scope(("A", "C"), 2)
    one.put("partners", {"id": uid(1), "firm": "C", "note": "mine"})
    one.push()
    if meanwhile == "the scope is narrowed":
        one.scope = Scope(("A",), 3)
    elif meanwhile == "it moves on":
        market.sql("UPDATE partners SET firm = 'B'")
    one.pull()
    held = [document["row"]["note"] for (table, _), document in one.rows.items() if table == "partners"]
    assert held == (["mine"] if meanwhile == "nothing" else [])


def test_a_line_added_there_arrives_though_its_document_was_edited_here_when_it_was_told(market: Market) -> None:
    """A delta passes over what is unsent. The edit then arrived as it was pushed, and the line never came: found by
    random histories.
    """
    one = TinyReplica(market, "w1", Scope(None))
    market.sql("INSERT INTO orders (firm, number, ordered_on) VALUES ('B', 'n', '2024-05-01')")
    one.pull()
    number = market.value("SELECT id FROM orders")
    market.sql("INSERT INTO order_marks (order_id, id, length) VALUES (%s, 1, 5)", number)
    one.put("orders", {"id": number, "note": "mine"})
    one.pull()
    passed_over = one.at("orders", id=number)
    assert passed_over
    assert passed_over["parts"]["order_marks"] == []
    one.push()
    converged(market, one)


@pytest.mark.parametrize("there", ["name", "note"])
def test_what_comes_back_of_an_edit_comes_again_where_the_next_edit_was_in_its_way(market: Market, there: str) -> None:
    """The next edit builds on a position that has seen everything, in a copy that was passed over twice."""
    one = TinyReplica(market, "w1", Scope(None))
    partner(market, 1)
    one.pull()
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql(f"UPDATE partners SET {there} = 'theirs'")
    one.pull()
    assert one.push()["counts"]["merged" if there == "name" else "conflict"] == 1
    one.put("partners", {"id": uid(1), "weight": 2.5})
    one.pull()
    one.push()
    converged(market, one)


def test_lines_that_lost_come_back_though_the_document_was_edited_again_before(market: Market) -> None:
    """Of an edit without lines only the record is compared with what was pushed."""
    one = TinyReplica(market, "w1", Scope(None))
    market.sql("INSERT INTO orders (firm, number, ordered_on) VALUES ('B', 'n', '2024-05-01')")
    number = market.value("SELECT id FROM orders")
    market.sql("INSERT INTO order_lines VALUES (%s, 1, NULL, 1, 1, 'first')", number)
    one.pull()
    line = {"order_id": number, "no": 1, "item": None, "qty": "1.000", "price": "1.00", "note": "mine"}
    one.put("orders", {"id": number}, {"order_lines": [line]})
    market.sql("UPDATE order_lines SET note = 'theirs'")
    one.pull()
    assert one.push()["counts"]["conflict"] == 1
    one.put("orders", {"id": number, "note": "more"})
    one.pull()
    one.push()
    converged(market, one)
