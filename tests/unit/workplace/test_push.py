"""Message numbers, halving, stored answers – against a gateway that keeps the protocol."""

import gzip

import pytest

from tests.unit.workplace.scripted_gateway import Answer, Gateway, Request, problem
from workplace.engine import outbox, problems
from workplace.engine.exchange import Outcome, synchronise
from workplace.engine.failures import NoConnection, ServiceRefused
from workplace.engine.freeze import freeze
from workplace.engine.replica import Replica
from workplace.engine.service import Service
from workplace.engine.unsent import count_unsent


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def sync(replica: Replica, service: Service) -> Outcome:
    return synchronise(replica, service, "me", silent)


def edit_customers(replica: Replica, count: int) -> None:
    replica.connection.executemany(
        "INSERT INTO customers (id, name, active) VALUES (?, 'x', 1)", [(f"c{n}",) for n in range(count)]
    )


def keys(gateway: Gateway, number: int) -> list[str]:
    return [line["key"]["id"] for line in gateway.lines(number)]


def test_edits_go_out_once_and_are_forgotten(replica: Replica, service: Service, gateway: Gateway) -> None:
    edit_customers(replica, 3)
    outcome = sync(replica, service)
    assert keys(gateway, 1) == ["c0", "c1", "c2"]
    assert gateway.versions == {1: "1.0.0"}
    assert outcome.sent is not None
    assert outcome.sent.counts["applied"] == 3
    assert count_unsent(replica.connection) == 0
    assert replica.get("last_message") == 1
    assert sync(replica, service).idle


