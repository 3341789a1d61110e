"""Repairing what a proof found: a bucket travels whole, but only the aggregates that differ are written anew.

What differed is counted row by row, and kept in the replica as a record for the person (`repairs`).
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.protocol import values
from shared.protocol.digest import row_encoder
from workplace.engine.layout import Aggregate, Key, Part, Table
from workplace.engine.replica import Replica

Rows = dict[Key, bytes]
_KEPT = 50


@dataclass
class Difference:
    """Rows of one table: `missing` here, `extra` here, `different` in both."""

    missing: int = 0
    extra: int = 0
    different: int = 0


class Comparison:
    """Compares aggregates of the replica with the service's, as digests see them; counts what is not equal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.found: dict[str, Difference] = {}
        self._connection = connection
        self._readers: dict[str, Callable[[Iterable[Sequence[values.Replica]]], Rows]] = {}

    def equal(self, aggregate: Aggregate, key: Key, line: Mapping[str, Any]) -> bool:
        """Whether the replica holds the aggregate of a `put` line just as it is told there."""
        there, parts = self._told(aggregate.root, [line["row"]]), line.get("parts") or {}
        same = self._compare(aggregate.root, self._present(aggregate.root, key), there)
        for part in aggregate.parts:
            told = self._told(part.table, parts.get(part.table.name) or [])
            same &= self._compare(part.table, self._lines(part, key), told)
        return same

    def stray(self, aggregate: Aggregate, key: Key) -> None:
        """Counts an aggregate that the service does not have, or lines that lost their root."""
        self._compare(aggregate.root, self._present(aggregate.root, key), {})
        for part in aggregate.parts:
            self._compare(part.table, self._lines(part, key), {})

    def _present(self, table: Table, key: Key) -> Rows:
        return self._read(table, self._connection.execute(f"{table.select} WHERE {table.key_is}", key))

    def _lines(self, part: Part, key: Key) -> Rows:
        return self._read(part.table, self._connection.execute(part.of_parent, key))

    def _told(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> Rows:
        converted = [[values.from_wire(column.type, row.get(column.name)) for column in table.columns] for row in rows]
        return self._read(table, converted)

    def _read(self, table: Table, rows: Iterable[Sequence[values.Replica]]) -> Rows:
        reader = self._readers.get(table.name)
        if reader is None:
            reader = self._readers[table.name] = _reader(table)
        return reader(rows)

    def _compare(self, table: Table, here: Rows, there: Rows) -> bool:
        if here == there:
            return True
        found = self.found.setdefault(table.name, Difference())
        found.missing += len(there.keys() - here.keys())
        found.extra += len(here.keys() - there.keys())
        found.different += sum(here[key] != there[key] for key in here.keys() & there.keys())
        return False


def _reader(table: Table) -> Callable[[Iterable[Sequence[values.Replica]]], Rows]:
    encode = row_encoder([column.type for column in table.columns])
    places = [table.names.index(name) for name in table.key]
    return lambda rows: {tuple(row[place] for place in places): encode(row) for row in rows}


def note_differing(replica: Replica, differing: Mapping[str, Sequence[int]], found_at: str) -> None:
    """What was told to the service: the next delta repairs it."""
    replica.remember("differing", {"found_at": found_at, "tables": {name: len(of) for name, of in differing.items()}})


def record(
    replica: Replica, found: Mapping[str, Difference], repaired_at: str, *, equal: bool | None
) -> dict[str, Any] | None:
    """Closes what was noted as differing with a record of what was repaired; None when nothing was noted.

    `tables`: buckets that were told by table, 0 for all; `rows`: what differed in them; `equal`: whether both copies
    were proven equal afterwards, None when that could not be said.
    """
    noted = replica.note("differing")
    if noted is None:
        return None
    rows = {name: asdict(difference) for name, difference in found.items()}
    repair: dict[str, Any] = {**noted, "repaired_at": repaired_at, "rows": rows, "equal": equal}
    replica.remember("repairs", [*replica.note("repairs", []), repair][-_KEPT:])
    replica.remember("differing", None)
    return repair


def repairs(replica: Replica) -> list[dict[str, Any]]:
    """The records, the oldest first; of many the last ones."""
    return list(replica.note("repairs", []))
