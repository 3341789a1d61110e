"""What stands in a message, and what never gets into one."""

import pytest

from workplace.engine import freeze as freezing
from workplace.engine import outbox, problems
from workplace.engine.freeze import count_changes, freeze
from workplace.engine.replica import Replica
from workplace.engine.unsent import unsent_keys


def lines_of(replica: Replica, number: int) -> dict[str, dict[str, object]]:
    """The aggregates of a held message by `table key`."""
    message = outbox.find(replica.connection, number)
    assert message is not None
    return {f"{line['table']} {line['key']['id']}": line for line in message.lines()}


def test_a_changed_root_tells_its_row_and_only_the_old_values_that_changed(replica: Replica) -> None:
    replica.connection.execute("UPDATE customers SET active = 1, stamp = x'00' WHERE id = 'БЕРЁЗ'")
    assert freeze(replica, 1) == 1
    line = lines_of(replica, 1)["customers БЕРЁЗ"]
    assert line["row"] == {"id": "БЕРЁЗ", "name": "Берёзка", "stamp": "AA==", "active": True}
    assert line["before"] == {"stamp": "Af8=", "active": False}
    assert (line["base"], line["parts"], line["parts_before"], line["op"]) == ("p0", {}, {}, "put")


def test_generated_columns_stay_at_home(replica: Replica) -> None:
    replica.connection.execute("UPDATE orders SET note = 'x', total = '7.00' WHERE id = 'o1'")
    freeze(replica, 1)
    line = lines_of(replica, 1)["orders o1"]
    assert line["row"] == {
        "id": "o1", "number": "B-1", "customer_id": "ALFKI", "ordered_on": "2026-01-05", "note": "x"
    }  # fmt: skip
    assert line["before"] == {"note": "first"}


def test_touched_lines_travel_as_they_are_and_as_they_were(replica: Replica) -> None:
    replica.connection.execute("UPDATE order_lines SET quantity = 11 WHERE id = 'l1'")
    replica.connection.execute("DELETE FROM order_lines WHERE id = 'l2'")
    freeze(replica, 1)
    line = lines_of(replica, 1)["orders o1"]
    first = {"id": "l1", "order_id": "o1", "good_id": 1, "quantity": 11, "price": "12.50"}
    assert line["parts"] == {"order_lines": [first]}
    before = {entry["id"]: entry for entry in line["parts_before"]["order_lines"]}  # type: ignore[index]  # JSON
    assert before["l1"] == {**first, "quantity": 10}
    assert set(before) == {"l1", "l2"}
    assert line["before"] == {}


def test_a_new_aggregate_lists_all_its_lines_and_none_before(replica: Replica) -> None:
    replica.connection.execute("INSERT INTO orders (id, customer_id, total) VALUES ('o9', 'ALFKI', '0')")
    freeze(replica, 1)
    line = lines_of(replica, 1)["orders o9"]
    assert (line["base"], line["before"], line["parts_before"]) == (None, {}, {})
    assert line["parts"] == {"order_lines": []}
    assert line["row"]["number"] == "B-3"  # type: ignore[index]  # JSON


def test_a_delete_tells_everything_that_was_and_nothing_that_is(replica: Replica) -> None:
    replica.connection.execute("DELETE FROM orders WHERE id = 'o2'")
    freeze(replica, 1)
    line = lines_of(replica, 1)["orders o2"]
    assert line["op"] == "delete"
    assert "row" not in line
    assert "parts" not in line
    assert line["before"]["customer_id"] == "ALFKI"  # type: ignore[index]  # JSON
    assert [entry["id"] for entry in line["parts_before"]["order_lines"]] == ["l3"]  # type: ignore[index]  # JSON


def test_a_delete_without_lines_says_so(replica: Replica) -> None:
    replica.connection.execute("INSERT INTO yurt_paused VALUES (1)")
    replica.connection.execute("DELETE FROM order_lines WHERE order_id = 'o2'")
    replica.connection.execute("DELETE FROM yurt_paused")
    replica.connection.execute("DELETE FROM orders WHERE id = 'o2'")
    freeze(replica, 1)
    assert lines_of(replica, 1)["orders o2"]["parts_before"] == {"order_lines": []}


def test_edits_after_freezing_are_relative_to_what_was_frozen(replica: Replica) -> None:
    replica.connection.execute("INSERT INTO orders (id, customer_id, total) VALUES ('o9', 'ALFKI', '0')")
    freeze(replica, 1)
    replica.connection.execute("UPDATE orders SET note = 'later' WHERE id = 'o9'")
    freeze(replica, 2)
    line = lines_of(replica, 2)["orders o9"]
    assert (line["base"], line["before"], line["parts"]) == ("p0", {"note": None}, {})


