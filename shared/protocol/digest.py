"""Digests of a replica: the proof that a copy equals the service's rows (protocol.md, Digests)."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shared.protocol.values import canonical, canonical_json, kind

Encoder = Callable[[Sequence[Any]], bytes]

BUCKETS = 256
_MODULUS = 2**64


@dataclass(frozen=True)
class ReplicaTable:
    """One table as `yurt_columns` and `yurt_aggregates` describe it. `bucket_columns` hold its root's key."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    bucket_columns: tuple[str, ...]


@dataclass
class Sum:
    """Rows counted and the sum of their digests modulo 2^64."""

    rows: int = 0
    total: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def as_json(self, *, buckets: bool) -> dict[str, Any]:
        """As on the wire: `{"rows", "digest", "buckets"?}`."""
        document: dict[str, Any] = {"rows": self.rows, "digest": f"{self.total % _MODULUS:016x}"}
        if buckets:
            document["buckets"] = [f"{bucket % _MODULUS:016x}" for bucket in self.buckets]
        return document


def table_digests(
    connection: sqlite3.Connection, tables: Iterable[str] | None = None, *, buckets: bool = False
) -> dict[str, dict[str, Any]]:
    """The digests of all tables of a replica (or of `tables`), as the service states them. Reads every row once."""
    wanted = None if tables is None else set(tables)
    return {
        table.name: _sum(connection, table, buckets=buckets).as_json(buckets=buckets)
        for table in replica_tables(connection)
        if wanted is None or table.name in wanted
    }


def replica_tables(connection: sqlite3.Connection) -> Iterator[ReplicaTable]:
    """The synchronised tables, roots before their parts."""
    described: dict[str, list[tuple[str, str, int | None]]] = {}
    for name, column, type_text, key in connection.execute(
        "SELECT table_name, column_name, type, key_ordinal FROM yurt_columns ORDER BY table_name, ordinal"
    ):
        described.setdefault(name, []).append((column, type_text, key))
    for root, part, parent in connection.execute(
        "SELECT table_name, part_table, parent_column FROM yurt_aggregates ORDER BY table_name, part_table"
    ).fetchall():
        columns = described[part or root]
        keys = sorted((key, column) for column, _, key in columns if key is not None)
        yield ReplicaTable(
            part or root,
            tuple(column for column, _, _ in columns),
            tuple(type_text for _, type_text, _ in columns),
            (parent,) if part else tuple(column for _, column in keys),
        )


def row_encoder(types: Sequence[str]) -> Encoder:
    """A function from a row of replica values to the bytes its digest is taken over."""
    special = [(place, canonical(type_text)) for place, type_text in enumerate(types) if _is_special(type_text)]

    def encode(row: Sequence[Any]) -> bytes:
        values = list(row)
        for place, convert in special:
            if values[place] is not None:
                values[place] = convert(values[place])
        try:
            return canonical_json(values).encode()
        except (TypeError, ValueError):  # a value that no column of this type can have at the service
            return repr(values).encode()

    return encode


def bucket_of(encoded_key: bytes) -> int:
    """The bucket of an aggregate, from its root's key as a canonical JSON array."""
    return sha256(encoded_key).digest()[0]


def _is_special(type_text: str) -> bool:
    """Whether the JSON encoder alone would spell a value otherwise."""
    return kind(type_text) not in {"text", "numeric", "json", "array"} and type_text not in {"smallint", "integer"}


def _sum(connection: sqlite3.Connection, table: ReplicaTable, *, buckets: bool) -> Sum:
    encode = row_encoder(table.types)
    places = [table.columns.index(column) for column in table.bucket_columns]
    encode_key = row_encoder([table.types[place] for place in places])
    result = Sum()
    columns = ", ".join(quote(column) for column in table.columns)
    for row in connection.execute(f"SELECT {columns} FROM {quote(table.name)}"):
        value = int.from_bytes(sha256(encode(row)).digest()[:8])
        result.rows += 1
        result.total += value
        if buckets:
            result.buckets[bucket_of(encode_key([row[place] for place in places]))] += value
    return result


def quote(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'
