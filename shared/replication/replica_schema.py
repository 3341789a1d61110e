"""The replica's tables: the application's own and `yurt_*` (protocol.md, Package)."""

import json
from collections.abc import Iterator

from shared.protocol.digest import quote
from shared.protocol.values import affinity
from shared.replication.model import Column, Model, Table

# What belongs to one workplace comes first in the file, so that two packages of one base image differ only there.
_OWN_TABLES = """
CREATE TABLE yurt_workplace (key TEXT PRIMARY KEY NOT NULL, value TEXT) WITHOUT ROWID;
CREATE TABLE yurt_ranges (
    table_name TEXT NOT NULL, column_name TEXT NOT NULL, next INTEGER NOT NULL, last INTEGER NOT NULL
);
CREATE TABLE yurt_changes (
    seq INTEGER PRIMARY KEY, table_name TEXT NOT NULL, key TEXT NOT NULL, op TEXT NOT NULL, base TEXT,
    before TEXT NOT NULL DEFAULT '{}', parts_before TEXT NOT NULL DEFAULT '{}', edited_at TEXT NOT NULL, edited_by TEXT
);
CREATE UNIQUE INDEX yurt_changes_key ON yurt_changes (table_name, key);
CREATE TABLE yurt_outbox (message INTEGER PRIMARY KEY, body BLOB NOT NULL, digest TEXT NOT NULL, version TEXT NOT NULL);
CREATE TABLE yurt_paused (paused INTEGER NOT NULL DEFAULT 1);
-- The next counter of document numbers, per table and organisation ('' = none), once one was needed.
CREATE TABLE yurt_counters (
    table_name TEXT NOT NULL, organisation TEXT NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (table_name, organisation)
) WITHOUT ROWID;
-- Used inside a statement only: the row that a REPLACE is about to displace.
CREATE TABLE yurt_replaced (
    table_name TEXT NOT NULL, key TEXT NOT NULL, parent, row TEXT NOT NULL, unsent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (table_name, key)
) WITHOUT ROWID;
CREATE TABLE yurt_columns (
    table_name TEXT NOT NULL, ordinal INTEGER NOT NULL, column_name TEXT NOT NULL, type TEXT NOT NULL,
    nullable INTEGER NOT NULL, generated INTEGER NOT NULL, key_ordinal INTEGER, PRIMARY KEY (table_name, ordinal)
) WITHOUT ROWID;
CREATE TABLE yurt_aggregates (
    table_name TEXT NOT NULL, part_table TEXT, parent_column TEXT, access TEXT NOT NULL, keys TEXT NOT NULL,
    organisation_column TEXT, number_column TEXT, closed TEXT
);
"""


def saved_lines(part: Table) -> str:
    """Where lines wait while a REPLACE deletes and inserts their root (under PRAGMA recursive_triggers)."""
    return quote(f"yurt_saved_{part.name}")


def own_tables() -> str:
    """The `yurt_*` tables, empty."""
    return _OWN_TABLES


def table(described: Table) -> str:
    """One of the application's tables, without its indexes."""
    columns = [_column(described, column) for column in described.columns]
    constraints = [f"PRIMARY KEY ({_names(described.key_names)})"]
    constraints += [
        f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {quote(key.target)} ({_names(key.target_columns)})"
        " DEFERRABLE INITIALLY DEFERRED"
        for key in described.foreign_keys
    ]
    return f"CREATE TABLE {quote(described.name)} (\n    " + ",\n    ".join(columns + constraints) + "\n)"


def indexes(described: Table) -> Iterator[str]:
    """Plain indexes, made after the rows are in."""
    for columns in described.indexes:
        name = quote(f"yurt_{described.name}:{','.join(columns)}")
        yield f"CREATE INDEX {name} ON {quote(described.name)} ({_names(columns)})"


def scratch_tables(model: Model) -> Iterator[str]:
    """One `yurt_saved_<part>` for each part table."""
    for root in model.roots:
        for part in root.parts:
            columns = ", ".join(f"{quote(column.name)} {_type(column)}" for column in part.columns)
            yield f"CREATE TABLE {saved_lines(part)} ({columns})"


def column_rows(model: Model) -> Iterator[tuple[str, int, str, str, int, int, int | None]]:
    """The rows of `yurt_columns`."""
    for described in model.tables:
        for column in described.columns:
            flags = (int(column.nullable), int(column.generated))
            yield described.name, column.ordinal, column.name, column.type, *flags, column.key_ordinal


def aggregate_rows(model: Model) -> Iterator[tuple[str | None, ...]]:
    """The rows of `yurt_aggregates`."""
    for root in model.roots:
        closed = json.dumps(root.closed.model_dump()) if root.closed else None
        yield root.name, None, None, root.access, root.table.keys, root.organisation, root.number, closed
        for part in root.parts:
            yield root.name, part.name, part.parent, root.access, part.keys, None, None, None


def _column(described: Table, column: Column) -> str:
    definition = f"{quote(column.name)} {_type(column)}"
    if column.key_ordinal and column.name != described.leased:
        definition += " NOT NULL"
    return definition if column.default is None or column.key_ordinal else f"{definition} DEFAULT {column.default}"


def _type(column: Column) -> str:
    # INTEGER as the only key column would be the rowid, which SQLite numbers by itself; INT has the same affinity.
    if column.key_ordinal and affinity(column.type) == "INTEGER":
        return "INT"
    return affinity(column.type)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(quote(column) for column in columns)