def test_freezing_is_one_transaction(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    replica.connection.execute("UPDATE goods SET name = 'x' WHERE id = 1")

    def fail(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(outbox, "store", fail)
    with pytest.raises(OSError, match="power cut"):
        freeze(replica, 1)
    assert count_changes(replica.connection) == 1


@pytest.mark.parametrize(("limit", "value"), [("MAX_AGGREGATES", 2), ("MAX_BYTES", 600)])
def test_what_is_more_goes_into_further_messages(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(freezing, limit, value)
    replica.connection.executemany(
        "INSERT INTO customers (id, name, active) VALUES (?, 'x', 1)", [(f"c{n}",) for n in range(5)]
    )
    number = 0
    while count_changes(replica.connection):
        number += 1
        assert 0 < freeze(replica, number) <= 3
    told = [line for message in outbox.all_held(replica.connection) for line in message.lines()]
    assert len(told) == 5
    assert number >= 2


def test_split_messages_put_what_is_referred_to_first_and_deletes_last(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "MAX_AGGREGATES", 1)
    replica.connection.execute("UPDATE orders SET note = 'x' WHERE id = 'o1'")
    replica.connection.execute("DELETE FROM customers WHERE id = 'БЕРЁЗ'")
    replica.connection.execute("INSERT INTO customers (id, name, active) VALUES ('NEW', 'New', 1)")
    replica.connection.execute("UPDATE orders SET customer_id = 'NEW' WHERE id = 'o1'")
    for number in (1, 2, 3):
        freeze(replica, number)
    told = [message.lines()[0] for message in outbox.all_held(replica.connection)]
    assert [(line["table"], line["op"]) for line in told] == [
        ("customers", "put"), ("orders", "put"), ("customers", "delete")
    ]  # fmt: skip


def test_an_aggregate_too_large_for_any_message_becomes_a_local_problem(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "MAX_SINGLE_BYTES", 500)
    replica.connection.execute("UPDATE orders SET note = ? WHERE id = 'o1'", ("x" * 600,))
    replica.connection.execute("UPDATE orders SET note = 'small' WHERE id = 'o2'")
    freeze(replica, 1)
    assert set(lines_of(replica, 1)) == {"orders o2"}
    (problem,) = problems.open_problems(replica.connection)
    assert (problem.kind, problem.code, problem.key) == ("local", "aggregate_too_large", {"id": "o1"})


def test_a_value_that_no_message_can_hold_stops_nobody_else(replica: Replica) -> None:
    replica.connection.execute("UPDATE orders SET note = CAST(x'ff' AS TEXT) WHERE id = 'o1'")
    replica.connection.execute("UPDATE orders SET note = 'fine' WHERE id = 'o2'")
    freeze(replica, 1)
    assert set(lines_of(replica, 1)) == {"orders o2"}
    assert [problem.code for problem in problems.open_problems(replica.connection)] == ["invalid_value"]


def test_a_local_problem_that_is_edited_again_keeps_its_base_and_before(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "MAX_SINGLE_BYTES", 500)
    replica.connection.execute("UPDATE orders SET note = ?, ordered_on = '2026-02-02' WHERE id = 'o1'", ("x" * 600,))
    freeze(replica, 1)
    replica.put("position", "p7")
    replica.connection.execute("UPDATE orders SET note = 'short' WHERE id = 'o1'")
    freeze(replica, 1)
    line = lines_of(replica, 1)["orders o1"]
    assert line["base"] == "p0"
    assert line["before"] == {"note": "first", "ordered_on": "2026-01-05"}
    assert problems.open_problems(replica.connection) == []


def test_a_new_aggregate_that_never_went_and_is_deleted_leaves_nothing(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "MAX_SINGLE_BYTES", 300)
    replica.connection.execute("INSERT INTO customers (id, name, active) VALUES ('c9', ?, 1)", ("x" * 400,))
    freeze(replica, 1)
    replica.connection.execute("DELETE FROM customers WHERE id = 'c9'")
    assert freeze(replica, 1) == 1
    assert outbox.held(replica.connection) == []
    assert problems.open_problems(replica.connection) == []


def test_a_key_of_the_wrong_type_blocks_neither_sending_nor_receiving(replica: Replica) -> None:
    replica.connection.execute("INSERT INTO goods (id, name, price) VALUES ('abc', 'x', '1')")
    assert freeze(replica, 1) == 1
    assert [problem.code for problem in problems.open_problems(replica.connection)] == ["invalid_value"]
    assert unsent_keys(replica.connection, replica.layout) == {"goods": {("abc",)}}
