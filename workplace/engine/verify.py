"""The proof that this copy equals the service's rows (protocol.md, Digests)."""

from collections.abc import Mapping
from typing import Any

from shared.protocol.digest import BUCKETS, table_digests
from workplace.engine import unsent
from workplace.engine.replica import Replica


def differing_tables(replica: Replica, digests: Mapping[str, Any]) -> list[str] | None:
    """The tables that are not as the service states; None when something is unsent here, then nothing can be said."""
    with replica.reading() as connection:
        if unsent.is_anything_unsent(connection):
            return None
        ours = table_digests(connection)
    return sorted(
        table
        for table in ours.keys() | digests.keys()
        if table not in ours
        or table not in digests
        or ours[table]["rows"] != digests[table]["rows"]
        or ours[table]["digest"] != digests[table]["digest"]
    )


def differing_buckets(replica: Replica, digests: Mapping[str, Any]) -> dict[str, list[int]] | None:
    """The buckets that differ, by table; an empty list means the whole table. None as above."""
    with replica.reading() as connection:
        if unsent.is_anything_unsent(connection):
            return None
        ours = table_digests(connection, buckets=True)
    found: dict[str, list[int]] = {}
    for table, theirs in digests.items():
        mine = ours.get(table)
        if mine is None or mine["rows"] != theirs["rows"] or mine["digest"] != theirs["digest"]:
            listed = theirs.get("buckets")
            found[table] = (
                [place for place in range(BUCKETS) if mine["buckets"][place] != listed[place]]
                if mine is not None and listed is not None
                else []
            )
    return found
