"""The problem list of an application: conflicts and rejected changes, both versions kept (protocol.md)."""

from collections.abc import Mapping
from typing import Any, Literal

from psycopg import Connection, errors
from psycopg.rows import dict_row

from shared.replication import stage
from shared.replication.delta_rows import AggregateRows
from shared.replication.message import Change, check_rows
from shared.replication.model import Model
from shared.replication.outcome import Outcome
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from shared.replication.spelling import WireInvalid
from shared.replication.wire_values import KeyInvalid
from shared.replication.write import write

Choice = Literal["accepted", "rejected"]

_COLUMNS = (
    "id::text, workplace, table_name AS table, key, kind, code, detail, title, columns, service, pushed, in_force,"
    " state, {created_at} AS created_at, {edited_at} AS edited_at, edited_by, resolved_by, comment"
).format(
    created_at="to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    edited_at="to_char(edited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
)


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
    items = rows[:limit]
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


def get(conn: Connection[Any], application: str, problem: str) -> dict[str, Any] | None:
    """One problem, None when the application has no such one."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_COLUMNS} FROM yurt.problems WHERE application = %s AND id = %s::uuid".encode(),
            [application, problem],
        )
        .fetchone()
    )


def resolve(
    conn: Connection[Any], application: str, model: Model, problem: str, choice: Choice, comment: str | None, login: str
) -> dict[str, Any]:
    """Take a decision: `accepted` keeps what is in force, `rejected` puts the other version in force.

    The other version is written as an ordinary change, which travels to every workplace. Raises `ProtocolProblem`
    `not_found`, `already_resolved`, or the code of the rule that refuses the other version; then nothing changed.
    """
    stage.prepare(conn)
    with conn.transaction():
        row = (
            conn.cursor(row_factory=dict_row)
            .execute(
                "SELECT * FROM yurt.problems WHERE application = %s AND id = %s::uuid FOR UPDATE",
                [application, problem],
            )
            .fetchone()
        )
        if row is None:
            raise ProtocolProblem("not_found", 404, "There is no such problem.")
        if row["state"] != "open":
            raise ProtocolProblem("already_resolved", 409, f"{row['resolved_by']} has decided already.")
        in_force = row["in_force"]
        if choice == "rejected":
            in_force = "workplace" if in_force == "service" else "service"
            _put_in_force(conn, model, row, row["pushed"] if in_force == "workplace" else row["service"])
        conn.execute(
            "UPDATE yurt.problems SET state = %s, in_force = %s, comment = %s, resolved_by = %s, resolved_at = now()"
            " WHERE id = %s::uuid",
            [choice, in_force, comment, login, problem],
        )
    found = get(conn, application, problem)
    if found is None:
        raise ProtocolProblem("not_found", 404, "There is no such problem.")
    return found


def _put_in_force(
    conn: Connection[Any], model: Model, problem: Mapping[str, Any], version: Mapping[str, Any] | None
) -> None:
    root = model.root.get(problem["table_name"])
    if root is None:
        raise ProtocolProblem("unknown_table", 409, f"{problem['table_name']} is not synchronised any more.")
    key = tuple(problem["key_text"])
    if not key:
        raise ProtocolProblem("invalid_value", 409, "The record has no key that is one today.")
    whole = Scope(None)
    try:
        exists = any(found.put for found in AggregateRows(conn, model, root, whole, whole).read([key]))
    except errors.DataError as error:
        raise ProtocolProblem("invalid_value", 409, error.diag.message_primary or str(error)) from error
    if version is None and not exists:
        return
    names = [column.name for column in root.table.writable]
    row = {name: version["row"].get(name) for name in names} if version else None
    parts = {part.name: part for part in root.parts}
    change = Change(
        line=0,
        seq=0,
        table=root.name,
        key=problem["key"],
        op="put" if version else "delete",
        base="" if exists else None,
        row=row,
        before=row or {},
        parts={table: list(lines) for table, lines in (version or {}).get("parts", {}).items() if table in parts},
        parts_before={},
        edited_at=None,
        edited_by=None,
        key_text=key,
        root=root,
    )
    outcome = Outcome()
    try:
        check_rows(root, change)
    except (WireInvalid, KeyInvalid) as error:
        raise ProtocolProblem("invalid_value", 409, str(error)) from error
    stage.stage(conn, [change])
    write(conn, model, [change], [outcome])
    if outcome.status == "rejected":
        raise ProtocolProblem(outcome.code or "application_error", 409, outcome.detail or "")
