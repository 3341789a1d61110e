"""Freezing: `yurt_changes` becomes a message in the outbox, in one local transaction (protocol.md, Push).

Afterwards the edits are as good as sent: the body is never rebuilt, later edits make new rows with a `before` relative
to what was frozen.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from shared.protocol.digest import quote
from shared.protocol.values import canonical_json
from workplace.engine import outbox, passed, problems
from workplace.engine.layout import Aggregate, Key, Layout, captured_json
from workplace.engine.replica import Replica

MAX_AGGREGATES = 20_000
MAX_BYTES = 16_000_000
MAX_SINGLE_BYTES = 64_000_000

Line = dict[str, Any]


class Unsendable(Exception):
    """An aggregate that no message can hold."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Change:
    """A row of `yurt_changes`; `key`, `before` and `parts_before` are the JSON that the triggers wrote."""

    seq: int
    table: str
    key: str
    op: str
    base: str | None
    before: str | None
    parts_before: str | None
    edited_at: str | None
    edited_by: str | None


_CHANGE = (
    "SELECT seq, table_name, key, op, base, before, parts_before, edited_at, edited_by FROM yurt_changes WHERE seq = ?"
)


def count_changes(connection: sqlite3.Connection) -> int:
    """How many aggregates were edited since they were last frozen."""
    return int(connection.execute("SELECT count(*) FROM yurt_changes").fetchone()[0])


def freeze(replica: Replica, number: int) -> int:
    """Holds a message of at most 20,000 aggregates or 16 MB under `number`. Returns how many changes it took.

    A change that can never be sent (over 64 MB, or a value that no message can hold) leaves as a local problem and
    counts too; so there may be no message although something was taken.
    """
    with replica.writing() as connection:
        return freeze_within(connection, replica.layout, number, str(replica.get("version")))


def freeze_within(connection: sqlite3.Connection, layout: Layout, number: int, version: str) -> int:
    """As `freeze`, inside the caller's transaction."""
    kept = problems.local_problems(connection)
    lines: list[bytes] = []
    size, taken = 0, []
    for seq in _order(connection, layout):
        change = Change(*connection.execute(_CHANGE, (seq,)).fetchone())
        key = _wire_key(layout, change)
        earlier = kept.get((change.table, problems.key_text(key)))
        passed.drop(connection, change.table, key)
        if earlier is not None and earlier["version"] != version and change.table in layout:
            earlier = _renamed(layout[change.table], earlier)
        try:
            line = _line(connection, layout, change, key, earlier)
            encoded = _encode(line) if line else b""
        except Unsendable as error:
            taken.append((seq,))
            rough = _rough(change, key, earlier)
            problems.record_local(
                connection, rough, code=error.code, detail=str(error), message=number, version=version
            )
            continue
        if encoded and lines and (len(lines) >= MAX_AGGREGATES or size + len(encoded) > MAX_BYTES):
            break
        taken.append((seq,))
        if earlier is not None:
            problems.supersede(connection, change.table, key)
        if encoded:
            lines.append(encoded)
            size += len(encoded)
    connection.executemany("DELETE FROM yurt_changes WHERE seq = ?", taken)
    if lines:
        outbox.store(connection, number, lines, version)
    return len(taken)


def _line(
    connection: sqlite3.Connection, layout: Layout, change: Change, key: dict[str, Any], earlier: Line | None
) -> Line | None:
    """The line of a change; None when the service needs to hear nothing. `earlier` is its local problem."""
    aggregate = layout.get(change.table)
    if aggregate is None:
        raise Unsendable("unknown_table", change.table)
    try:
        told = _told(aggregate, change, key, earlier)
        row = connection.execute(
            f"{aggregate.root.select} WHERE {aggregate.root.key_is}", aggregate.root.key_from_wire(key)
        ).fetchone()
        if change.op == "delete" or row is None:
            if told["base"] is None:
                return None
            untouched: dict[str, Any] = {part.table.name: [] for part in aggregate.parts}
            return {**told, "op": "delete", "parts_before": {**untouched, **told["parts_before"]}}
        told["row"] = aggregate.root.wire_row(dict(zip(aggregate.root.names, row, strict=True)))
        told["parts"] = _parts(connection, aggregate, told, aggregate.root.key_from_wire(key))
    except (ValueError, TypeError, KeyError) as error:
        raise Unsendable("invalid_value", str(error)) from error
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        raise Unsendable("invalid_value", str(error)) from error
    return told


