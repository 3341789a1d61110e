"""Leased integer keys (`yurt_ranges`). Called inside a transaction of the caller, except where it only reads."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from shared.protocol.digest import quote


def free(connection: sqlite3.Connection) -> dict[str, int]:
    """Leased integers left, by table; 0 where a table should have some and has none."""
    leasing = connection.execute("SELECT coalesce(part_table, table_name), 0 FROM yurt_aggregates WHERE keys = 'range'")
    left = connection.execute(
        f"SELECT table_name, sum(max(0, {quote('last')} - {quote('next')} + 1)) FROM yurt_ranges GROUP BY table_name"
    )
    return dict(leasing.fetchall()) | dict(left.fetchall())


def lease(connection: sqlite3.Connection, leased: Mapping[str, Any], *, afresh: bool) -> None:
    """Takes the ranges of an opening. `afresh`: the old ones are void from that opening on."""
    if afresh:
        connection.execute("DELETE FROM yurt_ranges")
    for table, lease_ in leased.items():
        for first, last in lease_["spans"]:
            known = connection.execute(
                f"SELECT 1 FROM yurt_ranges WHERE table_name = ? AND column_name = ? AND {quote('last')} >= ?"
                f" AND {quote('next')} <= ?",
                (table, lease_["column"], first, last),
            ).fetchone()
            if known is None:  # an answer that was repeated leases nothing twice
                connection.execute(
                    f"INSERT INTO yurt_ranges (table_name, column_name, {quote('next')}, {quote('last')})"
                    " VALUES (?, ?, ?, ?)",
                    (table, lease_["column"], first, last),
                )
