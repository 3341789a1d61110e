"""Integer keys leased to workplaces, so that two of them never make the same one (protocol.md, Package, Exchange)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import Connection

from shared.replication.expressions import qualified, quote
from shared.replication.model import Model, Table

Ranges = dict[str, dict[str, Any]]

# How many keys a lease holds, by the type of the key: small types end soon.
LEASE_SIZES: Mapping[str, int] = {"smallint": 100, "integer": 1_000, "bigint": 10_000}
_LAST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def lease(conn: Connection[Any], application: str, model: Model, workplace: str, free: Mapping[str, int]) -> Ranges:
    """New spans for the tables whose `free` keys went below a quarter of a lease; others are left alone.

    `{table: {"column": name, "spans": [[first, last], …]}}`, ends inclusive. Keys are unique over all workplaces and
    over what the application's own sequence gives out. A table whose key type is exhausted gets no span.
    """
    with conn.transaction():
        return {
            table.name: _leased(conn, application, table, workplace)
            for table in model.tables
            if table.leased and free.get(table.name, _size(table)) * 4 < _size(table)
        }


def renew(conn: Connection[Any], application: str, model: Model, workplace: str) -> Ranges:
    """All ranges of a new package or a reset: the workplace's old ones are void, never given again."""
    with conn.transaction():
        conn.execute(
            "UPDATE yurt.leases SET void = true WHERE application = %s AND workplace = %s", [application, workplace]
        )
        return {table.name: _leased(conn, application, table, workplace) for table in model.tables if table.leased}


def _leased(conn: Connection[Any], application: str, table: Table, workplace: str) -> dict[str, Any]:
    conn.execute("SELECT pg_advisory_xact_lock(hashtext('yurt.leases'), hashtext(%s))", [table.name])
    spans = list(_spans(conn, table))
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO yurt.leases (application, table_name, first, last, workplace) VALUES (%s, %s, %s, %s, %s)",
            [(application, table.name, first, last, workplace) for first, last in spans],
        )
    return {"column": table.leased, "spans": [list(span) for span in spans]}


def _spans(conn: Connection[Any], table: Table) -> Iterator[tuple[int, int]]:
    column = quote(table.leased or "")
    sequence = _sequence(conn, table)
    if sequence:
        yield from _from_sequence(conn, sequence, _size(table), _LAST.get(_type(table), _LAST["integer"]))
        return
    # No sequence: behind everything that is there or was ever leased, to any application of the database.
    highest = conn.execute(
        f"SELECT greatest((SELECT max({column}) FROM {qualified(table)}),"
        " (SELECT max(last) FROM yurt.leases WHERE table_name = %s))".encode(),
        [table.name],
    ).fetchone()
    first = (int(highest[0]) if highest and highest[0] is not None else 0) + 1
    last = min(first + _size(table) - 1, _LAST.get(_type(table), _LAST["integer"]))
    if first <= last:
        yield first, last


def _sequence(conn: Connection[Any], table: Table) -> str | None:
    """The sequence that numbers the table, whether the column owns it or its default only names it."""
    row = conn.execute("SELECT pg_get_serial_sequence(%s, %s)", [qualified(table), table.leased]).fetchone()
    if row and row[0]:
        return str(row[0])
    named = re.fullmatch(
        r"nextval\('((?:[^']|'')+)'::regclass\)", table.by_name[table.leased or ""].default_expression or ""
    )
    return named[1].replace("''", "'") if named else None


def _from_sequence(conn: Connection[Any], sequence: str, size: int, highest: int) -> Iterator[tuple[int, int]]:
    """The application's own sequence gives them out, so nobody else gets them. At its end: what is left."""
    left = conn.execute(
        "SELECT least(%s, (least(seqmax, %s) - coalesce(pg_sequence_last_value(seqrelid), seqstart - seqincrement))"
        " / seqincrement) FROM pg_sequence WHERE seqrelid = %s::regclass",
        [size, highest, sequence],
    ).fetchone()
    first = last = None
    for (value,) in conn.execute(
        "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", [sequence, left[0] if left else 0]
    ):
        if last is not None and value != last + 1:
            yield first or value, last
            first = value
        first = value if first is None else first
        last = value
    if first is not None and last is not None:
        yield first, last


def _type(table: Table) -> str:
    return table.by_name[table.leased or ""].type


def _size(table: Table) -> int:
    return LEASE_SIZES.get(_type(table), LEASE_SIZES["integer"])
