"""The problem list of an application: conflicts and rejected changes, both versions kept (protocol.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
from psycopg import Connection, errors
from psycopg.rows import dict_row

from shared.replication import stage
from shared.replication.decide import shape_of
from shared.replication.delta_rows import AggregateRows
from shared.replication.merge import Merged, Pushed, Shape, Stored, equal, merge
from shared.replication.message import Change, check_rows
from shared.replication.model import Model, Root, Table
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

    The other version – of a conflict, what was in dispute – is written as an ordinary change, which travels to every
    workplace; closed periods and read-only tables do not bind the person who decides. Raises `ProtocolProblem`
    `not_found`, `already_resolved`, `lines_unknown`, or the code of the rule that refuses the other version; then
    nothing changed.
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
            _put_in_force(conn, model, row, in_force)
        conn.execute(
            "UPDATE yurt.problems SET state = %s, in_force = %s, comment = %s, resolved_by = %s, resolved_at = now()"
            " WHERE id = %s::uuid",
            [choice, in_force, comment, login, problem],
        )
    found = get(conn, application, problem)
    if found is None:
        raise ProtocolProblem("not_found", 404, "There is no such problem.")
    return found


def _put_in_force(conn: Connection[Any], model: Model, problem: Mapping[str, Any], whose: str) -> None:
    """Write what the version of `whose` has otherwise, and leave everything else as it is now."""
    root = model.root.get(problem["table_name"])
    if root is None:
        raise ProtocolProblem("unknown_table", 409, f"{problem['table_name']} is not synchronised any more.")
    key = tuple(problem["key_text"])
    stored = _stored(conn, model, root, key)
    shape = shape_of(root)
    wanted = _of_workplace(root, problem) if whose == "workplace" else _of_service(root, problem, stored)
    if stored is None and wanted.row is not None and not wanted.new and shape.parts.keys() - wanted.parts.keys():
        raise ProtocolProblem("lines_unknown", 409, "The record is gone, and only a part of its lines was sent.")
    # What is gone and is to be again comes whole, as a new one does.
    merged = merge(shape, stored, replace(wanted, new=wanted.new or stored is None), "workplace_wins")
    if merged.row is None and stored is None:
        return
    change = _change(root, problem["key"], key, shape, stored, merged)
    outcome = Outcome()
    try:
        check_rows(root, change)
    except (WireInvalid, KeyInvalid) as error:
        raise ProtocolProblem("invalid_value", 409, str(error)) from error
    stage.stage(conn, [change])
    write(conn, model, [change], [outcome])
    if outcome.status == "rejected":
        raise ProtocolProblem(outcome.code or "application_error", 409, outcome.detail or "")


def _stored(conn: Connection[Any], model: Model, root: Root, key: tuple[str, ...]) -> Stored | None:
    whole = Scope(None)
    if not key:
        raise ProtocolProblem("invalid_value", 409, "The record has no key that the application could hold.")
    try:
        [found] = AggregateRows(conn, model, root, whole, whole).read([key])
    except errors.DataError as error:
        raise ProtocolProblem("invalid_value", 409, error.diag.message_primary or str(error)) from error
    line = orjson.loads(found.put) if found.put else None
    return Stored(line["row"], line["parts"]) if line else None


def _of_workplace(root: Root, problem: Mapping[str, Any]) -> Pushed:
    """What the workplace edited; of a conflict that was merged otherwise, what was in dispute."""
    edits, version = problem["edits"], problem["pushed"]
    if version is None:
        return Pushed(None, edits["before"], {}, edits["parts_before"], new=False)
    before, parts = edits["before"], version["parts"]
    if not all(isinstance(lines, list) and all(isinstance(line, dict) for line in lines) for lines in parts.values()):
        raise ProtocolProblem("invalid_value", 409, "What was sent as lines is none.")
    disputed = _disputed(root, problem)
    if disputed is not None:
        before = {name: value for name, value in before.items() if name in disputed.columns}
        parts = {part: lines for part, lines in parts.items() if part in disputed.parts}
    return Pushed(version["row"], before, parts, edits["parts_before"], new=edits["new"])


def _of_service(root: Root, problem: Mapping[str, Any], stored: Stored | None) -> Pushed:
    """What the service had in place of what the workplace made of it."""
    version, pushed = problem["service"], problem["pushed"]
    if version is None:
        now = stored or Stored({}, {})
        return Pushed(None, now.row, {}, now.parts, new=False)
    disputed = _disputed(root, problem)
    if disputed is None or pushed is None or stored is None:
        return Pushed(version["row"], {}, version["parts"], stored.parts if stored else {}, new=True)
    before = {name: pushed["row"][name] for name in disputed.columns if name in pushed["row"]}
    parts, parts_before = {}, {}
    for part in (part for part in root.parts if part.name in disputed.parts):
        were = _by_key(part, problem["edits"]["parts_before"].get(part.name, ()))
        had, made = _by_key(part, version["parts"].get(part.name, ())), _by_key(part, pushed["parts"][part.name])
        # Lines that the workplace added were not in dispute.
        parts[part.name] = [*had.values(), *(line for key, line in made.items() if key not in {**were, **had})]
        parts_before[part.name] = list(made.values())
    return Pushed(version["row"], before, parts, parts_before, new=False)


@dataclass(frozen=True)
class _Disputed:
    columns: frozenset[str]
    parts: frozenset[str]


def _disputed(root: Root, problem: Mapping[str, Any]) -> _Disputed | None:
    """What both sides had changed differently; None where the whole version was left out."""
    if problem["kind"] != "conflict" or root.policy == "manual" or "*" in problem["columns"]:
        return None
    columns = frozenset(problem["columns"]) & root.table.by_name.keys()
    names = (name.partition(".")[0] for name in problem["columns"] if name not in columns)
    return _Disputed(columns, frozenset(names))


def _by_key(part: Table, lines: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {tuple(str(line.get(name)) for name in part.key_names): line for line in lines}


def _change(
    root: Root, key: Mapping[str, Any], key_text: tuple[str, ...], shape: Shape, stored: Stored | None, merged: Merged
) -> Change:
    row = {name: merged.row[name] for name in shape.kinds if name in merged.row} if merged.row is not None else None
    change = Change(
        line=0,
        seq=0,
        table=root.name,
        key=key,
        op="delete" if row is None else "put",
        base=None if stored is None else "",
        row=row,
        before={},
        parts={part: [dict(line) for line in lines] for part, lines in merged.parts.items()},
        parts_before={},
        edited_at=None,
        edited_by=None,
        key_text=key_text,
        root=root,
    )
    if row is not None and stored is not None:
        change.edited = tuple(
            name for name, value in row.items() if not equal(shape.kinds[name], value, stored.row[name])
        )
    return change
