"""Capture inside the replica against an oracle: whatever SQL ran, `yurt_changes` tells the old state exactly."""

import contextlib
import functools
import json
import math
import sqlite3
import string
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.replica_file import columns_of, create

Row = dict[str, Any]
KEYS = {"shops": ["id"], "customers": ["country", "code"], "orders": ["id"]}
PARTS = {"lines": "order_id", "tags": "order_id"}
RANGES = {"orders": [(3, 4), (20, 22)], "lines": [(5, 6), (40, 60)]}
SEED = """
INSERT INTO shops VALUES ('a'), ('b');
INSERT INTO customers VALUES (1, 'x', 'Xenia'), (1, 'y', NULL), (2, 'x', 'Қайрат');
INSERT INTO orders VALUES (1, 'a', 'K-1', 'first', 0.1, 1, x'00ff'), (2, 'b', 'HQ-7', NULL, 'NaN', 0, NULL),
    (9, 'a', '9', '"quoted\\', 123456789012345680.0, NULL, x'');
INSERT INTO lines VALUES (1, 1, 'one', '1.0'), (2, 1, 'two', NULL), (3, 2, 'three', '3'), (30, 9, NULL, 'NaN');
INSERT INTO tags VALUES (1, 'red', 0.30000000000000004), (1, 'blue', NULL), (9, 'red', -1e-7);
"""


@dataclass
class Aggregate:
    root: Row
    parts: dict[str, list[Row]] = field(default_factory=lambda: {part: [] for part in PARTS})


State = dict[tuple[str, str], Aggregate]


