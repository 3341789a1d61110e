"""What the application's own triggers make of pushed changes: told, undone whole, or sent back."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.replication.market import Market, attached
from tests.integration.replication.test_apply import converged, order, replica, uid


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


def trigger(market: Market, table: str, event: str, body: str) -> None:
    """A trigger of the application's own, for each row before the event."""
    market.sql("CREATE TABLE IF NOT EXISTS journal (entry text)")
    market.sql(
        f"CREATE FUNCTION {table}_own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f"CREATE TRIGGER own BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_own()"
    )


def result(answer: dict[str, Any]) -> tuple[str, str]:
    [found] = answer["results"]
    return found["status"], found["code"]


def test_of_a_record_that_a_trigger_drops_nothing_stands(market: Market) -> None:
    trigger(market, "partners", "INSERT", "INSERT INTO journal VALUES ('dropped'); RETURN NULL;")
    one = replica(market)
    one.put("partners", {"id": uid(1), "firm": "A", "note": "new"})
    one.put("items", {"id": uid(2), "name": "beside it", "sold": "0"})
    answer = one.push()
    assert result(answer) == ("rejected", "application_error")
    assert answer["counts"]["applied"] == 1
    assert market.sql("SELECT * FROM journal") == []
    converged(market, one)


def test_of_a_record_that_a_trigger_puts_under_another_key_nothing_stands(market: Market) -> None:
    trigger(market, "partners", "INSERT", "NEW.id := gen_random_uuid(); RETURN NEW;")
    one = replica(market)
    one.put("partners", {"id": uid(1), "firm": "A"})
    assert result(one.push()) == ("rejected", "application_error")
    assert market.sql("SELECT * FROM partners") == []
    converged(market, one)


def test_an_edit_that_a_trigger_drops_becomes_a_problem(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    trigger(market, "partners", "UPDATE", "RETURN NULL;")
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "new"})
    assert result(one.push()) == ("rejected", "application_error")
    assert market.value("SELECT pushed -> 'row' ->> 'note' FROM yurt.problems") == "new"
    converged(market, one)
    assert market.sql("SELECT note FROM partners") == [("old",)]


def test_lines_that_a_trigger_drops_become_a_problem(market: Market) -> None:
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    trigger(market, "order_marks", "INSERT", "RETURN NULL;")
    one = replica(market)
    one.put("orders", {"id": 1}, {"order_marks": [{"order_id": 1, "id": 5, "length": 2}]})
    assert result(one.push()) == ("rejected", "application_error")
    converged(market, one)


def test_a_value_that_a_trigger_changes_is_applied_and_comes_back(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note, name) VALUES (%s, 'A', 'old', 'x')", uid(1))
    trigger(market, "partners", "UPDATE", "NEW.note := upper(NEW.note); RETURN NEW;")
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "new"})
    assert one.push()["results"] == []
    converged(market, one)
    assert market.sql("SELECT note FROM partners") == [("NEW",)]


def test_a_deletion_that_a_trigger_turns_into_a_mark_is_applied_and_the_record_comes_back(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    trigger(market, "partners", "DELETE", "UPDATE partners SET note = 'gone' WHERE id = OLD.id; RETURN NULL;")
    one = replica(market)
    one.delete("partners", id=uid(1))
    assert one.push()["results"] == []
    converged(market, one)
    assert one.at("partners", id=uid(1))["row"]["note"] == "gone"  # type: ignore[index]


def test_a_deletion_that_a_trigger_drops_becomes_a_problem(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    trigger(market, "partners", "DELETE", "RETURN NULL;")
    one = replica(market)
    one.delete("partners", id=uid(1))
    assert result(one.push()) == ("rejected", "application_error")
    converged(market, one)


def test_an_edit_without_effect_is_no_problem_where_the_application_suppresses_those(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'same')", uid(1))
    market.sql(
        "CREATE TRIGGER redundant BEFORE UPDATE ON partners FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "other"})
    one.put("partners", {"id": uid(1), "note": "same"})
    assert one.push()["results"] == []
    converged(market, one)


def test_a_document_that_gets_a_line_by_a_trigger_arrives_too(market: Market) -> None:
    for number in (1, 2):
        market.sql(
            "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (%s, 'A', %s, now())",
            number, str(number),
        )  # fmt: skip
    trigger(market, "order_marks", "INSERT", "NEW.order_id := 2; RETURN NEW;")
    one, other = replica(market, "w1"), replica(market, "w2")
    one.put("orders", order(3, firm="A"), {"order_marks": [{"order_id": 3, "id": 5, "length": 2}]})
    one.push()
    lines = one.pull()
    assert {line["key"]["id"] for line in lines if line["table"] == "orders"} == {2, 3}
    converged(market, one, other)
    assert len(one.at("orders", id=2)["parts"]["order_marks"]) == 1  # type: ignore[index]
