"""Rules around the data when both sides work: periods, unique values, references, scope, keys, deletions."""

from collections.abc import Iterator

import pytest

from shared.replication import problems
from shared.replication.scope import Scope
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import converged, order, replica, statuses, uid
from tests.integration.replication.test_apply_triggers import trigger
from tests.integration.replication.tiny_replica import Document

OPEN, CLOSED = "2024-04-01", "2024-03-31"  # of firm A; B has no row and is open


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


@pytest.fixture
def trusting(fresh_database: str) -> Iterator[Market]:
    """Workplaces win."""
    with attached(fresh_database, "workplace_wins") as found:
        yield found


def stored_order(market: Market, firm: str, date: str) -> None:
    market.sql(
        "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1, %s, 'N1', %s)", firm, date
    )


def kept(market: Market) -> list[Document]:
    """The problems as they were pushed."""
    ids = market.sql("SELECT id::text FROM yurt.problems ORDER BY workplace, message, seq")
    found = [problems.get(market.conn, APPLICATION, problem) for (problem,) in ids]
    return [document for document in found if document is not None]


# -- closed periods ----------------------------------------------------------------------------------------------------


def test_a_document_that_the_service_took_out_of_a_closed_period_is_open(market: Market) -> None:
    """The pushed row still names the old organisation, which the workplace did not edit."""
    stored_order(market, "A", CLOSED)
    one = replica(market)
    one.put("orders", {"id": 1, "note": "mine"})
    market.sql("UPDATE orders SET firm = 'B'")
    assert statuses(one.push()) == {1: ("merged", None)}
    assert market.sql("SELECT firm, note FROM orders") == [("B", "mine")]
    converged(market, one)


def test_a_document_that_the_service_put_into_a_closed_period_is_closed(market: Market) -> None:
    stored_order(market, "B", CLOSED)
    one = replica(market)
    one.put("orders", {"id": 1, "note": "mine"})
    market.sql("UPDATE orders SET firm = 'A'")
    assert statuses(one.push()) == {1: ("rejected", "closed_period")}
    converged(market, one)


@pytest.mark.parametrize(("was", "then"), [("A", "B"), ("B", "A")])
def test_an_organisation_with_a_closed_period_is_neither_left_nor_entered(market: Market, was: str, then: str) -> None:
    stored_order(market, was, CLOSED)
    one = replica(market)
    one.put("orders", {"id": 1, "firm": then})
    assert statuses(one.push()) == {1: ("rejected", "closed_period")}
    converged(market, one)


def test_a_new_document_on_an_existing_key_brings_no_date_into_a_closed_period(trusting: Market) -> None:
    one = replica(trusting)
    one.put("orders", order(1, firm="A", ordered_on=CLOSED))
    stored_order(trusting, "A", OPEN)
    assert statuses(one.push()) == {1: ("rejected", "closed_period")}
    assert trusting.value("SELECT ordered_on::text FROM orders") == OPEN
    converged(trusting, one)


def test_lines_alone_added_changed_or_removed_are_refused_in_a_closed_period(market: Market) -> None:
    stored_order(market, "B", CLOSED)
    market.sql("INSERT INTO order_lines VALUES (1, 1, NULL, 1, 1, 'old'), (1, 2, NULL, 1, 1, 'old')")
    one = replica(market)
    market.sql("INSERT INTO closings VALUES ('B', %s)", CLOSED)
    old = one.at("orders", id=1)
    assert old is not None
    first, second = old["parts"]["order_lines"]
    for lines in ([first], [first, second | {"note": "new"}], [first, second, first | {"no": 3}]):
        one.put("orders", {"id": 1}, {"order_lines": lines})
        assert statuses(one.push()) == {1: ("rejected", "closed_period")}
        converged(market, one)
    assert [item["pushed"]["parts"]["order_lines"] != item["service"]["parts"]["order_lines"] for item in kept(market)]
    assert market.sql("SELECT no, note FROM order_lines ORDER BY 1") == [(1, "old"), (2, "old")]


