"""Single promises of the replica's triggers; the property test tries them all together."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.property.replica_file import create, freeze

RANGES = {"orders": [(3, 4), (20, 22)], "lines": [(5, 6), (40, 60)]}
CLAUSES = ["", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ROLLBACK"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(create(tmp_path / "replica.db", RANGES)) as connection:
        yield connection


def arrive(db: sqlite3.Connection, sql: str) -> None:
    """Rows that come from the service: written while capture is paused."""
    db.executescript(f"BEGIN; INSERT INTO yurt_paused VALUES (1); {sql}; DELETE FROM yurt_paused; COMMIT")


def changes(db: sqlite3.Connection) -> dict[tuple[str, str], tuple[Any, ...]]:
    query = "SELECT table_name, key, op, base, before, parts_before FROM yurt_changes"
    return {
        (table, key): (op, base, json.loads(before), json.loads(parts_before))
        for table, key, op, base, before, parts_before in db.execute(query)
    }


def keys(db: sqlite3.Connection, table: str = "orders") -> list[int]:
    return [key for (key,) in db.execute(f"SELECT id FROM {table} ORDER BY id")]


def test_an_unsent_order_with_a_changed_key_is_one_change(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'a')")
    db.execute("INSERT INTO lines (id, order_id) VALUES (1, 1)")
    db.execute("UPDATE orders SET id = 2")
    assert changes(db) == {("orders", '{"id":2}'): ("put", None, {}, {})}
    assert db.execute("SELECT order_id FROM lines").fetchall() == [(2,)]


def test_lines_that_go_with_an_unsent_order_leave_no_change(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO lines (id, order_id) VALUES (1, 1)")
    assert changes(db) == {}
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'a')")
    db.execute("DELETE FROM orders")
    assert changes(db) == {}
    assert keys(db, "lines") == []


def test_a_line_displaced_by_another_line_s_new_key_is_remembered(db: sqlite3.Connection) -> None:
    arrive(db, "INSERT INTO orders VALUES (1, 'a', 'x', NULL, NULL, NULL, NULL);"
               "INSERT INTO lines VALUES (1, 1, 'one', NULL), (2, 1, 'two', NULL)")  # fmt: skip
    db.execute("UPDATE OR REPLACE lines SET id = 2 WHERE id = 1")
    [(_, _, before, parts_before)] = changes(db).values()
    assert before == {}
    assert sorted(line["what"] for line in parts_before["lines"]) == ["one", "two"]


def test_an_ignored_change_of_a_key_is_no_change(db: sqlite3.Connection) -> None:
    arrive(db, "INSERT INTO orders (id, shop) VALUES (1, 'a'), (2, 'a')")
    db.execute("UPDATE OR IGNORE orders SET id = 2 WHERE id = 1")
    assert changes(db) == {}


def test_what_an_ignored_insert_saw_does_not_count_later(db: sqlite3.Connection) -> None:
    arrive(db, "INSERT INTO orders (id, shop) VALUES (1, 'a'), (2, 'a');"
               "INSERT INTO lines VALUES (1, 1, 'one', NULL)")  # fmt: skip
    db.execute("INSERT OR IGNORE INTO lines VALUES (1, 1, 'other', NULL)")
    arrive(db, "UPDATE lines SET order_id = 2")
    db.execute("UPDATE lines SET what = 'edited'")
    assert changes(db).keys() == {("orders", '{"id":2}')}


def test_a_key_once_given_cannot_be_emptied(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'a')")
    with pytest.raises(sqlite3.IntegrityError, match=r"NOT NULL constraint failed: orders\.id"):
        db.execute("UPDATE orders SET id = NULL")
    assert keys(db) == [1]


def test_bytes_in_a_text_column_can_be_put_right(db: sqlite3.Connection) -> None:
    arrive(db, "INSERT INTO orders (id, shop, note) VALUES (1, 'a', x'ff00')")
    db.execute("UPDATE orders SET note = 'text'")
    assert changes(db)["orders", '{"id":1}'][2] == {"note": "FF00"}


def test_a_natural_key_left_out_is_refused_not_invented(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        db.execute("INSERT INTO customers (code) VALUES ('x')")


def test_a_new_object_after_freezing_has_the_stored_position_as_base(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'a')")
    freeze(db, "20:20:")
    db.execute("UPDATE orders SET note = 'edited'")
    assert changes(db) == {("orders", '{"id":1}'): ("put", "20:20:", {"note": None}, {})}


@pytest.mark.parametrize("clause", CLAUSES)
def test_leased_keys_go_on_through_the_ranges_in_order(db: sqlite3.Connection, clause: str) -> None:
    for _ in range(5):
        db.execute(f"INSERT {clause} INTO orders (shop) VALUES ('a')")
    assert keys(db) == [3, 4, 20, 21, 22]
    with pytest.raises(sqlite3.IntegrityError, match=r"^yurt: no free keys$"):
        db.execute(f"INSERT {clause} INTO orders (shop) VALUES ('a')")
    assert keys(db) == [3, 4, 20, 21, 22]
    assert len(changes(db)) == 5


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_leased_key_never_meets_one_given_explicitly(db: sqlite3.Connection, clause: str) -> None:
    db.execute("INSERT INTO orders (id, shop, note) VALUES (3, 'a', 'given'), (4, 'a', 'given'), (21, 'a', 'given')")
    for _ in range(2):
        db.execute(f"INSERT {clause} INTO orders (shop) VALUES ('a')")
    assert db.execute("SELECT id, note FROM orders ORDER BY id").fetchall() == [
        (3, "given"), (4, "given"), (20, None), (21, "given"), (22, None),
    ]  # fmt: skip
    with pytest.raises(sqlite3.IntegrityError, match="no free keys"):
        db.execute(f"INSERT {clause} INTO orders (shop) VALUES ('a')")


def test_numbers_are_counted_per_organisation_behind_the_highest(db: sqlite3.Connection) -> None:
    arrive(
        db, "INSERT INTO orders (id, shop, number) VALUES (101, 'a', 'K-7'), (102, 'a', 'KK-90'), (103, 'b', 'HQ-5')"
    )
    db.execute("INSERT INTO orders (shop, number) VALUES ('a', ''), ('b', NULL), ('a', 'own'), (NULL, NULL)")
    assert numbers(db) == ["K-8", "K-1", "own", "K-1"]
    arrive(db, "INSERT INTO orders (id, shop, number) VALUES (110, 'a', 'K-20')")
    db.execute("INSERT INTO orders (shop) VALUES ('a')")
    assert numbers(db)[-1] == "K-21"


def test_a_number_is_not_given_again_after_a_deletion(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'a')")
    db.execute("DELETE FROM orders")
    db.execute("INSERT INTO orders (shop) VALUES ('a')")
    assert numbers(db) == ["K-2"]


def test_an_order_that_changes_its_organisation_takes_its_number_along(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO orders (id, shop) VALUES (1, 'b'), (2, 'a')")
    db.execute("INSERT INTO orders (id, shop) VALUES (12, 'a')")
    db.execute("UPDATE orders SET shop = 'b' WHERE id = 12")
    db.execute("INSERT INTO orders (shop) VALUES ('b')")
    assert sorted(number for (number,) in db.execute("SELECT number FROM orders WHERE shop = 'b'")) == [
        "K-1", "K-2", "K-3",
    ]  # fmt: skip


def numbers(db: sqlite3.Connection) -> list[str]:
    return [number for (number,) in db.execute("SELECT number FROM orders WHERE id < 100 ORDER BY id")]