def captured(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value.hex().upper() if isinstance(value, bytes) else value


def rows(db: sqlite3.Connection, table: str) -> list[Row]:
    names = columns_of(table)
    return [dict(zip(names, map(captured, row), strict=True)) for row in db.execute(f"SELECT * FROM {table}")]


def state(db: sqlite3.Connection) -> State:
    found: State = {}
    for table, key in KEYS.items():
        for row in rows(db, table):
            found[table, canonical({name: row[name] for name in key})] = Aggregate(row)
    for part, parent in PARTS.items():
        for row in rows(db, part):
            owner = found.get(("orders", canonical({"id": row[parent]})))
            if owner:
                owner.parts[part].append(row)
    return found


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def bag(lines: list[Row]) -> list[str]:
    return sorted(map(canonical, lines))


def verify(db: sqlite3.Connection, old: State) -> None:
    """Every promise of `yurt_changes` (protocol.md, Package), for what happened since `old`."""
    new = state(db)
    changes = {
        (table, canonical(json.loads(key))): (op, base, json.loads(before), json.loads(parts_before))
        for table, key, op, base, before, parts_before in db.execute(
            "SELECT table_name, key, op, base, before, parts_before FROM yurt_changes"
        )
    }
    for aggregate in {*old, *new} - {*changes}:
        assert describe(old.get(aggregate)) == describe(new.get(aggregate)), f"{aggregate} changed unseen"
    for aggregate, (op, base, before, parts_before) in changes.items():
        was, now = old.get(aggregate), new.get(aggregate)
        assert was or now, f"{aggregate} never was"
        assert op == ("put" if now else "delete"), aggregate
        assert (base is None) == (was is None), (aggregate, base)
        if was is None:
            assert (before, parts_before) == ({}, {}), aggregate
            continue
        assert before.items() <= was.root.items() or canonical(before) == canonical(
            {name: was.root[name] for name in before}
        ), (aggregate, before, was.root)
        tables = {"lines", "tags"} if aggregate[0] == "orders" else set()
        assert parts_before.keys() <= tables
        for part, lines in parts_before.items():
            assert bag(lines) == bag(was.parts[part]), (aggregate, part, lines, was.parts[part])
        if now is None:
            assert before.keys() == was.root.keys()
            assert parts_before.keys() == tables
            continue
        assert canonical({**now.root, **before}) == canonical(was.root), aggregate
        for part in tables - parts_before.keys():
            assert bag(now.parts[part]) == bag(was.parts[part]), (aggregate, part)
    for part in PARTS:
        orphans = f"SELECT * FROM {part} WHERE order_id NOT IN (SELECT id FROM orders)"
        assert db.execute(orphans).fetchall() == [], part
    assert db.execute("SELECT * FROM orders WHERE id IS NULL OR coalesce(number, '') = ''").fetchall() == []
    assert db.execute("SELECT * FROM lines WHERE id IS NULL").fetchall() == []


def describe(aggregate: Aggregate | None) -> Any:
    return aggregate and (canonical(aggregate.root), {part: bag(lines) for part, lines in aggregate.parts.items()})


# --- programs -------------------------------------------------------------------------------------------------------

_IS_ROOT = "WHERE EXISTS (SELECT 1 FROM orders WHERE id = {order})"
_ROW = "{shop}, {number}, {text}, {total}, {paid}, {scan}"
_LINE = "SELECT {line}, {order}, {text}, {quantity} " + _IS_ROOT
STATEMENTS = [
    "INSERT {clause}INTO orders VALUES ({order}, " + _ROW + ")",
    "INSERT {clause}INTO orders VALUES ({order}, " + _ROW + "), ({other}, " + _ROW + ")",
    "INSERT {clause}INTO orders VALUES (NULL, " + _ROW + ")",
    "INSERT {clause}INTO orders (shop, note) VALUES ('a', {text}), ({shop}, {text})",
    "INSERT INTO orders VALUES ({order}, " + _ROW + "), (NULL, " + _ROW + ") ON CONFLICT (id) {upsert}",
    "UPDATE {clause}orders SET note = {text}, total = {total} WHERE id = {order}",
    "UPDATE {clause}orders SET scan = {scan}, shop = {shop} WHERE id = {order}",
    "UPDATE {clause}orders SET note = {text}",
    "UPDATE {clause}orders SET paid = paid",
    "UPDATE {clause}orders SET id = {other} WHERE id = {order}",
    "UPDATE {clause}orders SET id = id + 1 WHERE id >= {order}",
    "UPDATE {clause}orders SET id = NULL WHERE id = {order}",
    "DELETE FROM orders WHERE id = {order}",
    "DELETE FROM orders WHERE id < 5",
    "INSERT {clause}INTO lines " + _LINE,
    "INSERT {clause}INTO lines SELECT NULL, {order}, {text}, {quantity} " + _IS_ROOT,
    "INSERT {clause}INTO lines " + _LINE + " UNION ALL SELECT {another}, {order}, {text}, {quantity} " + _IS_ROOT,
    "INSERT INTO lines " + _LINE + " ON CONFLICT (id) {line_upsert}",
    "UPDATE {clause}lines SET what = {text} WHERE id = {line}",
    "UPDATE {clause}lines SET id = {another} WHERE id = {line}",
    "UPDATE {clause}lines SET id = id + 1",
    "UPDATE {clause}lines SET id = {another}, order_id = {order} " + _IS_ROOT + " AND id = {line}",
    "UPDATE {clause}lines SET order_id = {order} " + _IS_ROOT + " AND order_id = {other}",
    "UPDATE {clause}lines SET order_id = {order} " + _IS_ROOT,
    "DELETE FROM lines WHERE id = {line}",
    "DELETE FROM lines WHERE order_id = {order}",
    "INSERT {clause}INTO tags SELECT {order}, {tag}, {weight} " + _IS_ROOT,
    'UPDATE {clause}tags SET weight = {weight} WHERE "it\'s a tag" = {tag}',
    "UPDATE {clause}tags SET order_id = {order} " + _IS_ROOT + " AND order_id = {other}",
    'UPDATE {clause}tags SET "it\'s a tag" = {tag} WHERE order_id = {order}',
    'DELETE FROM tags WHERE order_id = {order} AND "it\'s a tag" = {tag}',
    "INSERT {clause}INTO customers VALUES ({country}, {code}, {text})",
    "UPDATE {clause}customers SET country = {country} WHERE code = {code}",
    "UPDATE {clause}customers SET country = country + 1",
    "UPDATE {clause}customers SET name = {text}, code = code WHERE country = {country}",
    "DELETE FROM customers WHERE code = {code}",
]
CONTROLS = [
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT one", "ROLLBACK TO one", "RELEASE one", "PRAGMA recursive_triggers = ON",
    "PRAGMA recursive_triggers = OFF", "PRAGMA foreign_keys = ON", "PRAGMA foreign_keys = OFF", "freeze",
]  # fmt: skip
_ORDERS, _LINES = ["1", "2", "3", "9", "10"], ["1", "2", "3", "5", "6", "30"]
VALUES = {
    "order": _ORDERS, "other": _ORDERS, "line": _LINES, "another": _LINES,
    "clause": ["", "OR REPLACE ", "OR REPLACE ", "OR IGNORE ", "OR FAIL ", "OR ROLLBACK "],
    "text": ["'note'", "NULL", "'it''s'", "'ә \" \\'", "''", "x'01'"],
    "total": ["0.1", "123456789012345680.0", "'NaN'", "NULL", "5", "0.30000000000000004", "-1e-7", "9e999"],
    "paid": ["0", "1", "NULL"], "shop": ["'a'", "'b'", "NULL"], "number": ["NULL", "''", "'HQ-1'"],
    "scan": ["NULL", "x'00ff'", "x''"], "quantity": ["'1.0'", "'1.00'", "NULL", "'NaN'"],
    "tag": ["'red'", "'blue'", "'new'"], "weight": ["NULL", "0.5", "'Infinity'"],
    "country": ["1", "2", "3"], "code": ["'x'", "'y'"],
    "upsert": ["DO NOTHING", "DO UPDATE SET note = excluded.note, total = excluded.total",
               "DO UPDATE SET note = 'upserted' WHERE false"],
    "line_upsert": ["DO NOTHING", "DO UPDATE SET what = excluded.what, order_id = excluded.order_id",
                    "DO UPDATE SET what = 1 WHERE false"],
}  # fmt: skip


@st.composite
def statements(draw: st.DrawFn) -> str:
    statement = draw(st.sampled_from(STATEMENTS))
    names = {name for _, name, _, _ in string.Formatter().parse(statement) if name}
    return statement.format(**{name: draw(st.sampled_from(VALUES[name])) for name in sorted(names)})


programs = st.lists(st.one_of(*[statements()] * 6, st.sampled_from(CONTROLS)), min_size=1, max_size=20)


@functools.cache
def template() -> sqlite3.Connection:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(create(Path(folder) / "r.db", RANGES)) as db:
        db.execute("INSERT INTO yurt_paused VALUES (1)")
        db.executescript(SEED)
        db.execute("DELETE FROM yurt_paused")
        seeded = sqlite3.connect(":memory:", check_same_thread=False)
        db.backup(seeded)
    return seeded


def run(program: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        template().backup(db)
        old, frozen = state(db), 0
        for statement in program:
            if statement == "freeze":
                finish(db)
                verify(db, old)
                frozen += 1
                db.execute("DELETE FROM yurt_changes")
                db.execute("UPDATE yurt_workplace SET value = ? WHERE key = 'position'", [f'"{frozen}"'])
                old = state(db)
                continue
            with contextlib.suppress(sqlite3.OperationalError, sqlite3.IntegrityError):
                db.execute(statement)
        finish(db)
        verify(db, old)


def finish(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        try:
            db.execute("COMMIT")
        except sqlite3.IntegrityError:
            db.execute("ROLLBACK")


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs)
def test_changes_tell_the_old_state_whatever_sql_ran(program: list[str]) -> None:
    run(program)