def test_a_period_closed_meanwhile_keeps_a_deletion_with_what_was_deleted(market: Market) -> None:
    stored_order(market, "B", CLOSED)
    one = replica(market)
    one.delete("orders", id=1)
    market.sql("INSERT INTO closings VALUES ('B', %s)", CLOSED)
    assert statuses(one.push()) == {1: ("rejected", "closed_period")}
    [problem] = kept(market)
    assert (problem["pushed"], problem["service"]["row"]["number"], problem["title"]) == (None, "N1", "N1")
    converged(market, one)


def test_a_person_may_decide_for_a_change_in_a_closed_period(market: Market) -> None:
    stored_order(market, "A", CLOSED)
    one = replica(market)
    one.put("orders", {"id": 1, "note": "mine"})
    one.push()
    [problem] = kept(market)
    problems.resolve(market.conn, APPLICATION, market.model, problem["id"], "rejected", None, "boss")
    assert market.value("SELECT note FROM orders") == "mine"
    converged(market, one)


# -- unique values -----------------------------------------------------------------------------------------------------


def test_a_taken_value_leaves_the_row_that_has_it_untouched_and_stops_nobody_else(market: Market) -> None:
    one, other = replica(market), replica(market, "w2")
    one.put("partners", {"id": uid(1), "firm": "A", "code": "same", "note": "first"})
    one.push()
    for number in range(2, 40):
        other.put("partners", {"id": uid(number), "firm": "A", "code": "same" if number == 20 else str(number)})
    before = market.sql("SELECT ctid::text, xmin::text, p.* FROM partners p WHERE code = 'same'")
    answer = other.push()
    assert [(found["seq"], found["code"]) for found in answer["results"]] == [(19, "unique_violation")]
    assert answer["counts"]["applied"] == 37
    assert market.sql("SELECT ctid::text, xmin::text, p.* FROM partners p WHERE code = 'same'") == before
    [problem] = kept(market)
    assert (problem["pushed"]["row"]["code"], problem["service"]) == ("same", None)
    converged(market, one, other)


