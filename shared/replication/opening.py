"""What the application's database says to a replica that opens an exchange (protocol.md, Exchange, 1 and 4)."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from shared.replication import capture, retention
from shared.replication.expressions import key_match, literal, qualified
from shared.replication.history import (
    FOREIGN,
    NOTHING,
    UNSEEN,
    current_generation,
    current_snapshot,
    given_position,
    is_past,
    is_wellformed,
    snapshot_of,
)
from shared.replication.model import Model
from shared.replication.scope import Scope, condition, parameters


@dataclass(frozen=True)
class Opening:
    """`idle`: nobody else changed anything in scope since the replica's position; `position` is then its new one.

    `next_message` is the number the next message must have, `last_result` the stored answer of the one before.
    `resync` is the reason why the replica cannot go on from its position, None when it can.
    """

    idle: bool
    position: str
    generation: str
    next_message: int
    last_result: dict[str, Any] | None
    resync: str | None
    upload_first: bool


def inspect(
    conn: Connection[Any],
    application: str,
    model: Model,
    workplace: str,
    *,
    scope_before: Scope | None,
    scope_now: Scope,
    position: str,
    generation: str,
    last_message: int,
    sending: int | None,
    fresh: bool,
) -> Opening:
    """Compare what a replica says of itself with what is known of it.

    `scope_before` is None when the service does not know that scope version any more; `fresh` when the replica is as it
    came out of a package, which may be older than the last message of the replica before it. The position the replica
    holds is acknowledged, unless it has to resync. A replica that knows more than the database tells of a restore: then
    the history begins anew for everybody.
    """
    capture.recognise(conn, application, workplace, position)
    with conn.transaction():
        last = _last_message(conn, application, workplace)
        present = current_generation(conn, application)
        held = snapshot_of(present, position) if generation == present and is_wellformed(position) else None
        snapshot = held or NOTHING
        resync = None
        if held is None or not is_past(conn, snapshot) or last_message > last:
            resync = "generation"
        elif scope_before is None:
            resync = "too_old"
        elif _is_older(conn, workplace, snapshot, last, last_message, sending, fresh=fresh):
            resync = "replica_is_older"
        elif retention.since(conn, application, workplace, snapshot) == snapshot:
            _acknowledge_lazily(conn, workplace, snapshot)
    last_result = _stored_answer(conn, workplace, last)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        now = current_snapshot(conn)
        since = retention.since(conn, application, workplace, snapshot) if resync is None else None
        if resync is None and since is None:
            resync = "too_old"
        idle = since is not None and not _anything_new(conn, model, workplace, scope_now, since)
    if not idle:
        conn.execute("UPDATE yurt.workplaces SET contacts = contacts + 1 WHERE workplace = %s", [workplace])
    position = given_position(conn, application, workplace, now)
    return Opening(idle, position, present, last + 1, last_result, resync, upload_first=True)


def expect(conn: Connection[Any], application: str, workplace: str) -> None:
    """The workplace has a row, and is one that holds a replica: tables of its version may not be altered under it."""
    conn.execute(
        "INSERT INTO yurt.workplaces (workplace, application) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [workplace, application],
    )


def register(conn: Connection[Any], application: str, workplace: str, position: str) -> None:
    """A package of this position is on its way to the workplace: until it is opened, it holds back what came later."""
    snapshot = snapshot_of(current_generation(conn, application), position)
    conn.execute(
        "INSERT INTO yurt.workplaces (workplace, application, acknowledged, acknowledged_at) VALUES (%s, %s, %s, now())"
        " ON CONFLICT (workplace) DO UPDATE SET acknowledged_at = now(),"
        " acknowledged = coalesce(workplaces.acknowledged, excluded.acknowledged)",
        [workplace, application, snapshot],
    )


def acknowledge(conn: Connection[Any], application: str, workplace: str, position: str) -> None:
    """What `position` has seen may be forgotten for this workplace. One of another generation tells nothing."""
    snapshot = snapshot_of(current_generation(conn, application), position)
    if snapshot is None:
        return
    conn.execute(
        "INSERT INTO yurt.workplaces (workplace, application, acknowledged, acknowledged_at) VALUES (%s, %s, %s, now())"
        " ON CONFLICT (workplace) DO UPDATE SET acknowledged = excluded.acknowledged,"
        " acknowledged_at = excluded.acknowledged_at",
        [workplace, application, snapshot],
    )


def _acknowledge_lazily(conn: Connection[Any], workplace: str, snapshot: str) -> None:
    """A poll that finds nothing should write nothing: once a minute is soon enough for what may be forgotten."""
    conn.execute(
        "UPDATE yurt.workplaces SET acknowledged = %s, acknowledged_at = now(), contacts = contacts + 1"
        " WHERE workplace = %s"
        " AND (acknowledged_at IS NULL OR acknowledged_at < now() - interval '1 minute')",
        [snapshot, workplace],
    )


def forget(conn: Connection[Any], application: str, workplace: str) -> None:
    """The workplace is gone: it holds back no marks, its leases are void. Its problems stay."""
    with conn.transaction():
        conn.execute("DELETE FROM yurt.messages WHERE workplace = %s", [workplace])
        conn.execute("DELETE FROM yurt.workplaces WHERE workplace = %s AND application = %s", [workplace, application])
        conn.execute(
            "UPDATE yurt.leases SET void = true WHERE application = %s AND workplace = %s", [application, workplace]
        )


def _last_message(conn: Connection[Any], application: str, workplace: str) -> int:
    row = conn.execute("SELECT last_message FROM yurt.workplaces WHERE workplace = %s", [workplace]).fetchone()
    if row is None:
        expect(conn, application, workplace)
    return int(row[0]) if row else 0


def _is_older(
    conn: Connection[Any],
    workplace: str,
    snapshot: str,
    last: int,
    counted: int,
    sending: int | None,
    *,
    fresh: bool,
) -> bool:
    """Whether the replica lacks a message of the workplace that was applied: a folder restored from a backup, or a
    package cut before the former replica sent its last. A delta would not bring it: it is the workplace's own echo.
    """
    if counted >= last or (sending == last and not fresh):
        return False
    row = conn.execute(
        "SELECT NOT pg_visible_in_snapshot(xid, %s::pg_snapshot) FROM yurt.messages"
        " WHERE workplace = %s AND number = %s",
        [snapshot, workplace, last],
    ).fetchone()
    return bool(row and row[0])


def last_applied(conn: Connection[Any], workplace: str) -> tuple[int, int]:
    """The number of the workplace's last message and its transaction; zeros before the first one."""
    row = conn.execute(
        "SELECT number, xid::text::bigint FROM yurt.messages WHERE workplace = %s ORDER BY number DESC LIMIT 1",
        [workplace],
    ).fetchone()
    return row or (0, 0)


