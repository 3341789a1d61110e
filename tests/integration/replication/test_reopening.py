"""Decided problems opened again: any number of decisions, comments, and what the workplace corrected itself."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from shared.replication import capture, problems
from shared.replication.model import load
from shared.replication.problem import ProtocolProblem
from shared.replication.session import connect
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import converged, line, order, replica, statuses, uid
from tests.integration.replication.tiny_replica import Document, TinyReplica

LINES = "SELECT no, qty::float, note FROM order_lines ORDER BY no"


@pytest.fixture
def market(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database) as found:
        yield found


@pytest.fixture
def manual(fresh_database: str) -> Iterator[Market]:
    with attached(fresh_database, "manual") as found:
        yield found


def only(market: Market) -> Document:
    [problem] = problems.list_(market.conn, APPLICATION)["items"]
    found: Document = problem
    return found


def decide(market: Market, choice: Any = "rejected", comment: str | None = None, problem: str | None = None) -> str:
    """Who is in force after the decision."""
    wanted = problem or only(market)["id"]
    return str(problems.resolve(market.conn, APPLICATION, market.model, wanted, choice, comment, "boss")["in_force"])


def reopen(market: Market, comment: str | None = None, problem: str | None = None) -> Document:
    return problems.reopen(market.conn, APPLICATION, problem or only(market)["id"], comment, "boss")


def refusal(market: Market, act: Any, *arguments: Any) -> str:
    with pytest.raises(ProtocolProblem) as refused:
        act(market, *arguments)
    assert refused.value.status == 409
    return refused.value.code


def disputed_partner(market: Market, table: str = "partners") -> TinyReplica:
    """A workplace that edited note and code of a record whose note was edited in the service too."""
    one = replica(market)
    market.sql(f"INSERT INTO {table} (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one.pull()
    market.sql(f"UPDATE {table} SET note = 'cloud'")
    edited = {"code": "mine"} if table == "partners" else {}
    one.put(table, {"id": uid(1), "note": "mine", **edited})
    assert one.push()["counts"]["conflict"] == 1
    return one


def disputed_order(market: Market) -> TinyReplica:
    """An order with lines 1 to 4 and a note.

    Both sides change note and line 1; the workplace alone changes line 2, removes 3 and adds 5; the service alone
    changes 4 and adds 6.
    """
    market.sql(
        "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1','2024-05-01')"
    )
    market.sql("INSERT INTO order_lines SELECT 1, n, NULL, n, 1, 'old' FROM generate_series(1, 4) n")
    one = replica(market)
    market.sql("UPDATE orders SET note = 'cloud'")
    market.sql("UPDATE order_lines SET note = 'cloud' WHERE no IN (1, 4)")
    market.sql("INSERT INTO order_lines VALUES (1, 6, NULL, 6, 1, 'cloud')")
    held = one.at("orders", id=1)
    assert held is not None
    first, second, _, fourth = held["parts"]["order_lines"]
    lines = [first | {"note": "mine"}, second | {"note": "mine"}, fourth, first | {"no": 5, "note": "mine"}]
    one.put("orders", {"id": 1, "note": "mine"}, {"order_lines": lines})
    assert one.push()["counts"]["conflict"] == 1
    return one


def test_a_reopened_problem_is_open_and_what_is_in_force_stays_so(market: Market) -> None:
    one = disputed_partner(market)
    assert refusal(market, reopen) == "not_resolved"
    assert decide(market, comment="they know") == "workplace"
    found = reopen(market, "they did not")
    assert (found["state"], found["in_force"]) == ("open", "workplace")
    assert (found["resolved_by"], found["comment"]) == (None, None)
    assert market.value("SELECT note FROM partners") == "mine"
    assert refusal(market, reopen) == "not_resolved"
    assert decide(market, "accepted") == "workplace"
    assert refusal(market, decide) == "already_resolved"
    assert market.value("SELECT note FROM partners") == "mine"
    told = [(event["action"], event["by"], event["comment"], event["in_force"]) for event in only(market)["history"]]
    assert told == [
        ("rejected", "boss", "they know", "workplace"),
        ("reopened", "boss", "they did not", "workplace"),
        ("accepted", "boss", None, "workplace"),
    ]
    converged(market, one)


@pytest.mark.parametrize("table", ["partners", "offers"])
def test_the_other_version_comes_in_force_again_and_again_and_nothing_else_with_it(market: Market, table: str) -> None:
    one, other = disputed_partner(market, table), replica(market, "w2")
    note = f"SELECT note FROM {table}"
    for turn in range(4):
        was = market.value(note)
        if table == "partners":
            market.sql("UPDATE partners SET name = %s, code = %s", f"name {turn}", f"code {turn}")
        decide(market)
        assert {was, market.value(note)} == {"cloud", "mine"}
        assert only(market)["in_force"] == ("service" if market.value(note) == "cloud" else "workplace")
        if table == "partners":
            assert market.sql("SELECT name, code FROM partners") == [(f"name {turn}", f"code {turn}")]
        converged(market, one, other)
        reopen(market)


def test_what_was_in_dispute_is_decided_even_if_somebody_changed_it_meanwhile(market: Market) -> None:
    one = disputed_partner(market)
    for version in ("mine", "cloud", "mine"):
        market.sql("UPDATE partners SET note = 'a third value'")
        decide(market)
        assert market.value("SELECT note FROM partners") == version
        reopen(market)
    converged(market, one)


def test_lines_not_in_dispute_stay_as_they_are_now_whichever_way_it_is_decided(market: Market) -> None:
    one = disputed_order(market)
    rest = [(2, 2, "mine"), (4, 4, "cloud"), (5, 1, "mine"), (6, 6, "cloud")]
    assert market.sql(LINES) == [(1, 1, "cloud"), *rest]
    assert only(market)["columns"] == ["note", "order_lines.note"]
    assert decide(market) == "workplace"
    assert market.sql(LINES) == [(1, 1, "mine"), *rest]
    reopen(market)
    market.sql("UPDATE order_lines SET note = 'later' WHERE no IN (2, 6)")
    market.sql("UPDATE order_lines SET qty = 9 WHERE no IN (1, 4)")
    market.sql("DELETE FROM order_lines WHERE no = 5")
    market.sql("INSERT INTO order_lines VALUES (1, 7, NULL, 7, 1, 'later')")
    rest = [(2, 2, "later"), (4, 9, "cloud"), (6, 6, "later"), (7, 7, "later")]
    for version in ("cloud", "mine", "cloud"):
        decide(market)
        assert market.sql(LINES) == [(1, 9, version), *rest]
        assert market.value("SELECT note FROM orders") == version
        reopen(market)
    converged(market, one)


def test_under_manual_everything_edited_comes_and_goes_with_the_decisions(manual: Market) -> None:
    one = disputed_order(manual)
    cloud = [(1, 1, "cloud"), (2, 2, "old"), (3, 3, "old"), (4, 4, "cloud"), (6, 6, "cloud")]
    mine = [(1, 1, "mine"), (2, 2, "mine"), (4, 4, "cloud"), (5, 1, "mine"), (6, 6, "cloud")]
    manual.sql("INSERT INTO order_lines VALUES (1, 7, NULL, 7, 1, 'later')")
    assert manual.sql(LINES) == [*cloud, (7, 7, "later")]
    for version in (mine, cloud, mine):
        decide(manual)
        assert manual.sql(LINES) == [*version, (7, 7, "later")]
        converged(manual, one)
        reopen(manual)


def test_a_refused_edit_put_in_force_can_be_taken_back_alone(market: Market) -> None:
    one = replica(market)
    market.sql("INSERT INTO partners (id, firm, note) VALUES (%s, 'A', 'old')", uid(1))
    one.pull()
    one.put("partners", {"id": uid(1), "parent": uid(9), "name": "mine"})
    assert one.push()["counts"]["rejected"] == 1
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(9))
    stored = "SELECT parent::text, name, note FROM partners ORDER BY id LIMIT 1"
    for turn in range(2):
        assert decide(market) == "workplace"
        assert market.sql(stored) == [(uid(9), "mine", f"later {turn - 1}" if turn else "old")]
        market.sql("UPDATE partners SET note = %s", f"later {turn}")
        reopen(market)
        assert decide(market) == "service"
        assert market.sql(stored) == [(None, None, f"later {turn}")]
        reopen(market)
    converged(market, one)


def test_a_refused_new_record_comes_goes_and_comes_again(market: Market) -> None:
    one = replica(market)
    one.put("orders", order(1, partner=uid(9)), {"order_lines": [{"order_id": 1, "no": 1, "note": "mine"}]})
    assert one.push()["counts"]["rejected"] == 1
    assert refusal(market, decide) == "foreign_key_violation"
    assert (only(market)["state"], only(market)["history"]) == ("open", [])
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'B')", uid(9))
    for lines in ([(1, None, "mine")], [], [(1, None, "mine")]):
        decide(market)
        assert market.sql(LINES) == lines
        assert market.value("SELECT count(*) FROM orders") == len(lines)
        reopen(market)
    converged(market, one)


def test_a_record_the_workplace_may_not_see_is_not_deleted_when_the_decision_is_taken_back(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm, note, name) VALUES (%s, 'A', 'old', 'old')", uid(1))
    one = replica(market, "w1", ("A",))
    one.put("partners", {"id": uid(1), "note": "mine"})
    market.sql("UPDATE partners SET firm = 'C', name = 'moved'")
    assert statuses(one.push()) == {1: ("rejected", "outside_scope")}
    assert only(market)["service"] is None
    for version in ("mine", "old", "mine"):
        decide(market)
        assert market.sql("SELECT firm, note, name FROM partners") == [("C", version, "moved")]
        reopen(market)
    converged(market, one)


@pytest.mark.parametrize("table", ["partners", "offers"])
def test_a_deletion_and_an_edit_take_turns(market: Market, table: str) -> None:
    market.sql(f"INSERT INTO {table} (id, firm, note) VALUES (%s, 'A', 'old'), (%s, 'A', 'old')", uid(1), uid(2))
    one = replica(market)
    one.delete(table, id=uid(1))
    one.put(table, {"id": uid(2), "note": "mine"})
    market.sql(f"UPDATE {table} SET note = 'cloud' WHERE id = %s", uid(1))
    market.sql(f"DELETE FROM {table} WHERE id = %s", uid(2))
    assert one.push()["counts"]["conflict"] == 2
    deleted, edited = sorted(problems.list_(market.conn, APPLICATION)["items"], key=lambda item: item["key"]["id"])
    in_service, in_workplace = [("cloud",)], [("mine",)]
    for turn in range(3):
        workplace = (table == "partners") == (turn % 2 == 0)
        for problem in (deleted, edited):
            assert decide(market, problem=problem["id"]) == ("workplace" if workplace else "service")
            reopen(market, problem=problem["id"])
        assert market.sql(f"SELECT note FROM {table}") == (in_workplace if workplace else in_service)
    converged(market, one)


def test_a_decision_waits_for_who_is_writing_and_keeps_what_he_wrote(market: Market) -> None:
    one = disputed_order(market)
    decided: list[str] = []

    def decide_beside() -> None:
        with connect(market.url) as conn:
            decided.append(decide(Market(conn, market.model, market.url)))

    thread = threading.Thread(target=decide_beside)
    with psycopg.connect(market.url) as writer:
        writer.execute("UPDATE order_lines SET qty = 7 WHERE no = 2")  # and, by the application's trigger, the order
        thread.start()
        while not market.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"):
            thread.join(0.01)
            assert not decided
        writer.commit()
    thread.join()
    assert decided == ["workplace"]
    assert market.sql("SELECT no, qty::float, note FROM order_lines WHERE no < 3 ORDER BY no") == [
        (1, 1, "mine"), (2, 7, "mine")
    ]  # fmt: skip
    converged(market, one)


def test_of_two_decisions_at_once_one_counts(market: Market) -> None:
    one = disputed_partner(market)
    problem = only(market)["id"]

    def resolve(choice: str) -> str:
        with connect(market.url) as conn:
            try:
                return decide(Market(conn, market.model, market.url), choice, problem=problem)
            except ProtocolProblem as refused:
                return refused.code

    with ThreadPoolExecutor(4) as people:
        outcomes = list(people.map(resolve, ["accepted", "rejected"] * 2))
    assert outcomes.count("already_resolved") == 3
    assert len(only(market)["history"]) == 1
    assert (
        market.value("SELECT note FROM partners") == {"service": "cloud", "workplace": "mine"}[only(market)["in_force"]]
    )
    converged(market, one)


def test_a_column_that_the_application_has_no_more_cannot_be_decided_about(market: Market) -> None:
    """Rather than a decision that changes nothing."""
    one = replica(market)
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    one.pull()
    market.sql("UPDATE partners SET code = 'cloud'")
    one.put("partners", {"id": uid(1), "code": "mine"})
    assert one.push()["counts"]["conflict"] == 1
    market.sql("ALTER TABLE partners RENAME code TO short_name")
    altered = load(market.conn, market.model.manifest, None)
    assert refusal(Market(market.conn, altered, market.url), decide) == "invalid_value"
    assert decide(Market(market.conn, altered, market.url), "accepted") == "service"


def test_lines_of_a_table_that_is_no_part_cannot_be_put_in_force(market: Market) -> None:
    market.sql("INSERT INTO partners (id, firm) VALUES (%s, 'A')", uid(1))
    one = replica(market)
    strange = {"order_lines": [{"no": 1}]}
    one.push(line(table="partners", key={"id": uid(1)}, base=one.position, row={"id": uid(1)}, parts=strange))
    assert refusal(market, decide) == "invalid_value"


def test_comments_are_kept_with_who_and_when_and_decide_nothing(market: Market) -> None:
    disputed_partner(market)
    problem = only(market)["id"]
    for text, login in (("ask the customer", "vera"), ("he says: mine", "anna")):
        found = problems.comment_on(market.conn, APPLICATION, problem, text, login)
    assert [(said["text"], said["by"]) for said in found["comments"]] == [
        ("ask the customer", "vera"), ("he says: mine", "anna")
    ]  # fmt: skip
    assert found["comments"][0]["at"] <= found["comments"][1]["at"]
    assert (found["state"], found["comment"]) == ("open", None)
    decide(market, comment="so be it")
    found = problems.comment_on(market.conn, APPLICATION, problem, "thanks", "vera")
    assert [said["text"] for said in found["comments"]][2:] == ["so be it", "thanks"]
    assert (found["state"], found["comment"], found["resolved_by"]) == ("rejected", "so be it", "boss")
    assert found == problems.get(market.conn, APPLICATION, problem) == only(market)
    with pytest.raises(ProtocolProblem, match="no such problem"):
        problems.comment_on(market.conn, "another", problem, "?", "olga")
    with pytest.raises(ProtocolProblem, match="no such problem"):
        problems.reopen(market.conn, "another", problem, None, "olga")


def test_a_problem_says_that_the_workplace_corrected_the_record_and_stays_open(market: Market) -> None:
    one, other = replica(market), replica(market, "w2")
    one.put("orders", order(1, note="REFUSE"))
    one.push()
    converged(market, one)
    assert only(market)["corrected_at"] is None
    one.put("orders", order(1, note="fine"))
    assert one.push()["counts"]["applied"] == 1
    found = only(market)
    assert (found["state"], found["in_force"], found["corrected_at"]) == ("open", "service", found["history"][0]["at"])
    converged(market, one, other)
    one.put("orders", {"id": 1, "note": "finer"})
    one.push()
    other.put("orders", {"id": 1, "partner": None, "total": "1.00"})
    other.push()
    assert [(event["action"], event["by"]) for event in only(market)["history"]] == [("corrected", "aigul")]
    decide(market, "accepted")
    reopen(market)
    converged(market, one)
    one.delete("orders", id=1)
    one.push()
    assert [event["action"] for event in only(market)["history"]] == ["corrected", "accepted", "reopened", "corrected"]


def test_a_correction_that_is_refused_too_is_none(market: Market) -> None:
    one = replica(market)
    for note in ("REFUSE", "CUSTOM"):
        one.put("orders", order(1, note=note))
        one.push()
        converged(market, one)
    assert [item["history"] for item in problems.list_(market.conn, APPLICATION)["items"]] == [[], []]


def test_an_application_attached_before_gets_a_history_with_the_decisions_taken_so_far(market: Market) -> None:
    disputed_partner(market)
    decide(market, comment="so be it")
    before = only(market)
    market.sql("DROP TABLE yurt.problem_events")
    market.sql("DROP INDEX yurt.problems_record")
    capture.install(market.conn, APPLICATION, market.model)
    after = only(market)
    assert [event | {"at": None} for event in after["history"]] == [event | {"at": None} for event in before["history"]]
    assert after | {"history": None, "comments": None} == before | {"history": None, "comments": None}
    assert market.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'problems_record'") == 1
    assert decide(market, problem=reopen(market)["id"]) == "service"
    capture.remove(market.conn, APPLICATION)