@pytest.mark.parametrize("order_", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_values_handed_on_from_record_to_record_arrive_in_any_order(market: Market, order_: tuple[int, ...]) -> None:
    for number in (1, 2, 3):
        market.sql("INSERT INTO partners (id, firm, code) VALUES (%s, 'A', %s)", uid(number), f"c{number}")
    one = replica(market)
    for number in order_:
        one.put("partners", {"id": uid(number), "code": f"c{number + 1}"})  # 3 becomes c4, 2 c3, 1 c2
    one.put("partners", {"id": uid(9), "firm": "A", "parent": uid(99)})
    assert statuses(one.push()) == {4: ("rejected", "foreign_key_violation")}
    assert market.sql("SELECT code FROM partners ORDER BY id") == [("c2",), ("c3",), ("c4",)]
    converged(market, one)


def test_values_that_two_records_exchanged_are_refused_and_both_kept(market: Market) -> None:
    """Without a deferrable constraint the application could not do it either."""
    for number in (1, 2):
        market.sql("INSERT INTO partners (id, firm, code) VALUES (%s, 'A', %s)", uid(number), f"c{number}")
    one = replica(market)
    one.put("partners", {"id": uid(1), "code": "c2"})
    one.put("partners", {"id": uid(2), "code": "c1", "note": "swapped"})
    assert statuses(one.push()) == dict.fromkeys((1, 2), ("rejected", "unique_violation"))
    assert [item["pushed"]["row"]["code"] for item in kept(market)] == ["c2", "c1"]
    converged(market, one)


# -- references --------------------------------------------------------------------------------------------------------


def test_a_reference_to_what_was_deleted_meanwhile_is_refused_and_can_be_put_in_force_later(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, name) VALUES (%s, 'A', 'p')", uid(1))
    one = replica(market)
    one.put("orders", order(1, partner=uid(1)), {"order_lines": [{"order_id": 1, "no": 1}]})
    market.sql("DELETE FROM partners")
    assert statuses(one.push()) == {1: ("rejected", "foreign_key_violation")}
    converged(market, one)
    assert one.at("orders", id=1) is None
    market.sql("INSERT INTO partners (id, firm, name) VALUES (%s, 'A', 'p')", uid(1))
    problems.resolve(market.conn, APPLICATION, market.model, kept(market)[0]["id"], "rejected", None, "boss")
    converged(market, one)
    assert len(one.at("orders", id=1)["parts"]["order_lines"]) == 1  # type: ignore[index]


def test_an_edit_that_points_to_what_left_the_scope_stands_as_the_application_allows_it(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, name) VALUES (%s, 'A', 'p')", uid(1))
    one = replica(market)
    one.put("orders", order(1, partner=uid(1)))
    market.sql("UPDATE partners SET firm = 'C'")
    assert one.push()["results"] == []
    assert [found["op"] for found in one.pull() if found["table"] == "partners"] == ["remove"]
    converged(market, one)
    assert one.at("orders", id=1)["row"]["partner"] == uid(1)  # type: ignore[index]


def test_a_deletion_of_what_others_refer_to_meanwhile_is_refused_and_comes_back(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A'), (%s, 'A')", uid(1), uid(2))
    one, other = replica(market), replica(market, "w2")
    one.delete("partners", id=uid(1))
    one.delete("partners", id=uid(2))
    other.put("orders", order(1, partner=uid(1)))
    other.push()
    assert statuses(one.push()) == {1: ("rejected", "foreign_key_violation")}
    converged(market, one, other)
    assert one.at("partners", id=uid(1)) is not None


# -- the application's own triggers ------------------------------------------------------------------------------------


def test_records_that_a_trigger_adds_come_back_to_who_caused_them(market: Market) -> None:
    added = "INSERT INTO visits VALUES (NEW.firm, '2024-05-01 10:00Z', 1, 'made by ' || NEW.name); RETURN NEW;"
    trigger(market, "partners", "INSERT", added)
    one, other = replica(market), replica(market, "w2")
    one.put("partners", {"id": uid(1), "firm": "A", "name": "p"})
    assert one.push()["results"] == []
    assert [found["table"] for found in one.pull()] == ["visits"]
    converged(market, one, other)


def test_a_rule_that_is_checked_at_commit_refuses_only_who_breaks_it(market: Market) -> None:
    market.sql(
        "CREATE FUNCTION balanced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM order_lines WHERE order_id = NEW.id) = 0 THEN"
        " RAISE EXCEPTION 'an order has lines'; END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION balanced()"
    )
    one = replica(market)
    one.put("orders", order(1), {"order_lines": [{"order_id": 1, "no": 1}]})
    one.put("orders", order(2))
    one.put("orders", order(3), {"order_lines": [{"order_id": 3, "no": 1}]})
    assert statuses(one.push()) == {2: ("rejected", "application_error")}
    assert kept(market)[0]["detail"] == "an order has lines"
    converged(market, one)


# -- read-only tables, computed columns --------------------------------------------------------------------------------


def test_what_is_only_read_offline_is_as_the_service_has_it_after_any_edit(market: Market) -> None:
    market.sql("INSERT INTO rates VALUES ('EUR', '2024-01-01', 500)")
    one = replica(market)
    one.put("rates", {"currency": "KZT", "on_date": "2024-01-01", "rate": "2"})
    one.put("rates", {"currency": "GBP", "on_date": "2024-01-01", "rate": "3"})
    one.delete("rates", currency="EUR", on_date="2024-01-01")
    assert statuses(one.push()) == dict.fromkeys((1, 2, 3), ("rejected", "read_only"))
    converged(market, one)
    assert [item["pushed"] and item["pushed"]["row"]["rate"] for item in kept(market)] == ["2", "3", None]
    assert market.sql("SELECT currency, rate FROM rates ORDER BY 1") == [("EUR", 500), ("KZT", 1), ("USD", 450)]


def test_computed_columns_are_computed_anew_and_never_in_conflict(trusting: Market) -> None:
    trusting.sql("INSERT INTO offers (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one, other = replica(trusting), replica(trusting, "w2")
    for number, workplace in enumerate((one, other)):
        workplace.put("offers", {"id": uid(1), "note": f"note {number}", "upper_note": "INVENTED"})
    assert one.push()["results"] == []
    assert statuses(other.push()) == {1: ("conflict", "conflict")}
    assert kept(trusting)[0]["columns"] == ["note"]
    assert trusting.sql("SELECT note, upper_note FROM offers") == [("note 1", "NOTE 1")]
    converged(trusting, one, other)


# -- edits upon edits --------------------------------------------------------------------------------------------------


def test_an_edit_after_one_that_lost_is_merged_with_what_won(market: Market) -> None:
    """Made before the answer was pulled: it builds on a note that never came in force."""
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET note = 'cloud'")
    one.freeze()
    one.put("partners", {"id": uid(1), "name": "mine too"})
    assert statuses(one.push()) == {1: ("conflict", "conflict")}
    assert statuses(one.push()) == {1: ("merged", None)}
    assert market.sql("SELECT note, name FROM partners") == [("cloud", "mine too")]
    [problem] = kept(market)
    assert (problem["state"], problem["corrected_at"] is None) == ("open", False)
    converged(market, one)


def test_an_edit_of_the_disputed_column_after_one_that_lost_is_a_conflict_again(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET note = 'cloud'")
    one.freeze()
    one.put("partners", {"id": uid(1), "note": "mine again"})
    for _ in range(2):
        assert statuses(one.push()) == {1: ("conflict", "conflict")}
    assert [item["pushed"]["row"]["note"] for item in kept(market)] == ["mine", "mine again"]
    assert market.value("SELECT note FROM partners") == "cloud"
    converged(market, one)


def test_every_edit_behind_a_refused_one_is_kept_until_its_state_was_pulled(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, note="REFUSE"))
    for number in range(3):
        one.freeze()
        one.put("orders", {"id": 1, "note": f"edit {number}"})
        one.push()
    assert statuses(one.push()) == {1: ("rejected", "after_rejection")}
    assert [item["code"] for item in kept(market)] == ["application_error", *["after_rejection"] * 3]
    assert [item["pushed"]["row"]["note"] for item in kept(market)] == ["REFUSE", "edit 0", "edit 1", "edit 2"]
    converged(market, one)
    one.put("orders", order(1, note="fine"))
    assert one.push()["results"] == []


# -- what left the scope -----------------------------------------------------------------------------------------------


def test_unsent_edits_on_what_left_the_scope_are_kept_with_their_content(market: Market) -> None:
    for number in (1, 2, 3):
        market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'B', 'old')", uid(number))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "narrowed"})
    one.delete("partners", id=uid(2))
    one.put("partners", {"id": uid(3), "note": "moved", "firm": "A"})
    one.put("partners", {"id": uid(4), "firm": "B", "note": "new"})
    one.scope = Scope(("A",), 2)
    assert statuses(one.push()) == dict.fromkeys(range(1, 5), ("rejected", "outside_scope"))
    notes = [item["pushed"] and item["pushed"]["row"]["note"] for item in kept(market)]
    assert notes == ["narrowed", None, "moved", "new"]
    assert market.sql("SELECT firm, note FROM partners") == [("B", "old")] * 3
    converged(market, one)
    assert [place for place in one.rows if place[0] == "partners"] == []


def test_a_record_that_moved_into_the_scope_is_edited_whatever_the_replica_still_says(market: Market) -> None:
    """Moved from A to B by the service, while the scope became B alone: it is in scope all the time."""
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET firm = 'B'")
    one.scope = Scope(("B",), 2)
    assert statuses(one.push()) == {1: ("merged", None)}
    assert market.sql("SELECT firm, note FROM partners") == [("B", "mine")]
    converged(market, one)


# -- two workplaces and one record -------------------------------------------------------------------------------------


def test_two_workplaces_delete_the_same_record_and_nobody_is_asked(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    stored_order(market, "B", OPEN)
    market.sql("INSERT INTO order_lines VALUES (1, 1, NULL, 1, 1, 'old')")
    one, other = replica(market), replica(market, "w2")
    for workplace in (one, other):
        workplace.delete("partners", id=uid(1))
        workplace.delete("orders", id=1)
        assert workplace.push()["counts"] == {"applied": 2, "merged": 0, "conflict": 0, "rejected": 0}
    assert kept(market) == []
    converged(market, one, other)


def test_two_workplaces_make_the_same_record_alike_or_otherwise(market: Market) -> None:
    one, other = replica(market), replica(market, "w2")
    for workplace in (one, other):
        workplace.put("units", {"code": "m   ", "title": "metre"})
        workplace.put("units", {"code": "l   ", "title": workplace.name})
    assert one.push()["results"] == []
    assert statuses(other.push()) == {2: ("conflict", "conflict")}
    assert market.sql("SELECT title FROM units WHERE code IN ('m', 'l') ORDER BY 1") == [("metre",), ("w1",)]
    assert kept(market)[0]["columns"] == ["title"]
    converged(market, one, other)


def test_a_deletion_and_edits_of_its_lines_by_another_are_a_conflict_either_way(market: Market) -> None:
    for number in (1, 2):
        market.sql(
            "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (%s, 'B', %s, %s)",
            number, f"N{number}", OPEN,
        )  # fmt: skip
        market.sql("INSERT INTO order_lines VALUES (%s, 1, NULL, 1, 1, 'old')", number)
    one, other = replica(market), replica(market, "w2")
    edited = {"no": 1, "qty": "1.000", "price": "1.00", "note": "edited", "item": None}
    one.delete("orders", id=1)
    one.put("orders", {"id": 2}, {"order_lines": [{"order_id": 2, **edited}]})
    other.put("orders", {"id": 1}, {"order_lines": [{"order_id": 1, **edited}]})
    other.delete("orders", id=2)
    assert one.push()["results"] == []
    assert statuses(other.push()) == dict.fromkeys((1, 2), ("conflict", "conflict"))
    assert market.sql("SELECT id FROM orders") == [(2,)]
    assert [item["pushed"] is None for item in kept(market)] == [False, True]
    converged(market, one, other)


def test_a_line_handed_to_another_document_arrives_beside_a_refused_one(market: Market) -> None:
    for number in (1, 2):
        market.sql(
            "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (%s, 'B', %s, %s)",
            number, f"N{number}", OPEN,
        )  # fmt: skip
    market.sql("INSERT INTO order_marks VALUES (1, 10, 1), (2, 20, 2)")
    one = replica(market)
    one.put("orders", {"id": 1}, {"order_marks": [{"order_id": 1, "id": 20, "length": 2, "doubled": 4}]})
    one.put("orders", {"id": 2}, {"order_marks": [{"order_id": 2, "id": 10, "length": 1, "doubled": 2}]})
    one.put("orders", order(3, note="REFUSE"))
    assert statuses(one.push()) == {3: ("rejected", "application_error")}
    assert market.sql("SELECT order_id, id FROM order_marks ORDER BY id") == [(2, 10), (1, 20)]
    converged(market, one)


def test_a_table_emptied_by_the_service_meets_edits_as_deletions_do(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one = replica(market)
    one.put("partners", {"id": uid(1), "note": "mine"})
    one.put("partners", {"id": uid(3), "firm": "A", "note": "new"})
    market.sql("TRUNCATE partners CASCADE")
    assert statuses(one.push()) == {1: ("conflict", "conflict")}
    assert kept(market)[0]["pushed"]["row"]["note"] == "mine"
    assert market.sql("SELECT note FROM partners") == [("new",)]
    converged(market, one)