def _stored_answer(conn: Connection[Any], workplace: str, number: int) -> dict[str, Any] | None:
    row = conn.execute(
        "SELECT answer FROM yurt.messages WHERE workplace = %s AND number = %s", [workplace, number]
    ).fetchone()
    return row[0] if row else None


def _anything_new(conn: Connection[Any], model: Model, workplace: str, scope: Scope, snapshot: str) -> bool:
    """Whether a mark concerns the workplace.

    A part row's mark names no organisation: it concerns who has the root, which is looked up.
    """
    limited = scope.organisations is not None
    concerns = (
        "(recipient IS NOT NULL OR key IS NULL OR table_name = ANY(%(shared)s)"
        " OR organisation_before = ANY(%(organisations)s) OR organisation_after = ANY(%(organisations)s))"
    )
    queries = [f"h.table_name = ANY(%(tables)s){f' AND {concerns}' if limited else ''}"]
    queries += [
        f"h.table_name = {literal(root.name)} AND organisation_before IS NULL AND organisation_after IS NULL AND EXISTS"
        f" (SELECT 1 FROM {qualified(root.table)} t WHERE {key_match(root.table, 't', 'h.key')}"
        f" AND {condition(model, root, scope, 't')})"
        for root in model.roots
        if limited and root.organisation and root.parts
    ]
    arguments = {
        "after": snapshot,
        "workplace": workplace,
        "tables": [root.name for root in model.roots],
        "shared": [root.name for root in model.roots if not root.organisation],
        **parameters(model, scope),
    }
    return any(
        conn.execute(
            f"SELECT EXISTS (SELECT 1 FROM yurt.history h WHERE {UNSEEN} AND {FOREIGN} AND {query})".encode(), arguments
        ).fetchone()
        == (True,)
        for query in queries
    )
