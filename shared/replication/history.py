"""Reading and writing the change history: what a position has not seen.

A position is `generation.snapshot`, and `generation-contact-seal.snapshot` when given to a workplace: the number of its
contact with this database, sealed with the database's own secret. A seal that is right on a contact that the database
does not remember proves that it was put back to a former state, whatever its transaction counter says since.
"""

import hmac
import re
from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from shared.protocol.values import canonical_json
from shared.replication.model import Model

_POSITION = re.compile(
    r"(?P<generation>[0-9a-f]{1,32})(?:-(?P<contact>\d{1,18})-(?P<seal>[0-9a-f]{16}))?"
    r"\.(?P<snapshot>\d{1,19}:\d{1,19}:(?:\d{1,19}(?:,\d{1,19})*)?)"
)

# The snapshot of who has seen nothing: what a position of another generation is worth.
NOTHING = "1:1:"

# Marks that the snapshot %(after)s has not seen (architecture.md, Change history, 1): the index narrows to
# transactions that might be unseen, the snapshot decides exactly.
UNSEEN = (
    "xid >= pg_snapshot_xmin(%(after)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(after)s::pg_snapshot)"
    " AND (area IS NOT DISTINCT FROM %(area)s OR key IS NULL)"
)

# Of those, what concerns a workplace: everybody's marks but its own echo, and what it alone is to get again.
FOREIGN = "origin IS DISTINCT FROM %(workplace)s AND (recipient IS NULL OR recipient = %(workplace)s)"


def current_generation(conn: Connection[Any], application: str) -> str:
    """The generation of the application's history; empty when it is not attached."""
    row = conn.execute("SELECT generation FROM yurt.applications WHERE code = %s", [application]).fetchone()
    return str(row[0]) if row else ""


def current_snapshot(conn: Connection[Any]) -> str:
    """The snapshot of the transaction the caller is in."""
    row = conn.execute("SELECT pg_current_snapshot()::text").fetchone()
    return str(row[0]) if row else ""


def position_of(generation: str, snapshot: str) -> str:
    """How a snapshot is told to a client. After a restore the same numbers mean other transactions."""
    return f"{generation}.{snapshot}"


def given_position(conn: Connection[Any], application: str, workplace: str, snapshot: str) -> str:
    """How a snapshot is told to a workplace: sealed with its present contact, if it has had one."""
    row = conn.execute(_CONTACT, {"application": application, "workplace": workplace}).fetchone()
    generation, secret, contacts = row or ("", "", None)
    if not contacts:
        return position_of(generation, snapshot)
    seal = _seal(secret, workplace, generation, contacts, snapshot)
    return position_of(f"{generation}-{contacts}-{seal}", snapshot)


def outlives(conn: Connection[Any], application: str, workplace: str, position: str) -> bool:
    """Whether the position was given out by this database in a future that it has lost: it was restored since.

    Only what this database sealed itself is believed; what a client makes up proves nothing.
    """
    match = _POSITION.fullmatch(position)
    row = conn.execute(_CONTACT, {"application": application, "workplace": workplace}).fetchone()
    if row is None or match is None or match["seal"] is None or match["generation"] != row[0]:
        return False
    generation, secret, contacts = row
    contact, snapshot = int(match["contact"]), match["snapshot"]
    if not hmac.compare_digest(match["seal"], _seal(secret, workplace, generation, contact, snapshot)):
        return False
    return contact > (contacts or 0) or not is_past(conn, snapshot)


def _seal(secret: str, workplace: str, generation: str, contact: int, snapshot: str) -> str:
    sealed = f"{workplace} {generation} {contact} {snapshot}"
    return hmac.digest(secret.encode(), sealed.encode(), "sha256").hex()[:16]


_CONTACT = """
SELECT a.generation, a.secret, w.contacts FROM yurt.applications a
LEFT JOIN yurt.workplaces w ON w.workplace = %(workplace)s WHERE a.code = %(application)s
"""


def snapshot_of(generation: str, position: str) -> str | None:
    """The snapshot of a well-formed position, None for one of another generation."""
    of, _, snapshot = position.partition(".")
    return snapshot if of.partition("-")[0] == generation else None


def is_wellformed(position: str | None) -> bool:
    """Whether the text is spelt as a position (or absent): generation.xmin:xmax:xip, in order."""
    if position is None:
        return True
    match = _POSITION.fullmatch(position)
    if not match:
        return False
    xmin, xmax, running = _read(match["snapshot"])
    return 0 < xmin <= xmax < 2**63 and running == sorted(set(running)) and all(xmin <= xid < xmax for xid in running)


def _read(snapshot: str) -> tuple[int, int, list[int]]:
    xmin, xmax, running = snapshot.split(":")
    return int(xmin), int(xmax), [int(xid) for xid in running.split(",")] if running else []


def remove_alias(conn: Connection[Any], model: Model, workplace: str, table: str, keys: Sequence[Any]) -> None:
    """Keys as a workplace spelt them: its next delta removes what it holds under those."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO yurt.history (table_name, key, area, recipient, alias) VALUES (%s, '{}', %s, %s, %s)",
            [(table, model.area, workplace, canonical_json(key)) for key in keys],
        )


def is_past(conn: Connection[Any], snapshot: str) -> bool:
    """Whether a snapshot lies in this cluster's past. One from the future tells of a restored backup."""
    row = conn.execute(
        "SELECT pg_snapshot_xmax(%s::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())", [snapshot]
    ).fetchone()
    return bool(row and row[0])


def is_not_later(snapshot: str, other: str) -> bool:
    """Whether `other` has seen everything that `snapshot` has."""
    (_, end, running), (_, other_end, other_running) = _read(snapshot), _read(other)
    return end <= other_end and all(xid >= end or xid in running for xid in other_running)


def has_seen(position: str, xid: int) -> bool:
    """Whether the holder of a position has seen a transaction of its generation that was committed."""
    _, end, running = _read(position.partition(".")[2])
    return xid < end and xid not in running


def send_again(
    conn: Connection[Any], model: Model, workplace: str, table: str, keys: Sequence[Sequence[str]], *, rejected: bool
) -> None:
    """Put aggregates on a workplace's resend list: marks for it alone, which its next delta takes up by itself."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO yurt.history (table_name, key, area, recipient, rejected) VALUES (%s, %s, %s, %s, %s)",
            [(table, list(key), model.area, workplace, rejected) for key in keys],
        )
