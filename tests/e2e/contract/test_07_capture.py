"""Page, lines 83-97: what triggers in the replica capture."""

import sqlite3
from uuid import uuid4

import pytest

from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import good

pytestmark = pytest.mark.xdist_group("contract")


@pytest.fixture(scope="module")
def package(office: Office) -> bytes:
    organisation = office.organisation("Захват")
    customer = office.customer(organisation, "Клиент", code="c-1", phone="1")
    office.order(organisation, customer, lines=3, comment="one", net="5.00")
    office.order(organisation, customer, lines=1, comment="two")
    office.sql("INSERT INTO rates VALUES ('EUR', '2026-01-01', '500', 'bank') ON CONFLICT DO NOTHING")
    office.sql(
        "INSERT INTO every_type (id, bytes, flag, big) VALUES (77, '\\xdeadbeef', true, 5) ON CONFLICT DO NOTHING"
    )
    return office.package(office.ready(organisations=[organisation])["id"])


@pytest.fixture
def replica(office: Office, package: bytes) -> Workplace:
    """A fresh copy of the same package for each test."""
    return office.unpack(package)


def order_of(replica: Workplace, comment: str = "one") -> str:
    return str(replica.rows("SELECT id FROM orders WHERE comment = ?", comment)[0][0])


def new_order(replica: Workplace, **more: object) -> str:
    order = str(uuid4())
    model = replica.row("SELECT organisation_id, customer_id FROM orders LIMIT 1") or {}
    values = {"id": order, **model, "ordered_on": "2026-06-06", **more}
    replica.db.execute(
        f"INSERT INTO orders ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", [*values.values()]
    )
    return order


def test_an_edit_is_one_row_with_the_old_values_of_the_changed_columns_alone(replica: Workplace) -> None:
    """Lines 83-85."""
    order = order_of(replica)
    replica.db.execute("UPDATE orders SET comment = 'x', paid = 1 WHERE id = ?", [order])
    replica.db.execute("UPDATE orders SET comment = 'y' WHERE id = ?", [order])
    change = replica.change("orders")
    assert change["key"] == {"id": order}
    assert change["op"] == "put"
    assert change["base"] == replica.state("position")
    assert change["before"] == {"comment": "one", "paid": 0}
    assert change["parts_before"] == {}
    assert change["edited_at"].endswith("Z")
    assert len(change["edited_at"]) == len("YYYY-MM-DDTHH:MM:SS.ffffffZ")


def test_an_update_that_changes_nothing_is_no_change(replica: Workplace) -> None:
    """Line 83: a row per aggregate *edited*."""
    replica.db.execute("UPDATE orders SET comment = comment")
    assert replica.changes() == []


def test_a_new_aggregate_has_no_base_and_an_empty_before(replica: Workplace) -> None:
    """Lines 84-86."""
    order = new_order(replica, comment="new")
    replica.db.execute("UPDATE orders SET comment = 'newer' WHERE id = ?", [order])
    change = replica.change("orders")
    assert (change["op"], change["base"], change["before"], change["parts_before"]) == ("put", None, {}, {})


def test_a_delete_keeps_the_whole_row_and_all_lines_as_they_were(replica: Workplace) -> None:
    """Lines 85-86, 96-97."""
    order = order_of(replica)
    row = replica.row("SELECT * FROM orders WHERE id = ?", order)
    lines = [dict(r) for r in replica.rows("SELECT * FROM order_lines WHERE order_id = ?", order)]
    replica.db.execute("DELETE FROM orders WHERE id = ?", [order])
    change = replica.change("orders")
    assert change["op"] == "delete"
    assert change["base"] == replica.state("position")
    assert change["before"] == row
    by_id = sorted(change["parts_before"]["order_lines"], key=lambda line: str(line["id"]))
    assert by_id == sorted(lines, key=lambda line: str(line["id"]))
    assert replica.rows("SELECT 1 FROM order_lines WHERE order_id = ?", order) == [], (
        "deleting a root deletes its lines"
    )