def test_a_lost_answer_is_found_in_the_next_opening_and_nothing_is_sent_twice(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    def lose(request: Request) -> Answer | None:
        if "/messages/" not in request.path:
            return None
        gateway.faults.remove(lose)
        gateway.answer(request)
        gateway.faults.append(lose)
        return Answer(200, drop=True)

    gateway.faults.append(lose)
    edit_customers(replica, 2)
    with pytest.raises(NoConnection):
        sync(replica, service)
    assert outbox.held(replica.connection) == [1]
    gateway.faults.clear()
    gateway.requests.clear()
    sync(replica, service)
    assert not [path for path in gateway.paths() if "/messages/" in path]
    assert count_unsent(replica.connection) == 0


def test_a_held_message_goes_as_it_is_and_later_edits_behind_it(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    edit_customers(replica, 1)
    freeze(replica, 1)
    replica.connection.execute("UPDATE customers SET name = 'later' WHERE id = 'c0'")
    sync(replica, service)
    assert gateway.lines(1)[0]["row"]["name"] == "x"
    assert gateway.lines(2)[0]["row"]["name"] == "later"
    assert gateway.lines(2)[0]["before"] == {"name": "x"}
    opening = gateway.requests[0].document
    assert (opening["sending"], opening["pending"], opening["last_message"]) == (1, 2, 0)


def test_a_number_the_service_does_not_expect_yet_moves_down(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    edit_customers(replica, 1)
    freeze(replica, 8)
    sync(replica, service)
    assert keys(gateway, 1) == ["c0"]
    assert [path for path in gateway.paths() if "/messages/" in path] == ["POST /exchanges/x1/messages/1"]


def test_a_gap_that_the_service_sees_is_closed(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.opening = {"next_message": 5}
    edit_customers(replica, 1)
    freeze(replica, 5)
    sync(replica, service)
    assert keys(gateway, 1) == ["c0"]


def test_another_body_under_the_number_moves_ours_up(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.messages = {1: b'{"seq":1}\n'}
    edit_customers(replica, 1)
    freeze(replica, 1)
    sync(replica, service)
    assert keys(gateway, 2) == ["c0"]
    assert replica.get("last_message") == 2


def test_an_old_message_that_is_ones_own_is_dropped(replica: Replica, service: Service, gateway: Gateway) -> None:
    edit_customers(replica, 1)
    freeze(replica, 1)
    held = outbox.find(replica.connection, 1)
    assert held is not None
    gateway.messages = {1: held.body, 2: b'{"seq":1}\n'}
    sync(replica, service)
    assert sorted(gateway.messages) == [1, 2]
    assert outbox.held(replica.connection) == []


def test_an_old_number_with_a_foreign_body_moves_ours_up(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.messages = {1: b'{"seq":1}\n', 2: b'{"seq":2}\n'}
    edit_customers(replica, 1)
    freeze(replica, 1)
    sync(replica, service)
    assert keys(gateway, 3) == ["c0"]


@pytest.mark.parametrize(("status", "code"), [(413, "message_too_large"), (400, "invalid_body")])
def test_a_poisoned_aggregate_is_found_by_halving_and_the_rest_goes_through(
    replica: Replica, service: Service, gateway: Gateway, status: int, code: str
) -> None:
    def refuse(request: Request) -> Answer | None:
        if "/messages/" in request.path and b'"c5"' in gzip.decompress(request.body):
            return problem(status, code, line=1)
        return None

    gateway.faults.append(refuse)
    edit_customers(replica, 9)
    outcome = sync(replica, service)
    sent = [key for number in sorted(gateway.messages) for key in keys(gateway, number)]
    assert sent == [f"c{n}" for n in range(9) if n != 5]
    assert sorted(gateway.messages) == list(range(1, len(gateway.messages) + 1))
    (problem_here,) = problems.open_problems(replica.connection)
    assert (problem_here.kind, problem_here.key, problem_here.pushed["base"]) == ("local", {"id": "c5"}, None)
    assert outcome.problems == 1
    assert count_unsent(replica.connection) == 0


def test_a_local_problem_can_be_sent_once_more_as_it_is(replica: Replica, service: Service, gateway: Gateway) -> None:
    def refuse(request: Request) -> Answer | None:
        return problem(413, "aggregate_too_large") if "/messages/" in request.path else None

    gateway.faults.append(refuse)
    edit_customers(replica, 1)
    sync(replica, service)
    gateway.faults.clear()
    (problem_here,) = problems.open_problems(replica.connection)
    with replica.writing() as connection:
        assert problems.send_again(connection, problem_here.id)
    sync(replica, service)
    assert keys(gateway, 1) == ["c0"]


def test_a_body_damaged_on_the_way_is_simply_sent_again(replica: Replica, service: Service, gateway: Gateway) -> None:
    def damage_once(request: Request) -> Answer | None:
        if "/messages/" not in request.path:
            return None
        gateway.faults.clear()
        return problem(400, "digest_mismatch")

    gateway.faults.append(damage_once)
    edit_customers(replica, 2)
    sync(replica, service)
    assert keys(gateway, 1) == ["c0", "c1"]


def test_rejections_are_kept_with_what_was_pushed(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.results[1] = [
        {"seq": 2, "status": "rejected", "code": "closed_period", "detail": "until 2026-01-31", "problem": "pr-1"},
        {"seq": 1, "status": "merged", "code": None, "detail": None, "problem": None},
    ]
    edit_customers(replica, 2)
    outcome = sync(replica, service)
    (kept,) = problems.open_problems(replica.connection)
    assert (kept.kind, kept.code, kept.problem, kept.pushed["row"]["id"]) == (
        "rejected", "closed_period", "pr-1", "c1"
    )  # fmt: skip
    assert outcome.problems == 1


def test_of_a_document_in_conflict_lines_that_were_not_sent_are_kept_too(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    (order,) = replica.connection.execute("SELECT order_id FROM order_lines LIMIT 1").fetchone()
    replica.connection.execute("UPDATE orders SET note = 'mine' WHERE id = ?", (order,))
    gateway.results[1] = [{"seq": 1, "status": "conflict", "code": "conflict", "detail": "deleted", "problem": "pr-1"}]
    sync(replica, service)
    (kept,) = problems.open_problems(replica.connection)
    assert "order_lines" not in kept.pushed["parts"]
    assert {line["order_id"] for line in kept.pushed["untouched"]["order_lines"]} == {order}


def test_a_refusal_leaves_the_message_held(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.faults.append(lambda request: problem(403, "suspended") if "/messages/" in request.path else None)
    edit_customers(replica, 1)
    with pytest.raises(ServiceRefused) as refused:
        sync(replica, service)
    assert refused.value.code == "suspended"
    assert count_unsent(replica.connection) == 1
    assert replica.note("last_attempt")["result"] == "suspended"
