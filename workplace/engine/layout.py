"""The replica's own description of its tables (`yurt_columns`, `yurt_aggregates`)."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.protocol import values
from shared.protocol.digest import quote
from shared.protocol.values import Replica

Key = tuple[Replica, ...]
Row = dict[str, Replica]


@dataclass(frozen=True)
class Column:
    """A column; `type` as PostgreSQL's `format_type` prints it."""

    name: str
    type: str
    nullable: bool
    generated: bool


@dataclass(frozen=True)
class Table:
    """A table with its columns in catalogue order and the names of its key's columns in key order."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def select(self) -> str:
        """`SELECT every column FROM this table`."""
        return f"SELECT {', '.join(quote(name) for name in self.names)} FROM {quote(self.name)}"

    @cached_property
    def key_is(self) -> str:
        """A condition with one placeholder per column of the key."""
        return equals(self.key)

    def wire_row(self, row: Mapping[str, Replica]) -> dict[str, Any]:
        """A row as it is pushed: every column except generated ones, in wire values."""
        return {
            column.name: values.to_wire(column.type, row[column.name])
            for column in self.columns
            if not column.generated
        }

    def captured_to_wire(self, captured: Mapping[str, Any]) -> dict[str, Any]:
        """What a trigger captured, in wire values. Generated columns and unknown names are left out."""
        return {
            name: values.captured_to_wire(self.by_name[name].type, value)
            for name, value in captured.items()
            if name in self.by_name and not self.by_name[name].generated
        }

    def key_from_wire(self, key: Mapping[str, Any]) -> Key:
        """The key in replica values."""
        return tuple(values.from_wire(self.by_name[name].type, key[name]) for name in self.key)

    def key_from_captured(self, key: Mapping[str, Any]) -> Key:
        """The key that a trigger wrote, in replica values."""
        wire = self.captured_to_wire(key)
        return self.key_from_wire({name: wire[name] for name in self.key})

    def key_to_wire(self, key: Key) -> dict[str, Any]:
        """The key as the wire spells it."""
        return {name: values.to_wire(self.by_name[name].type, value) for name, value in zip(self.key, key, strict=True)}


@dataclass(frozen=True)
class Part:
    """A table of lines; `parent` is its column that holds the key of the root."""

    table: Table
    parent: str

    @cached_property
    def of_parent(self) -> str:
        """All lines of one root, in the order of their keys."""
        order = ", ".join(quote(name) for name in self.table.key)
        return f"{self.table.select} WHERE {equals((self.parent,))} ORDER BY {order}"

    def lines_of(self, connection: sqlite3.Connection, key: Key) -> list[dict[str, Any]]:
        """The lines of one root as they are now, in wire values."""
        rows = connection.execute(self.of_parent, key)
        return [self.table.wire_row(dict(zip(self.table.names, row, strict=True))) for row in rows]


@dataclass(frozen=True)
class Aggregate:
    """A root table with its part tables: the unit of change, conflict and delivery."""

    root: Table
    parts: tuple[Part, ...]
    access: str
    keys: str
    organisation_column: str | None
    number_column: str | None

    def part(self, name: str) -> Part | None:
        """The part table called `name`."""
        return next((part for part in self.parts if part.table.name == name), None)


Layout = dict[str, Aggregate]


def read_layout(connection: sqlite3.Connection) -> Layout:
    """The aggregates by the names of their root tables."""
    columns: dict[str, list[Column]] = {}
    keys: dict[str, dict[int, str]] = {}
    for table, name, type_text, nullable, generated, ordinal in connection.execute(
        "SELECT table_name, column_name, type, nullable, generated, key_ordinal FROM yurt_columns"
        " ORDER BY table_name, ordinal"
    ):
        columns.setdefault(table, []).append(Column(name, type_text, bool(nullable), bool(generated)))
        if ordinal is not None:
            keys.setdefault(table, {})[ordinal] = name
    tables = {
        name: Table(name, tuple(listed), tuple(keys.get(name, {})[place] for place in sorted(keys.get(name, {}))))
        for name, listed in columns.items()
    }
    described = connection.execute(
        "SELECT table_name, part_table, parent_column, access, keys, organisation_column, number_column"
        " FROM yurt_aggregates ORDER BY table_name, part_table"
    ).fetchall()
    parts: dict[str, list[Part]] = {}
    for root, part, parent, *_ in described:
        if part is not None:
            parts.setdefault(root, []).append(Part(tables[part], parent))
    return {
        root: Aggregate(tables[root], tuple(parts.get(root, ())), access, kind, organisation, number)
        for root, part, _, access, kind, organisation, number in described
        if part is None
    }


def equals(names: Sequence[str]) -> str:
    """`"a" IS ? AND "b" IS ?`. IS finds NULL keys too, and SQLite uses an index for it."""
    return " AND ".join(f"{quote(name)} IS ?" for name in names)


def captured_json(text: str | None) -> dict[str, Any]:
    """A JSON object that a trigger wrote; null is empty."""
    return dict(json.loads(text)) if text else {}
