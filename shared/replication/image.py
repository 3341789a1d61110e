"""The snapshot: one consistent cut of the chosen organisations, as a SQLite replica."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from shared.protocol.digest import quote, table_digests
from shared.protocol.values import kind
from shared.replication import blueprint
from shared.replication.digest import service_digests
from shared.replication.expressions import column_ref, replica
from shared.replication.model import Column, Model, Root, Table
from shared.replication.scope import Scope, parameters, source

Progress = Callable[[str, int, int], None]

_BATCH = 2_000

# The file is ours alone until it is finished, and worthless before: no journal, no waiting for the disk.
_FAST = (
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536"
)


@dataclass(frozen=True)
class Image:
    """What a replica file holds: the snapshot it was cut at, rows per table, and digests as PostgreSQL states them."""

    snapshot: str
    rows: Mapping[str, int]
    digests: Mapping[str, Mapping[str, Any]]


class ImageDamaged(Exception):
    """A replica that does not hold what it should; it must not be offered to anybody."""


def build(conn: Connection[Any], model: Model, scope: Scope, path: Path, progress: Progress) -> Image:
    """Write the replica of `scope` to `path` (which must not exist), without what belongs to one workplace.

    The rows are those of one REPEATABLE READ transaction, whose snapshot is the image's: a change is either in
    it or not seen by that snapshot. `progress(phase, done, total)` is called about every 2,000 rows and may raise to
    stop; `total` is an estimate. Memory does not grow with the data.
    """
    with conn.transaction(), closing(sqlite3.connect(path, isolation_level=None)) as replica_db:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = str(_one(conn, "SELECT pg_current_snapshot()::text"))
        replica_db.executescript(_FAST)
        blueprint.create_tables(replica_db, model)
        total = _estimate(conn, model)
        done = 0

        def copied(rows: int) -> None:
            nonlocal done
            done += rows
            progress("reading", done, max(total, done))

        rows = {
            table.name: _copy(conn, replica_db, model, root, table, scope, copied)
            for root in model.roots
            for table in root.tables
        }
        digests = service_digests(conn, model, scope)
    with closing(sqlite3.connect(path, isolation_level=None)) as replica_db:
        replica_db.executescript(_FAST)
        for statement in blueprint.finishing(model):
            replica_db.execute(statement)
            progress("reading", done, max(total, done))
        replica_db.execute("ANALYZE")
    return Image(snapshot, rows, digests)


def personalise(
    path: Path, workplace: Mapping[str, Any], ranges: Mapping[str, Mapping[str, Any]], last_message: int = 0
) -> None:
    """Make a copy of an image the replica of one workplace.

    `workplace` is the content of `workplace.json`; `ranges` are leases as in the answer to an opening:
    `{table: {"column": name, "spans": [[first, last], …]}}`; `last_message` the number of the workplace's last message
    that is in the image.
    """
    values = {"last_message": last_message, **workplace}
    with closing(sqlite3.connect(path, isolation_level=None)) as replica_db:
        replica_db.execute("PRAGMA journal_mode = DELETE")
        replica_db.execute("BEGIN")
        replica_db.executemany(
            "INSERT INTO yurt_workplace VALUES (?, ?)",
            [(key, json.dumps(value, ensure_ascii=False)) for key, value in values.items()],
        )
        replica_db.executemany(
            "INSERT INTO yurt_ranges VALUES (?, ?, ?, ?)",
            [(table, lease["column"], *span) for table, lease in ranges.items() for span in lease["spans"]],
        )
        replica_db.execute("COMMIT")


def verify(path: Path, digests: Mapping[str, Mapping[str, Any]]) -> None:
    """Check a replica file against the digests of its cut. Raises `ImageDamaged` and says what is wrong."""
    with closing(sqlite3.connect(path, isolation_level=None)) as replica_db:
        integrity = replica_db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if integrity != "ok":
            raise ImageDamaged(f"integrity_check: {integrity}")
        broken = replica_db.execute("PRAGMA foreign_key_check").fetchone()
        if broken:
            raise ImageDamaged(f"foreign_key_check: table {broken[0]}, row {broken[1]} refers to no row of {broken[2]}")
        found = table_digests(replica_db)
    for table, expected in digests.items():
        if found.get(table) != expected:
            raise ImageDamaged(f"table {table}: {found.get(table)} in the file, {expected} in the database")


def _copy(
    conn: Connection[Any],
    replica_db: sqlite3.Connection,
    model: Model,
    root: Root,
    table: Table,
    scope: Scope,
    copied: Callable[[int], None],
) -> int:
    values = ", ".join(replica(column, column_ref("t", column)) for column in table.columns)
    # In key order the replica's key index is only ever appended to.
    order = ", ".join(column_ref("t", column) for column in table.key)
    query = f"COPY (SELECT {values} {source(model, root, table, scope)} ORDER BY {order}) TO STDOUT"
    insert = f"INSERT INTO {quote(table.name)} VALUES ({', '.join('?' * len(table.columns))})"
    count = 0
    with conn.cursor() as cursor, cursor.copy(query.encode(), parameters(model, scope)) as stream:
        for batch in _batched(_rows(stream, table.columns), _BATCH):
            replica_db.execute("BEGIN")
            replica_db.executemany(insert, batch)
            replica_db.execute("COMMIT")
            count += len(batch)
            copied(len(batch))
    return count


def _rows(stream: Iterable[bytes | bytearray | memoryview], columns: Sequence[Column]) -> Iterator[list[Any]]:
    """Rows of COPY's text format. SQLite's column affinity makes integers of their digits; floats and bytes are ours,
    because SQLite reads some doubles one bit off."""
    converters = [(place, _CONVERTERS[kind(c.type)]) for place, c in enumerate(columns) if kind(c.type) in _CONVERTERS]
    for line in _lines(stream):
        fields: list[Any] = line.split("\t")
        if "\\" in line:
            fields = [None if field == "\\N" else _unescape(field) for field in fields]
        for place, convert in converters:
            if fields[place] is not None:
                fields[place] = convert(fields[place])
        yield fields


def _lines(stream: Iterable[bytes | bytearray | memoryview]) -> Iterator[str]:
    """psycopg hands out whole rows, each ending in a newline; inside a row newlines are escaped."""
    for data in stream:
        yield bytes(data).decode()[:-1]


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    pieces = iter(field)
    return "".join(piece if piece != "\\" else _escape(next(pieces)) for piece in pieces)


def _escape(letter: str) -> str:
    return _ESCAPES.get(letter, letter)


def _float(text: str) -> float | str:
    return text if text in {"NaN", "Infinity", "-Infinity"} else float(text)


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {"real": _float, "double": _float, "bytea": bytes.fromhex}


def _batched(rows: Iterator[list[Any]], size: int) -> Iterator[list[list[Any]]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


def _estimate(conn: Connection[Any], model: Model) -> int:
    """The rows of all synchronised tables as the planner believes; a table never analysed counts by its pages."""
    names = [f'"{table.schema}"."{table.name}"' for table in model.tables]
    return int(
        _one(
            conn,
            "SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE c.relpages * 50 END), 0)"
            " FROM unnest(%s::text[]) name JOIN pg_class c ON c.oid = name::regclass",
            [names],
        )
    )


def _one(conn: Connection[Any], query: str, arguments: Sequence[Any] = ()) -> Any:
    row = conn.execute(query.encode(), arguments).fetchone()
    return row[0] if row else None
