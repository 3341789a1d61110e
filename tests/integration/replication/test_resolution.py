"""Putting the other version in force: what was in dispute, nothing else, and never half a document."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.replication import problems
from shared.replication.problem import ProtocolProblem
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import converged, line, order, replica, uid
from tests.integration.replication.tiny_replica import TinyReplica


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


@pytest.fixture
def manual(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database, "manual") as found:
        yield found


def resolve(market: Market, choice: Any = "rejected") -> dict[str, Any]:
    [problem] = [item for item in problems.list_(market.conn, APPLICATION)["items"] if item["state"] == "open"]
    return problems.resolve(market.conn, APPLICATION, market.model, problem["id"], choice, None, "boss")


def partner(market: Market, one: TinyReplica, table: str = "partners") -> None:
    market.sql(f"INSERT INTO {table} (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one.pull()


def test_of_a_conflict_only_the_disputed_columns_change(market: Market) -> None:
    one = replica(market)
    partner(market, one)
    market.sql("UPDATE partners SET note = 'cloud', name = 'cloud', code = 'cloud'")
    one.put("partners", {"id": uid(1), "note": "mine", "code": "mine", "weight": 2.5})
    assert one.push()["counts"]["conflict"] == 1
    market.sql("UPDATE partners SET weight = 7")
    assert resolve(market)["in_force"] == "workplace"
    assert market.sql("SELECT note, code, name, weight FROM partners") == [("mine", "mine", "cloud", 7)]
    converged(market, one)


def test_of_a_refused_change_only_what_was_edited_is_put_in_force(market: Market) -> None:
    one = replica(market)
    partner(market, one)
    one.put("partners", {"id": uid(1), "parent": uid(9), "name": "mine"})
    assert one.push()["counts"]["rejected"] == 1
    one.pull()
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(9))
    market.sql("UPDATE partners SET note = 'cloud, later' WHERE id = %s", uid(1))
    resolve(market)
    assert market.sql("SELECT parent::text, name, note FROM partners WHERE id = %s", uid(1)) == [
        (uid(9), "mine", "cloud, later")
    ]
    converged(market, one)


def test_a_column_that_was_not_sent_keeps_its_value(market: Market) -> None:
    one = replica(market)
    partner(market, one)
    row = {"id": uid(1), "firm": "A", "name": "mine"}
    one.push(line(table="partners", key={"id": uid(1)}, base=one.position, before={"name": None}, row=row))
    resolve(market)
    assert market.sql("SELECT name, note FROM partners") == [("mine", "old")]


def test_what_the_workplace_won_can_be_taken_back_without_what_only_it_edited(market: Market) -> None:
    one = replica(market)
    partner(market, one, "offers")
    market.sql("INSERT INTO deals (id, firm) VALUES (%s, 'A')", uid(5))
    market.sql("UPDATE offers SET note = 'cloud'")
    one.put("offers", {"id": uid(1), "note": "mine", "deal": uid(5)})
    assert one.push()["counts"]["conflict"] == 1
    assert market.value("SELECT note FROM offers") == "mine"
    assert resolve(market)["in_force"] == "service"
    assert market.sql("SELECT note, deal::text FROM offers") == [("cloud", uid(5))]
    converged(market, one)


def test_under_manual_everything_edited_waits_and_comes_with_the_decision(manual: Market) -> None:
    manual.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    one = replica(manual)
    manual.sql("UPDATE orders SET note = 'cloud'")
    mark = {"order_id": 1, "id": 5, "length": 2}
    one.put("orders", {"id": 1, "note": "mine", "number": "X"}, {"order_marks": [mark]})
    assert one.push()["counts"]["conflict"] == 1
    assert manual.sql("SELECT note, number FROM orders") == [("cloud", "1")]
    resolve(manual)
    assert manual.sql("SELECT note, number FROM orders") == [("mine", "X")]
    assert manual.sql("SELECT id FROM order_marks") == [(5,)]
    converged(manual, one)


def test_lines_in_dispute_are_exchanged_and_others_stay(market: Market) -> None:
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    market.sql("INSERT INTO order_lines VALUES (1, 1, NULL, 1, 1, 'old'), (1, 2, NULL, 1, 1, 'old')")
    one = replica(market)
    market.sql("UPDATE order_lines SET note = 'cloud' WHERE no = 1")
    market.sql("INSERT INTO order_lines VALUES (1, 3, NULL, 1, 1, 'cloud')")
    held = one.at("orders", id=1)
    assert held is not None
    lines = [{**was, "note": "mine"} for was in held["parts"]["order_lines"]]
    one.put("orders", {"id": 1}, {"order_lines": [*lines, {**lines[0], "no": 4, "note": "mine"}]})
    assert one.push()["counts"]["conflict"] == 1
    stored = "SELECT no, note FROM order_lines ORDER BY no"
    assert market.sql(stored) == [(1, "cloud"), (2, "mine"), (3, "cloud"), (4, "mine")]
    resolve(market)
    assert market.sql(stored) == [(1, "mine"), (2, "mine"), (3, "cloud"), (4, "mine")]
    converged(market, one)


def test_half_a_document_neither_wins_nor_is_brought_back(market: Market) -> None:
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    market.sql("INSERT INTO order_lines VALUES (1, 1, NULL, 1, 1, 'old')")
    one = replica(market)
    market.sql("DELETE FROM order_lines")
    market.sql("DELETE FROM orders")
    one.put("orders", {"id": 1, "note": "mine"})
    assert one.push()["counts"]["conflict"] == 1
    with pytest.raises(ProtocolProblem) as refused:
        resolve(market)
    assert (refused.value.code, refused.value.status) == ("lines_unknown", 409)
    assert market.sql("SELECT * FROM orders") == []
    assert resolve(market, "accepted")["state"] == "accepted"
    converged(market, one)


def test_a_whole_document_can_be_brought_back(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, note="first"), {"order_lines": []})
    one.push()
    one.pull()
    market.sql("DELETE FROM orders")
    line_, mark = {"order_id": 1, "no": 1, "qty": "1.000"}, {"order_id": 1, "id": 5, "length": 2}
    one.put("orders", {"id": 1, "note": "mine"}, {"order_lines": [line_], "order_marks": [mark]})
    assert one.push()["counts"]["conflict"] == 1
    resolve(market)
    assert market.sql("SELECT note FROM orders") == [("mine",)]
    assert market.value("SELECT count(*) FROM order_lines") == 1
    converged(market, one)


def test_a_deletion_is_put_in_force_and_a_deleted_record_comes_back(market: Market) -> None:
    one = replica(market)
    partner(market, one)
    market.sql("UPDATE partners SET note = 'cloud'")
    one.delete("partners", id=uid(1))
    one.push()
    assert resolve(market)["in_force"] == "workplace"
    assert market.sql("SELECT * FROM partners") == []
    converged(market, one)
    partner(market, one, "offers")
    market.sql("UPDATE offers SET note = 'cloud'")
    one.delete("offers", id=uid(1))
    one.push()
    assert market.sql("SELECT * FROM offers") == []
    assert resolve(market)["in_force"] == "service"
    assert market.sql("SELECT note FROM offers") == [("cloud",)]
    converged(market, one)


def test_numbers_of_any_size_are_kept_as_they_are_and_put_in_force(market: Market) -> None:
    one = replica(market)
    partner(market, one)
    market.sql("UPDATE partners SET weight = 1.5")
    one.put("partners", {"id": uid(1), "weight": 1e22})
    assert one.push()["counts"]["conflict"] == 1
    [kept] = problems.list_(market.conn, APPLICATION)["items"]
    assert kept["pushed"]["row"]["weight"] == 1e22
    resolve(market)
    assert market.sql("SELECT weight FROM partners") == [(1e22,)]
    one.push(line(table="orders", key={"id": 1}, row={**order(1), "number": 2**70}))
    with pytest.raises(ProtocolProblem) as refused:
        resolve(market)
    assert refused.value.code == "invalid_value"
