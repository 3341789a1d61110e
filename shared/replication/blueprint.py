"""A replica file without its rows: what an image is filled into, and what a configuration version is remembered by."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from shared.replication import replica_schema, replica_triggers
from shared.replication.model import Model

_INTERNAL = "sqlite_%"


@dataclass(frozen=True)
class Blueprint:
    """`statements` are those that make its tables and indexes; `triggers` are names. `columns` and `aggregates` are the
    rows of `yurt_columns` and `yurt_aggregates`.
    """

    statements: tuple[str, ...]
    triggers: tuple[str, ...]
    columns: tuple[tuple[Any, ...], ...]
    aggregates: tuple[tuple[Any, ...], ...]

    def described(self, root: str) -> tuple[object, ...]:
        """Everything a workplace is told of an aggregate: if two versions differ in it, they hold other rows."""
        aggregates = tuple(row for row in self.aggregates if row[0] == root)
        tables = {root, *(row[1] for row in aggregates if row[1])}
        return aggregates, tuple(row for row in self.columns if row[0] in tables)

    def holds_as(self, other: "Blueprint") -> bool:
        """Whether replicas of both hold the same columns by the same rules; indexes and references may differ."""
        return (self.columns, self.aggregates) == (other.columns, other.aggregates)

    def columns_of(self, table: str) -> dict[str, str]:
        """The table's columns with their types; empty for a table the version did not have."""
        return {row[2]: row[3] for row in self.columns if row[0] == table}

    def leases(self, table: str, column: str) -> bool:
        """Whether keys of the table were leased, and the column is one of its key."""
        leased = any(keys == "range" for root, part, _, _, keys, *_ in self.aggregates if (part or root) == table)
        return leased and any(row[0] == table and row[2] == column and row[6] is not None for row in self.columns)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Blueprint":
        """What `to_json` made."""
        return cls(
            tuple(document["statements"]),
            tuple(document["triggers"]),
            tuple(tuple(row) for row in document["columns"]),
            tuple(tuple(row) for row in document["aggregates"]),
        )


def blueprint(model: Model) -> Blueprint:
    """What the replicas of this configuration version are."""
    with empty_replica(model) as db:
        return Blueprint(
            statements=tuple(_listed(db, "SELECT sql FROM sqlite_master WHERE type IN ('table', 'index')")),
            triggers=tuple(_listed(db, "SELECT name FROM sqlite_master WHERE type = 'trigger'")),
            columns=tuple(replica_schema.column_rows(model)),
            aggregates=tuple(replica_schema.aggregate_rows(model)),
        )


@contextmanager
def empty_replica(model: Model) -> Iterator[sqlite3.Connection]:
    """A replica of the model in memory, without rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        create_tables(db, model)
        for statement in finishing(model):
            db.execute(statement)
        yield db


def create_tables(db: sqlite3.Connection, model: Model) -> None:
    """The application's tables and `yurt_*`, with their description; no index and no trigger yet."""
    db.executescript(replica_schema.own_tables())
    for statement in (*replica_schema.scratch_tables(model), *map(replica_schema.table, model.tables)):
        db.execute(statement)
    for statement in describing(model):
        db.execute(statement)


def describing(model: Model) -> Iterator[str]:
    """What writes `yurt_columns` and `yurt_aggregates`."""
    for table, rows in (
        ("yurt_columns", replica_schema.column_rows(model)),
        ("yurt_aggregates", replica_schema.aggregate_rows(model)),
    ):
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        yield f"INSERT INTO {table} VALUES {values}"


def finishing(model: Model) -> Iterator[str]:
    """What is made when the rows are in: indexes and capture."""
    for table in model.tables:
        yield from replica_schema.indexes(table)
    yield from replica_triggers.triggers(model)


def literal(value: object) -> str:
    """A value as SQLite reads it. Raises TypeError for one it has no spelling of."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, int | float):
        return json.dumps(value, allow_nan=False)
    raise TypeError(f"{value!r} is no value of SQLite")


def _listed(db: sqlite3.Connection, query: str, arguments: Sequence[Any] = ()) -> Iterator[str]:
    yield from (row[0] for row in db.execute(f"{query} AND name NOT LIKE '{_INTERNAL}' ORDER BY rowid", arguments))
