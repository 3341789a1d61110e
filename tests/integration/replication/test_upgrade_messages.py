"""What was edited in a former version arrives in today's: translated where it can be, kept as a problem where not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.replication import problems
from shared.replication.problem import ProtocolProblem
from tests.integration.replication.shop_versions import Shop, Workplace, opened, order, version
from workplace.engine import freeze
from workplace.engine.problems import open_problems

MARKS = ',\n          { table = "marks", key = ["id"], keys = "uuid", parent = "order_id" }'
VISITS = '\n[[aggregates]]\ntable = "visits"\nkey = ["id"]\nkeys = "uuid"\n'

ALTERATIONS = (
    "ALTER TABLE orders RENAME note TO comment",
    "ALTER TABLE orders DROP sum",
    "ALTER TABLE orders ADD channel text NOT NULL DEFAULT 'db'",
    "ALTER TABLE lines RENAME qty TO amount",
    "ALTER TABLE lines DROP remark",
    "ALTER TABLE lines ADD vat integer NOT NULL DEFAULT 12",
    "ALTER TABLE items ALTER weight TYPE numeric",
    "ALTER TABLE items ALTER active DROP DEFAULT, ALTER active TYPE text",
    "ALTER TABLE items ALTER price TYPE double precision",
    "ALTER TABLE items ADD made timestamptz NOT NULL DEFAULT now()",
)
MIGRATION = """[[migrations]]
from = "1.0"
renames = { orders = { note = "comment" }, lines = { qty = "amount" } }
defaults = { orders = { channel = "shop" } }
"""
TWO = version("2.0", (MARKS, ""), (VISITS, ""), migrations=MIGRATION)


@pytest.fixture
def shop(fresh_database: str, tmp_path: Path) -> Iterator[Shop]:
    with opened(fresh_database, tmp_path) as found:
        yield found


EDITS = f"""
UPDATE orders SET note = 'edited' WHERE number = 'N1';
UPDATE orders SET sum = 77 WHERE number = 'N2';
UPDATE lines SET qty = '9' WHERE order_id = '{order(3)}' AND no = 1;
UPDATE lines SET remark = 'dropped' WHERE order_id = '{order(3)}' AND no = 2;
INSERT INTO lines VALUES ('{order(3)}', 3, 3, '5', 'new');
UPDATE marks SET text = 'gone' WHERE order_id = '{order(4)}';
UPDATE orders SET note = 'with a part that is no more' WHERE number = 'N4';
DELETE FROM orders WHERE number = 'N5';
DELETE FROM lines WHERE order_id = '{order(6)}' AND no = 2;
INSERT INTO orders (id, firm, note, sum) VALUES ('{order(7)}', 'A', 'new', 5);
INSERT INTO lines VALUES ('{order(7)}', 1, 1, '1.5', 'x');
INSERT INTO marks VALUES ('m', '{order(7)}', 'x');
UPDATE items SET weight = 33, active = 0, price = '4.50' WHERE name = 'item 1';
INSERT INTO items (name, weight, active) VALUES ('made offline', 7, 1);
"""


def sent_before_the_schema(workplace: Workplace, upgrade: Callable[[], None]) -> list[Any]:
    workplace.db.executescript(EDITS)
    upgrade()
    return list(workplace.synchronise())


def edited_between_push_and_schema(workplace: Workplace, upgrade: Callable[[], None]) -> list[Any]:
    upgrade()
    assert workplace.synchronise(edit_meanwhile=EDITS) == []
    assert workplace.rows("SELECT message, version FROM yurt_outbox") == [(1, "1.0")]
    return list(workplace.synchronise())


def held_since_before(workplace: Workplace, upgrade: Callable[[], None]) -> list[Any]:
    workplace.db.executescript(EDITS)
    freeze.freeze(workplace.replica, 1)
    upgrade()
    return list(workplace.synchronise())


@pytest.mark.parametrize("versions", [("2.0",), ("2.0", "3.0")])
@pytest.mark.parametrize("way", [sent_before_the_schema, edited_between_push_and_schema, held_since_before])
def test_edits_of_a_former_version_arrive_in_todays_columns(shop: Shop, way: Any, versions: tuple[str, ...]) -> None:
    workplace, other = shop.replica(), shop.replica("w2")

    def upgrade() -> None:
        for number, alterations in zip(versions, (ALTERATIONS, ()), strict=False):
            shop.attach(version(number, (MARKS, ""), (VISITS, ""), migrations=MIGRATION), *alterations)

    results = way(workplace, upgrade)
    assert {result["status"] for result in results} <= {"merged"}, results
    assert shop.sql("SELECT number, comment, channel FROM orders ORDER BY id") == [
        ("N1", "edited", "db"), ("N2", "note 2", "db"), ("N3", "note 3", "db"),
        ("N4", "with a part that is no more", "db"), ("N6", "note 6", "db"), ("P-1", "new", "shop"),
    ]  # fmt: skip
    lines = "SELECT no, item, amount::text, vat FROM lines WHERE order_id = %s ORDER BY no"
    assert shop.sql(lines, order(3)) == [(1, 1, "9.000", 12), (2, 2, "1.000", 12), (3, 3, "5.000", 12)]
    assert shop.sql(lines, order(6)) == [(1, 1, "2.500", 12)]
    assert shop.sql(lines, order(7)) == [(1, 1, "1.500", 12)]
    items = "SELECT name, weight::text, active, price, made IS NULL FROM items WHERE weight IN (33, 7) ORDER BY id"
    assert shop.sql(items) == [("item 1", "33", "false", 4.5, False), ("made offline", "7", "true", None, False)]
    for one in (workplace, other):
        one.synchronise()
        assert one.verified()
    assert open_problems(workplace.db) == []


def test_what_the_service_put_into_new_columns_is_not_overwritten_by_lines_that_know_nothing_of_them(
    shop: Shop,
) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE lines SET qty = '7' WHERE order_id = ? AND no = 1", [order(1)])
    shop.attach(TWO, *ALTERATIONS, "ALTER TABLE lines DISABLE TRIGGER USER", "UPDATE lines SET vat = no",
                "ALTER TABLE lines ENABLE TRIGGER USER")  # fmt: skip  # as if the ALTER had put it there
    workplace.synchronise()
    assert shop.sql("SELECT amount::text, vat FROM lines WHERE order_id = %s ORDER BY no", order(1)) == [
        ("7.000", 1), ("1.000", 2),
    ]  # fmt: skip
    assert workplace.verified()


def test_both_sides_merge_across_versions_and_conflicts_are_told_in_todays_names(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE orders SET note = 'ours' WHERE number IN ('N1', 'N2')")
    workplace.db.execute("UPDATE lines SET qty = '7' WHERE order_id IN (?, ?) AND no = 1", [order(1), order(2)])
    workplace.db.execute("DELETE FROM orders WHERE number = 'N3'")
    shop.attach(TWO, *ALTERATIONS)
    shop.sql("UPDATE orders SET channel = 'theirs'")
    shop.sql("UPDATE orders SET comment = 'theirs' WHERE number = 'N2'")
    shop.sql("UPDATE lines SET amount = 8 WHERE order_id = %s AND no = 2", order(1))
    assert sorted(result["status"] for result in workplace.synchronise()) == ["conflict", "merged"]
    kept = shop.sql("SELECT code, columns, pushed -> 'row' ->> 'comment' FROM yurt.problems")
    assert kept == [("conflict", ["comment"], "ours")]
    assert shop.sql("SELECT comment, channel FROM orders WHERE number < 'N4' ORDER BY 1") == [
        ("ours", "theirs"), ("theirs", "theirs"),
    ]  # fmt: skip
    assert workplace.verified()


def test_an_edit_of_a_table_that_is_no_longer_synchronised_is_kept_as_a_problem(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE visits SET words = 'kept'")
    shop.attach(TWO, *ALTERATIONS)
    results = workplace.synchronise()
    assert {(result["status"], result["code"]) for result in results} == {("rejected", "unknown_table")}
    assert shop.sql("SELECT DISTINCT pushed -> 'row' ->> 'words' FROM yurt.problems") == [("kept",)]
    assert [problem.pushed["row"]["words"] for problem in open_problems(workplace.db)] == ["kept"] * 3
    assert workplace.verified()


def test_lines_of_a_part_that_belongs_elsewhere_today_are_kept_as_a_problem(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE marks SET text = 'kept' WHERE order_id = ?", [order(1)])
    workplace.db.execute("UPDATE visits SET words = 'kept'")
    shop.attach(
        version("2.0", (MARKS, ', { table = "visits", key = ["id"], parent = "order_id" }'),
                (VISITS, '\n[[aggregates]]\ntable = "marks"\nkey = ["id"]\nkeys = "uuid"\n')),
        "ALTER TABLE visits ADD order_id uuid REFERENCES orders",
    )  # fmt: skip
    assert sorted(result["code"] for result in workplace.synchronise()) == ["invalid_value", *["unknown_table"] * 3]
    assert shop.sql(
        "SELECT pushed -> 'parts' -> 'marks' -> 0 ->> 'text' FROM yurt.problems WHERE table_name = 'orders'"
    )
    assert workplace.verified()


def test_a_key_that_nobody_can_translate_is_refused_alone_and_kept(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE visits SET words = 'kept'")
    workplace.db.execute("UPDATE orders SET note = 'applied' WHERE number = 'N1'")
    keyed = version("2.0", ('table = "visits"\nkey = ["id"]', 'table = "visits"\nkey = ["uid"]'))
    shop.attach(keyed, "ALTER TABLE visits RENAME id TO uid")
    results = workplace.synchronise()
    assert [(result["status"], result["code"]) for result in results] == [("rejected", "invalid_value")] * 3
    assert shop.sql("SELECT note FROM orders WHERE number = 'N1'") == [("applied",)]
    assert workplace.verified()
    for choice in ("rejected", "accepted"):
        ((problem,),) = shop.sql("SELECT id::text FROM yurt.problems WHERE state = 'open' ORDER BY seq LIMIT 1")
        if choice == "accepted":
            problems.resolve(shop.conn, "shop", shop.model, problem, "accepted", None, "anna")
            continue
        with pytest.raises(ProtocolProblem, match="no key"):
            problems.resolve(shop.conn, "shop", shop.model, problem, "rejected", None, "anna")


def test_values_that_no_cast_makes_todays_are_refused_alone(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE items SET price = '1.25', weight = 5 WHERE id = 1")
    workplace.db.execute("UPDATE items SET price = '2.00' WHERE id = 2")
    shop.attach(version("2.0"), "ALTER TABLE items ALTER price TYPE integer",
                "ALTER TABLE items ALTER weight TYPE boolean"
                " USING weight > 1")  # fmt: skip
    (result,) = workplace.synchronise()
    assert (result["code"], result["detail"]) == ("invalid_value", "items.price: '1.25' is no integer")
    assert shop.sql("SELECT price, weight FROM items WHERE id < 3 ORDER BY id") == [(1, False), (2, True)]
    assert workplace.verified()


def test_a_version_that_nobody_knows_is_an_invalid_body(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE visits SET words = 'kept'")
    freeze.freeze(workplace.replica, 1)
    workplace.db.execute("UPDATE yurt_outbox SET version = '0.7'")
    workplace.push()
    kept = open_problems(workplace.db)
    assert {(problem.kind, problem.code) for problem in kept} == {("local", "invalid_body")}
    assert shop.sql("SELECT count(*) FROM yurt.messages") == [(0,)]


def test_a_local_problem_of_a_former_version_is_sent_whole_once_it_is_edited(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = shop.replica()
    long = "x" * 500
    workplace.db.execute("UPDATE orders SET note = ? WHERE number = 'N1'", [long])
    workplace.db.execute("UPDATE lines SET qty = '7' WHERE order_id = ? AND no = 1", [order(1)])
    workplace.db.execute("INSERT INTO orders (id, firm, note) VALUES (?, 'A', ?)", [order(7), long])
    with monkeypatch.context() as tight:
        tight.setattr(freeze, "MAX_SINGLE_BYTES", 600)
        workplace.synchronise()
        shop.attach(TWO, *ALTERATIONS)
        workplace.synchronise()
    assert [(problem.code, problem.pushed["before"]) for problem in open_problems(workplace.db)] == [
        ("aggregate_too_large", {"note": "note 1"}), ("aggregate_too_large", {}),
    ]  # fmt: skip
    workplace.db.execute("UPDATE orders SET number = number || '!'")
    assert workplace.synchronise() == []
    assert shop.sql("SELECT number, comment FROM orders WHERE comment = %s ORDER BY 1", long) == [
        ("N1!", long), ("P-1!", long),
    ]  # fmt: skip
    assert shop.sql("SELECT amount FROM lines WHERE order_id = %s AND no = 1", order(1))[0][0] == 7
    assert open_problems(workplace.db) == []
    assert workplace.verified()


def test_a_message_of_a_former_version_is_answered_once_however_often_it_is_sent(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("UPDATE orders SET note = 'once' WHERE number = 'N1'")
    freeze.freeze(workplace.replica, 1)
    (held,) = workplace.rows("SELECT body, digest FROM yurt_outbox")
    workplace.push()
    shop.attach(TWO, *ALTERATIONS)
    workplace.db.execute("INSERT INTO yurt_outbox VALUES (1, ?, ?, '1.0')", held)
    shop.sql("UPDATE orders SET comment = 'later' WHERE number = 'N1'")
    assert workplace.synchronise() == []
    assert shop.sql("SELECT comment FROM orders WHERE number = 'N1'") == [("later",)]
    assert workplace.verified()


def test_the_manifest_alone_translates_a_version_the_database_never_saw(shop: Shop) -> None:
    workplace = shop.replica()
    shop.attach(TWO, *ALTERATIONS)
    shop.sql("DELETE FROM yurt.versions WHERE version = '1.0'")
    workplace.db.execute("UPDATE orders SET note = 'told' WHERE number = 'N1'")
    workplace.push()
    (problem,) = open_problems(workplace.db)
    assert (problem.code, problem.detail) == ("invalid_value", "orders has no column sum")
    assert problem.pushed["row"]["note"] == "told"
