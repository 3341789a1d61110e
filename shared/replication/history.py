"""Reading and writing the change history: what a position has not seen."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from shared.replication.model import Model

# Marks that the holder of position %(after)s has not seen (architecture.md, Change history, 1): the index narrows to
# transactions that might be unseen, the snapshot decides exactly.
UNSEEN = (
    "xid >= pg_snapshot_xmin(%(after)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(after)s::pg_snapshot)"
    " AND (area IS NOT DISTINCT FROM %(area)s OR key IS NULL)"
)

# Of those, what concerns a workplace: everybody's marks but its own echo, and what it alone is to get again.
FOREIGN = "origin IS DISTINCT FROM %(workplace)s AND (recipient IS NULL OR recipient = %(workplace)s)"


def current_position(conn: Connection[Any]) -> str:
    """The position of the transaction the caller is in."""
    row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    return str(row[0]) if row else ""


def is_position(conn: Connection[Any], position: str) -> bool:
    """Whether the text is a position of this cluster's past: neither damaged nor from the future."""
    row = conn.execute(
        "SELECT CASE WHEN %(position)s ~ '^\\d{1,19}:\\d{1,19}:[\\d,]*$' THEN"
        " pg_snapshot_xmax(%(position)s::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) ELSE false END",
        {"position": position},
    ).fetchone()
    return bool(row and row[0])


def send_again(
    conn: Connection[Any], model: Model, workplace: str, table: str, keys: Sequence[Sequence[str]], *, rejected: bool
) -> None:
    """Put aggregates on a workplace's resend list: marks for it alone, which its next delta takes up by itself."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO yurt.history (table_name, key, area, recipient, rejected) VALUES (%s, %s, %s, %s, %s)",
            [(table, list(key), model.area, workplace, rejected) for key in keys],
        )