def test_a_delete_after_an_edit_has_the_whole_row_as_it_was_at_first(replica: Workplace) -> None:
    """Lines 84-86."""
    order = order_of(replica)
    row = replica.row("SELECT * FROM orders WHERE id = ?", order)
    replica.db.execute("UPDATE orders SET comment = 'x' WHERE id = ?", [order])
    replica.db.execute("DELETE FROM order_lines WHERE order_id = ? AND position = 1", [order])
    replica.db.execute("DELETE FROM orders WHERE id = ?", [order])
    change = replica.change("orders")
    assert change["before"] == row
    assert len(change["parts_before"]["order_lines"]) == 3


def test_inserted_and_deleted_again_leaves_no_row(replica: Workplace) -> None:
    """Lines 86-87."""
    order = new_order(replica)
    replica.db.execute(
        "INSERT INTO order_lines (id, order_id, position, item_id, quantity) VALUES (?, ?, 1, 1, '1')",
        [str(uuid4()), order],
    )
    replica.db.execute("DELETE FROM orders WHERE id = ?", [order])
    assert replica.changes() == []


@pytest.mark.parametrize("how", ["insert", "update", "delete"])
def test_a_touched_line_registers_its_root_with_all_lines_as_they_were(replica: Workplace, how: str) -> None:
    """Line 86."""
    order = order_of(replica)
    before = [dict(r) for r in replica.rows("SELECT * FROM order_lines WHERE order_id = ? ORDER BY id", order)]
    statement = {
        "insert": "INSERT INTO order_lines (id, order_id, position, item_id, quantity)"
        f" VALUES ('{uuid4()}', '{order}', 9, 1, '1')",
        "update": f"UPDATE order_lines SET quantity = '7' WHERE order_id = '{order}'",
        "delete": f"DELETE FROM order_lines WHERE order_id = '{order}'",
    }[how]
    replica.db.execute(statement)
    change = replica.change("orders")
    assert change["op"] == "put"
    assert change["before"] == {}
    assert list(change["parts_before"]) == ["order_lines"], "each part table touched, and no other"
    assert sorted(change["parts_before"]["order_lines"], key=lambda r: str(r["id"])) == before


def test_a_line_that_moves_to_another_root_touches_both(replica: Workplace) -> None:
    """Line 86."""
    one, two = order_of(replica), order_of(replica, "two")
    replica.db.execute("UPDATE order_lines SET order_id = ? WHERE order_id = ? AND position = 1", [two, one])
    changed = {c["key"] for c in replica.changes("orders")}
    assert changed == {f'{{"id":"{one}"}}', f'{{"id":"{two}"}}'}


def test_values_in_before_are_those_of_sqlite(replica: Workplace) -> None:
    """Line 86: booleans 0/1, BLOBs as hex."""
    replica.db.execute("UPDATE every_type SET bytes = x'00', flag = 0, big = 6 WHERE id = 77")
    before = replica.change("every_type")["before"]
    assert before["bytes"].lower() == "deadbeef"
    assert before["flag"] == 1
    assert before["big"] == 5


def test_replace_is_a_put_with_the_old_row_as_before(replica: Workplace) -> None:
    """Line 96."""
    replica.db.execute("REPLACE INTO rates (currency, on_date, rate, source) VALUES ('EUR', '2026-01-01', '501', 'me')")
    change = replica.change("rates")
    assert change["op"] == "put"
    assert change["base"] == replica.state("position")
    assert {"rate": "500", "source": "bank"}.items() <= change["before"].items()


def test_a_changed_key_is_a_delete_and_a_put(replica: Workplace) -> None:
    """Line 96."""
    replica.db.execute("UPDATE rates SET on_date = '2026-02-02' WHERE currency = 'EUR' AND on_date = '2026-01-01'")
    found = {(c["op"], c["key"]): c["base"] for c in replica.changes("rates")}
    assert found == {
        ("delete", '{"currency":"EUR","on_date":"2026-01-01"}'): replica.state("position"),
        ("put", '{"currency":"EUR","on_date":"2026-02-02"}'): None,
    }