def _told(aggregate: Aggregate, change: Change, key: dict[str, Any], earlier: Line | None) -> Line:
    """What the triggers wrote, on top of what an earlier change of the aggregate kept that was never sent."""
    parts_before = {
        part.table.name: [part.table.captured_to_wire(line) for line in lines]
        for part in aggregate.parts
        if (lines := captured_json(change.parts_before).get(part.table.name)) is not None
    }
    base, before = change.base, aggregate.root.captured_to_wire(captured_json(change.before))
    if earlier is not None:
        base = earlier["base"]
        before = {**before, **earlier["before"]}
        parts_before = {**parts_before, **earlier["parts_before"]}
    if base is None:
        before, parts_before = {}, {}
    return {
        "seq": change.seq, "table": change.table, "key": key, "op": "put", "base": base, "before": before,
        "parts_before": parts_before, "edited_at": change.edited_at, "edited_by": change.edited_by,
    }  # fmt: skip


def _renamed(aggregate: Aggregate, earlier: Line) -> Line:
    """A line in another version's names: what it edited is not known in today's, so all counts as edited."""
    root, touched = aggregate.root, earlier["parts_before"]
    return {
        **earlier,
        "before": {
            column.name: None for column in root.columns if not column.generated and column.name not in root.key
        },
        "parts_before": {part.table.name: [] for part in aggregate.parts if part.table.name in touched},
    }


def _parts(connection: sqlite3.Connection, aggregate: Aggregate, told: Line, key: Key) -> dict[str, list[Line]]:
    """The lines as they are now: of each touched part table, of a new aggregate all."""
    return {
        part.table.name: part.lines_of(connection, key)
        for part in aggregate.parts
        if told["base"] is None or part.table.name in told["parts_before"]
    }


def _encode(line: Line) -> bytes:
    try:
        encoded = canonical_json(line).encode() + b"\n"
    except ValueError as error:  # NaN in an INTEGER column, half a surrogate pair: SQLite stores anything
        raise Unsendable("invalid_value", str(error)) from error
    if len(encoded) > MAX_SINGLE_BYTES:
        raise Unsendable("aggregate_too_large", f"{len(encoded):,} > {MAX_SINGLE_BYTES:,}")
    return encoded


def _rough(change: Change, key: dict[str, Any], earlier: Line | None) -> Line:
    """What can be kept of a change that cannot be spelt: enough to send it once it is edited."""
    line: Line = {
        "seq": change.seq, "table": change.table, "key": key, "op": change.op, "base": change.base,
        "before": captured_json(change.before), "parts_before": captured_json(change.parts_before),
        "edited_at": change.edited_at, "edited_by": change.edited_by,
    }  # fmt: skip
    if earlier is not None:
        line["base"] = earlier["base"]
        line["before"] = {**line["before"], **earlier["before"]}
        line["parts_before"] = {**line["parts_before"], **earlier["parts_before"]}
    return line


def _wire_key(layout: Layout, change: Change) -> dict[str, Any]:
    captured = json.loads(change.key)
    return layout[change.table].root.captured_to_wire(captured) if change.table in layout else dict(captured)


def _order(connection: sqlite3.Connection, layout: Layout) -> list[int]:
    """Changes so that a split into several messages breaks no reference: what is referred to first, deletes last."""
    ranks = _ranks(connection, layout)
    changes = connection.execute("SELECT seq, table_name, op FROM yurt_changes").fetchall()

    def place(change: tuple[int, str, str]) -> tuple[bool, int, int]:
        seq, table, op = change
        rank = ranks.get(table, 0)
        return op == "delete", -rank if op == "delete" else rank, seq

    return [seq for seq, _, _ in sorted(changes, key=place)]


def _ranks(connection: sqlite3.Connection, layout: Layout) -> dict[str, int]:
    """How deep a root stands above the tables that it and its lines refer to."""
    owner = {part.table.name: root for root, aggregate in layout.items() for part in aggregate.parts}
    owner |= {root: root for root in layout}
    targets: dict[str, set[str]] = {root: set() for root in layout}
    for table, root in owner.items():
        for foreign_key in connection.execute(f"PRAGMA foreign_key_list({quote(table)})"):
            targets[root].add(owner.get(foreign_key[2], root))
    ranks = dict.fromkeys(layout, 0)
    for _ in layout:  # as often as the longest possible chain; a cycle just stops growing
        ranks = {root: max((ranks[to] + 1 for to in targets[root] if to != root), default=0) for root in layout}
    return ranks
