"""Digests of a replica: the proof that a copy equals the service's rows (protocol.md, Digests)."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shared.protocol.values import BOOLEAN, MAX_EXACT, canonical, canonical_json, kind

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
    if _spells_alike(connection):
        try:
            return _fold(_encoded_by_sqlite(connection, table, buckets=buckets))
        except sqlite3.OperationalError:  # a BLOB where no column of the type can have one: Python tells it apart
            pass
    return _fold(_encoded_by_python(connection, table))


def _fold(rows: Iterable[tuple[bytes, bytes | None]]) -> Sum:
    result = Sum()
    read, totals = int.from_bytes, result.buckets
    for row, key in rows:
        value = read(sha256(row).digest()[:8])
        result.rows += 1
        result.total += value
        if key is not None:
            totals[sha256(key).digest()[0]] += value
    return result


def _encoded_by_python(connection: sqlite3.Connection, table: ReplicaTable) -> Iterator[tuple[bytes, bytes | None]]:
    encode = row_encoder(table.types)
    places = [table.columns.index(column) for column in table.bucket_columns]
    encode_key = row_encoder([table.types[place] for place in places])
    columns = ", ".join(quote(column) for column in table.columns)
    for row in connection.execute(f"SELECT {columns} FROM {quote(table.name)}"):
        yield encode(row), encode_key([row[place] for place in places])


def _encoded_by_sqlite(
    connection: sqlite3.Connection, table: ReplicaTable, *, buckets: bool
) -> Iterator[tuple[bytes, bytes | None]]:
    """The same bytes, several times faster: SQLite makes the JSON, Python only what SQLite cannot spell."""
    types = dict(zip(table.columns, table.types, strict=True))
    keys = [(column, types[column]) for column in table.bucket_columns]
    if any(_spelling(column, type_text) is None for column, type_text in keys):
        yield from _encoded_by_python(connection, table)
        return
    groups: list[list[str]] = [[]]
    converters: list[Callable[[Any], Any]] = []
    for column, type_text in types.items():
        if spelt := _spelling(quote(column), type_text):
            groups[-1].append(spelt)
        else:
            groups += [[quote(column)], []]
            converters.append(canonical(type_text))
    selected = [group[0] if place % 2 else _json(group) for place, group in enumerate(groups)]
    key = _json([_spelling(quote(column), type_text) or "" for column, type_text in keys]) if buckets else "NULL"
    rows = connection.execute(f"SELECT {', '.join(selected)}, {key} FROM {quote(table.name)}")
    if not converters:
        yield from rows
        return
    for *pieces, encoded_key in rows:
        for place, convert in enumerate(converters):
            value = pieces[2 * place + 1]
            pieces[2 * place + 1] = b"[%s]" % canonical_json(None if value is None else convert(value)).encode()
        yield b"[%s]" % b",".join(piece[1:-1] for piece in pieces if piece != b"[]"), encoded_key


def _json(expressions: Iterable[str]) -> str:
    return f"CAST(json_array({', '.join(expressions)}) AS BLOB)"


def _spelling(ref: str, type_text: str) -> str | None:
    """SQL for what `json_array` is to spell as the digest does; None where it cannot."""
    family = kind(type_text)
    if family == BOOLEAN:
        return f"CASE {ref} WHEN 1 THEN json('true') WHEN 0 THEN json('false') ELSE {ref} END"
    if type_text == "bigint":
        return f"CASE WHEN {ref} BETWEEN {-MAX_EXACT} AND {MAX_EXACT} THEN {ref} ELSE CAST({ref} AS TEXT) END"
    return None if _is_special(type_text) else ref


def _spells_alike(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has the JSON functions and writes what Python writes, tried on what could differ."""
    names = [f"c{place}" for place in range(len(_PROBE))]
    spelt = [_spelling(name, type_text) or "" for name, (type_text, _) in zip(names, _PROBE, strict=True)]
    probe = ", ".join(f"? AS {name}" for name in names)
    try:
        found = connection.execute(f"SELECT {_json(spelt)} FROM (SELECT {probe})", [value for _, value in _PROBE])
        return bool(found.fetchone()[0] == row_encoder([type_text for type_text, _ in _PROBE])([v for _, v in _PROBE]))
    except sqlite3.OperationalError:
        return False


_PROBE: Sequence[tuple[str, Any]] = (
    ("text", "".join(map(chr, range(1, 256))) + "\u2028\U0001f600"),
    ("jsonb", '{"a": [1, "\\u0000"]}'), ("boolean", 1), ("boolean", 0), ("boolean", None), ("numeric", "1.10"),
    ("bigint", MAX_EXACT), ("bigint", MAX_EXACT + 1), ("bigint", -(2**63)), ("integer", -7), ("text", None),
)  # fmt: skip


def quote(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'
