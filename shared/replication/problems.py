"""The problem list of an application: conflicts and rejected changes, both versions kept (protocol.md)."""

from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Json

from shared.replication import stage
from shared.replication.model import Model
from shared.replication.problem import ProtocolProblem
from shared.replication.put_in_force import put_in_force

Choice = Literal["accepted", "rejected"]

_MOMENT = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_HISTORY = (
    "(SELECT json_agg(json_build_object('action', e.action, 'by', e.login, 'at', {at}, 'comment', e.comment,"
    " 'in_force', e.in_force) ORDER BY e.place) FROM yurt.problem_events e WHERE e.problem = problems.id)"
).format(at=_MOMENT.format("e.happened_at"))
_COLUMNS = (
    "id::text, workplace, table_name AS table, key, kind, code, detail, title, columns, service, pushed, in_force,"
    " state, {created_at} AS created_at, {edited_at} AS edited_at, edited_by, resolved_by, comment,"
    " coalesce({history}, '[]') AS history"
).format(created_at=_MOMENT.format("created_at"), edited_at=_MOMENT.format("edited_at"), history=_HISTORY)


def list_(
    conn: Connection[Any], application: str, *, workplace: str | None = None, limit: int = 50, after: str | None = None
) -> dict[str, Any]:
    """A page `{items, next}` of the problems, newest first. `after` is the mark of the page before."""
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_COLUMNS} FROM yurt.problems WHERE application = %(application)s"
            " AND (%(workplace)s::text IS NULL OR workplace = %(workplace)s)"
            " AND (%(after)s::uuid IS NULL OR (problems.created_at, problems.id) <"
            " (SELECT p.created_at, p.id FROM yurt.problems p WHERE p.id = %(after)s::uuid))"
            " ORDER BY problems.created_at DESC, problems.id DESC LIMIT %(limit)s".encode(),
            {"application": application, "workplace": workplace, "after": after, "limit": limit + 1},
        )
        .fetchall()
    )
    items = [_document(row) for row in rows[:limit]]
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


def get(conn: Connection[Any], application: str, problem: str) -> dict[str, Any] | None:
    """One problem, None when the application has no such one."""
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_COLUMNS} FROM yurt.problems WHERE application = %s AND id = %s::uuid".encode(),
            [application, problem],
        )
        .fetchone()
    )
    return _document(row) if row else None


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """The problem with what its history tells: the comments, and since when the record is corrected."""
    history = row["history"]
    comments = [
        {"text": event["comment"], "by": event["by"], "at": event["at"]} for event in history if event["comment"]
    ]
    corrected = [event["at"] for event in history if event["action"] == "corrected"]
    return row | {"comments": comments, "corrected_at": corrected[-1] if corrected else None}


def resolve(
    conn: Connection[Any], application: str, model: Model, problem: str, choice: Choice, comment: str | None, login: str
) -> dict[str, Any]:
    """Take a decision: `accepted` keeps what is in force, `rejected` puts the other version in force.

    The other version – of a conflict, what was in dispute – is written as an ordinary change, which travels to every
    workplace; closed periods and read-only tables do not bind the person who decides. Raises `ProtocolProblem`
    `not_found`, `already_resolved`, `lines_unknown`, or the code of the rule that refuses the other version; then
    nothing changed.
    """
    stage.prepare(conn)
    with conn.transaction():
        row = _locked(conn, application, problem)
        if row["state"] != "open":
            raise ProtocolProblem("already_resolved", 409, f"{row['resolved_by']} has decided already.")
        in_force, replaced = row["in_force"], None
        if choice == "rejected":
            in_force = "workplace" if in_force == "service" else "service"
            replaced = put_in_force(conn, model, row, _replaced(conn, problem), in_force)
        conn.execute(
            "UPDATE yurt.problems SET state = %s, in_force = %s, comment = %s, resolved_by = %s, resolved_at = now()"
            " WHERE id = %s::uuid",
            [choice, in_force, comment, login, problem],
        )
        _tell(conn, problem, choice, login, comment, in_force, replaced)
    return _found(conn, application, problem)


def reopen(conn: Connection[Any], application: str, problem: str, comment: str | None, login: str) -> dict[str, Any]:
    """A decided problem is open again. What is in force stays so until the next decision.

    Raises `ProtocolProblem` `not_found`, `not_resolved`.
    """
    with conn.transaction():
        row = _locked(conn, application, problem)
        if row["state"] == "open":
            raise ProtocolProblem("not_resolved", 409, "Nobody has decided yet.")
        conn.execute(
            "UPDATE yurt.problems SET state = 'open', comment = NULL, resolved_by = NULL, resolved_at = NULL"
            " WHERE id = %s::uuid",
            [problem],
        )
        _tell(conn, problem, "reopened", login, comment, row["in_force"])
    return _found(conn, application, problem)


def comment_on(conn: Connection[Any], application: str, problem: str, text: str, login: str) -> dict[str, Any]:
    """Keep what somebody says about a problem, open or decided. Raises `ProtocolProblem` `not_found`."""
    _found(conn, application, problem)
    _tell(conn, problem, "commented", login, text)
    return _found(conn, application, problem)


def _locked(conn: Connection[Any], application: str, problem: str) -> dict[str, Any]:
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM yurt.problems WHERE application = %s AND id = %s::uuid FOR UPDATE", [application, problem]
        )
        .fetchone()
    )
    if row is None:
        raise ProtocolProblem("not_found", 404, "There is no such problem.")
    return row


def _found(conn: Connection[Any], application: str, problem: str) -> dict[str, Any]:
    found = get(conn, application, problem)
    if found is None:
        raise ProtocolProblem("not_found", 404, "There is no such problem.")
    return found


def _replaced(conn: Connection[Any], problem: str) -> dict[str, Any] | None:
    """What the last decision for the workplace's version wrote over."""
    row = conn.execute(
        "SELECT replaced FROM yurt.problem_events WHERE problem = %s::uuid AND action = 'rejected'"
        " AND in_force = 'workplace' ORDER BY place DESC LIMIT 1",
        [problem],
    ).fetchone()
    return row[0] if row else None


def _tell(
    conn: Connection[Any],
    problem: str,
    action: str,
    login: str,
    comment: str | None,
    in_force: str | None = None,
    replaced: dict[str, Any] | None = None,
) -> None:
    conn.execute(
        "INSERT INTO yurt.problem_events (problem, action, login, comment, in_force, replaced)"
        " VALUES (%s::uuid, %s, %s, %s, %s, %s)",
        [problem, action, login, comment, in_force, Json(replaced) if replaced else None],
    )
