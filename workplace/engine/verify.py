"""The proof that this copy equals the service's rows (protocol.md, Digests), and when it is due."""

from collections.abc import Mapping
from typing import Any

from shared.protocol.digest import BUCKETS, table_digests
from workplace.engine import unsent
from workplace.engine.clock import age_seconds, now_text
from workplace.engine.replica import Replica

DAILY = 24.0
_AGAIN = 1.0  # hours, when nothing could be said the last time


def hours_between(replica: Replica) -> float | None:
    """The setting: compare when the last proof is that many hours old; 0 with each exchange, None only on demand."""
    told = replica.note("verify_hours", {"hours": DAILY})["hours"]
    return None if told is None else float(told)


def set_hours_between(replica: Replica, hours: float | None) -> None:
    """Stores the setting in the replica."""
    with replica.writing():
        replica.remember("verify_hours", {"hours": hours})


def is_due(replica: Replica) -> bool:
    """Whether the next exchange is to compare. The clock starts with the first question: a package was just proven."""
    hours = hours_between(replica)
    if hours is None:
        return False
    last = replica.note("last_proof")
    if last is not None and last["verified"] is None:
        hours = min(hours, _AGAIN)
    since = last["at"] if last is not None else replica.note("proofs_since")
    if since is None:
        since = now_text()
        replica.remember("proofs_since", since)
    return age_seconds(since) >= hours * 3600


def note_proof(replica: Replica, *, verified: bool | None, differing: list[str]) -> None:
    """Notes a comparison of this moment: its verdict and the tables that differed."""
    replica.remember("last_proof", {"at": now_text(), "verified": verified, "differing": differing})


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