@pytest.mark.parametrize(
    "pragmas", [(), ("recursive_triggers",), ("foreign_keys",), ("recursive_triggers", "foreign_keys")]
)
def test_writes_are_captured_whatever_the_pragmas(replica: Workplace, pragmas: tuple[str, ...]) -> None:
    """Line 96."""
    for name in ("recursive_triggers", "foreign_keys"):
        replica.db.execute(f"PRAGMA {name} = {int(name in pragmas)}")
    order = order_of(replica)
    replica.db.execute("REPLACE INTO rates (currency, on_date, rate, source) VALUES ('EUR', '2026-01-01', '501', 'me')")
    replica.db.execute("DELETE FROM orders WHERE id = ?", [order])
    new = new_order(replica)
    assert {"rate": "500", "source": "bank"}.items() <= replica.change("rates")["before"].items()
    assert {(c["op"], c["key"]) for c in replica.changes("orders")} == {
        ("delete", f'{{"id":"{order}"}}'),
        ("put", f'{{"id":"{new}"}}'),
    }
    assert replica.rows("SELECT 1 FROM order_lines WHERE order_id = ?", order) == []


def test_another_connection_is_captured_too(replica: Workplace) -> None:
    """Line 96: whatever program."""
    other = sqlite3.connect(replica.file)
    other.execute("UPDATE orders SET comment = 'other' WHERE comment = 'one'")
    other.commit()
    other.close()
    assert replica.change("orders")["before"] == {"comment": "one"}


def test_while_paused_holds_a_row_the_triggers_are_silent(replica: Workplace) -> None:
    """Line 90."""
    replica.db.execute("BEGIN")
    replica.db.execute("INSERT INTO yurt_paused DEFAULT VALUES")
    replica.db.execute("UPDATE orders SET comment = 'silent'")
    replica.db.execute("DELETE FROM yurt_paused")
    replica.db.execute("COMMIT")
    assert replica.changes() == []


def test_after_freezing_edits_have_the_stored_position_as_base_also_of_a_new_object(replica: Workplace) -> None:
    """Lines 117-118, 122."""
    order = new_order(replica, comment="new")
    replica.freeze(1)
    assert replica.changes() == []
    replica.db.execute("UPDATE orders SET comment = 'later' WHERE id = ?", [order])
    change = replica.change("orders")
    assert change["base"] == replica.state("position")
    assert change["before"] == {"comment": "new"}, "relative to what was frozen"


@pytest.mark.parametrize("spelling", ["id", "null", "left out"])
def test_a_leased_key_left_out_or_null_gets_the_next_leased_value(replica: Workplace, spelling: str) -> None:
    """Lines 91-92."""
    (lease,) = replica.rows("SELECT * FROM yurt_ranges WHERE table_name = 'items'")
    assert lease["column_name"] == "id"
    names, values = "unit_code, title", "'kg', 'leased'"
    if spelling == "null":
        names, values = f"id, {names}", f"NULL, {values}"
    if spelling == "id":
        names, values = f"id, {names}", f"{lease['last']}, {values}"
    replica.db.execute(f"INSERT INTO items ({names}) VALUES ({values})")
    key = replica.rows("SELECT id FROM items WHERE title = 'leased'")[0][0]
    assert key == (lease["last"] if spelling == "id" else lease["next"])
    if spelling != "id":
        replica.db.execute(f"INSERT INTO items ({names}) VALUES ({values})")
        assert [r[0] for r in replica.rows("SELECT id FROM items WHERE title = 'leased' ORDER BY 1")] == [key, key + 1]
    assert all(c["base"] is None for c in replica.changes("items"))


