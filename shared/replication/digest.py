"""Digests of the service's rows, computed where the rows are (protocol.md, Digests)."""

from collections.abc import Collection
from typing import Any

from psycopg import Connection

from shared.protocol.digest import Sum
from shared.replication.expressions import canonical_array
from shared.replication.model import Model, Root, Table
from shared.replication.scope import Scope, parameters, source

# The first eight bytes as a signed integer: modulo 2^64 the sum is the same.
_HASH = "('x' || encode(substring(sha256(convert_to({row}, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint"


def service_digests(
    conn: Connection[Any], model: Model, scope: Scope, *, tables: Collection[str] | None = None, buckets: bool = False
) -> dict[str, dict[str, Any]]:
    """The digests of all tables in scope (or of `tables`), as `shared.protocol.digest.table_digests` states them.

    They describe the cut of the transaction the caller is in; part tables count by themselves.
    """
    return {
        table.name: _sum(conn, model, root, table, scope, buckets=buckets).as_json(buckets=buckets)
        for root in model.roots
        for table in root.tables
        if tables is None or table.name in tables
    }


def _sum(conn: Connection[Any], model: Model, root: Root, table: Table, scope: Scope, *, buckets: bool) -> Sum:
    row_hash = _HASH.format(row=canonical_array(table.columns, "t"))
    bucket_columns = [table.by_name[table.parent]] if table.parent else table.key
    bucket = f"get_byte(sha256(convert_to({canonical_array(bucket_columns, 't')}, 'UTF8')), 0)" if buckets else "0"
    rows = conn.execute(
        f"SELECT {bucket}, count(*), sum({row_hash}) {source(model, root, table, scope)} GROUP BY 1".encode(),
        parameters(model, scope),
    )
    result = Sum()
    for place, count, total in rows:
        result.rows += count
        result.total += int(total)
        result.buckets[place] = int(total)
    return result
