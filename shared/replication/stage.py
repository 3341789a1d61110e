"""Changes of a message staged in temporary tables, so that everything after is set-based."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg import Connection

from shared.replication.message import Change
from shared.replication.model import Table
from shared.replication.wire_values import for_database, key_text

# `edited`: the columns to be set on an existing row. `row` and `line` hold wire values, bytes as PostgreSQL's hex.
_CREATE = """
CREATE TEMPORARY TABLE IF NOT EXISTS yurt_stage (
    seq int PRIMARY KEY, table_name text NOT NULL, key text[] NOT NULL, op text NOT NULL, base text,
    row jsonb, edited text[] NOT NULL, parts text[] NOT NULL, fresh boolean NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS yurt_stage_lines (
    seq int NOT NULL, table_name text NOT NULL, key text[] NOT NULL, line jsonb NOT NULL
) ON COMMIT DELETE ROWS;
CREATE INDEX IF NOT EXISTS yurt_stage_lines_seq ON yurt_stage_lines (seq, table_name)
"""

# Below this many rows PostgreSQL's default idea of a table that was never analysed does no harm.
_ANALYZE_FROM = 500


def prepare(conn: Connection[Any]) -> None:
    """Make the session's staging tables. Call before the transaction that stages."""
    conn.execute("SET client_min_messages = warning")
    conn.execute(_CREATE.encode())


def stage(conn: Connection[Any], changes: Sequence[Change]) -> None:
    """Stage changes that no rule has refused so far, by their place in `changes` as `seq`."""
    lines = 0
    with conn.cursor() as cursor:
        with cursor.copy("COPY yurt_stage FROM STDIN") as rows:
            for place, change in enumerate(changes):
                if change.rejection is None:
                    rows.write_row(_row(place, change))
        with cursor.copy("COPY yurt_stage_lines FROM STDIN") as rows:
            for place, change in enumerate(changes):
                if change.rejection is None:
                    for line in _lines(place, change):
                        rows.write_row(line)
                        lines += 1
    if max(lines, len(changes)) >= _ANALYZE_FROM:
        conn.execute("ANALYZE yurt_stage")
        conn.execute("ANALYZE yurt_stage_lines")


def restage(conn: Connection[Any], seq: int, change: Change, *, op: str, fresh: bool) -> None:
    """Replace what is staged under `seq` by the merged aggregate that `change` now holds."""
    conn.execute("DELETE FROM yurt_stage_lines WHERE seq = %s", [seq])
    row = _json(change.known.table, change.row) if change.row is not None else None
    conn.execute(
        "UPDATE yurt_stage SET op = %s, row = %s::jsonb, edited = %s, parts = %s, fresh = %s WHERE seq = %s",
        [op, row, list(change.edited), list(change.parts), fresh, seq],
    )
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO yurt_stage_lines VALUES (%s, %s, %s, %s::jsonb)", list(_lines(seq, change)))


def _row(place: int, change: Change) -> tuple[Any, ...]:
    return (
        place,
        change.table,
        list(change.key_text),
        change.op,
        change.base,
        _json(change.known.table, change.row) if change.row is not None else None,
        list(change.edited),
        list(change.parts),
        change.base is None,
    )


def _lines(place: int, change: Change) -> Iterable[tuple[Any, ...]]:
    tables: Mapping[str, Table] = {part.name: part for part in change.known.parts}
    for table, lines in change.parts.items():
        names = tables[table].key_names
        for line in lines:
            yield (
                place,
                table,
                list(key_text(tables[table], {name: line[name] for name in names})),
                _json(tables[table], line),
            )


def _json(table: Table, row: Mapping[str, Any]) -> str:
    return orjson.dumps(for_database(table, row)).decode()