def test_ranges_are_used_in_order_their_ends_are_inclusive_and_an_empty_one_raises(replica: Workplace) -> None:
    """Lines 91-92."""
    replica.db.execute("DELETE FROM yurt_ranges WHERE table_name = 'items'")
    for first, last in ((9_000_001, 9_000_002), (9_000_101, 9_000_101)):
        replica.db.execute("INSERT INTO yurt_ranges VALUES ('items', 'id', ?, ?)", [first, last])
    for _ in range(3):
        replica.db.execute("INSERT INTO items (unit_code, title) VALUES ('kg', 'ordered')")
    keys = [r[0] for r in replica.rows("SELECT id FROM items WHERE title = 'ordered' ORDER BY rowid")]
    assert keys == [9_000_001, 9_000_002, 9_000_101]
    with pytest.raises(sqlite3.Error, match="yurt: no free keys"):
        replica.db.execute("INSERT INTO items (unit_code, title) VALUES ('kg', 'too many')")


def test_leased_ranges_of_two_workplaces_never_meet(office: Office, replica: Workplace) -> None:
    """Line 91."""
    other = office.unpack(office.package(office.ready(organisations=[office.first])["id"]))
    for table in ("items", "entries"):
        (one,) = replica.rows("SELECT next, last FROM yurt_ranges WHERE table_name = ?", table)
        (two,) = other.rows("SELECT next, last FROM yurt_ranges WHERE table_name = ?", table)
        assert one["last"] < two["next"] or two["last"] < one["next"]
    assert office.one("SELECT max(id) AS m FROM items")["m"] < min(
        r[0] for r in replica.rows("SELECT next FROM yurt_ranges WHERE table_name = 'items'")
    )


@pytest.mark.parametrize("empty", [None, ""])
def test_a_numbered_column_left_empty_gets_the_prefix_and_a_counter(replica: Workplace, empty: str | None) -> None:
    """Line 93."""
    prefix = replica.state("prefix")
    orders = [new_order(replica, number=empty) for _ in range(2)]
    numbers = [str(replica.rows("SELECT number FROM orders WHERE id = ?", order)[0][0]) for order in orders]
    stems = [number.rsplit("-", 1) for number in numbers]
    assert {stem[0] for stem in stems} == {prefix}
    assert int(stems[1][1]) == int(stems[0][1]) + 1
    assert "-" not in prefix


def test_a_number_given_by_hand_is_kept(replica: Workplace) -> None:
    """Line 93."""
    order = new_order(replica, number="by-hand")
    assert replica.rows("SELECT number FROM orders WHERE id = ?", order)[0][0] == "by-hand"


def test_numbers_go_on_behind_the_highest_of_the_prefix_and_are_counted_per_organisation(office: Office) -> None:
    """Lines 93-94."""
    one, two = office.organisation(), office.organisation()
    customers = {o: office.customer(o) for o in (one, two)}
    replica = office.workplace(one, two)
    prefix = replica.state("prefix")
    replica.exchange()
    numbers: dict[str, list[str]] = {}
    for organisation in (one, two, one):
        order = new_order(replica, organisation_id=organisation, customer_id=customers[organisation])
        numbers.setdefault(organisation, []).append(replica.rows("SELECT number FROM orders WHERE id = ?", order)[0][0])
    assert numbers[two][0] == numbers[one][0], "counted per organisation"
    replica.db.execute(
        "UPDATE orders SET number = ? WHERE number = ? AND organisation_id = ?", [f"{prefix}-900", numbers[one][1], one]
    )
    order = new_order(replica, organisation_id=one, customer_id=customers[one])
    assert replica.rows("SELECT number FROM orders WHERE id = ?", order)[0][0] == f"{prefix}-901"


def test_prefixes_differ_not_only_in_case_and_never_come_again(office: Office) -> None:
    """Line 94."""
    made = [office.create(organisations=[office.first]) for _ in range(3)]
    good(office.admin.delete(f"/workplaces/{made[0]['id']}"))
    made.append(office.create(organisations=[office.first]))
    prefixes = [w["prefix"].lower() for w in made]
    assert len(set(prefixes)) == 4
    assert all("-" not in prefix for prefix in prefixes)
