"""Writing the version that a person decided for, as an ordinary change (protocol.md, Decisions)."""

from collections.abc import Mapping
from typing import Any

import orjson
from psycopg import Connection, errors

from shared.replication import stage
from shared.replication.decide import lock, shape_of
from shared.replication.delta_rows import AggregateRows
from shared.replication.dispute import VersionUnusable, dispute
from shared.replication.merge import Merged, Shape, Stored, equal, lines_equal, merge
from shared.replication.message import Change, check_rows
from shared.replication.model import Model, Root
from shared.replication.outcome import Outcome
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from shared.replication.spelling import WireInvalid
from shared.replication.wire_values import KeyInvalid
from shared.replication.write import write


def put_in_force(
    conn: Connection[Any], model: Model, problem: Mapping[str, Any], replaced: Mapping[str, Any] | None, whose: str
) -> dict[str, Any] | None:
    """Write what the version of `whose` has otherwise, and leave everything else as it is now.

    Call in the transaction that stores the decision, after `stage.prepare`. Returns what was written over, None for
    nothing; see `dispute` for `replaced`. Raises `ProtocolProblem` with the code of the rule that refuses it.
    """
    root = model.root.get(problem["table_name"])
    if root is None:
        raise ProtocolProblem("unknown_table", 409, f"{problem['table_name']} is not synchronised any more.")
    shape = shape_of(root)
    try:
        about = dispute(shape, problem, replaced, manual=root.policy == "manual")
    except VersionUnusable as error:
        raise ProtocolProblem("invalid_value", 409, str(error)) from error
    change = _unchanged(root, problem)
    present = _locked(conn, model, root, change)
    if about.lines_are_unknown(shape, present, whose):
        raise ProtocolProblem("lines_unknown", 409, "The record is gone, and only a part of its lines was sent.")
    merged = merge(shape, present, about.wanted(shape, present, whose), "workplace_wins")
    _fill(change, shape, present, merged)
    if merged.row is None and present is None:
        return None
    try:
        check_rows(root, change)
    except (WireInvalid, KeyInvalid) as error:
        raise ProtocolProblem("invalid_value", 409, str(error)) from error
    stage.restage(conn, 0, change, op=change.op, fresh=present is None)
    outcome = Outcome()
    write(conn, model, [change], [outcome])
    if outcome.status == "rejected":
        raise ProtocolProblem(outcome.code or "application_error", 409, outcome.detail or "")
    return {"row": present.row, "parts": present.parts} if present else None


def _unchanged(root: Root, problem: Mapping[str, Any]) -> Change:
    """The record as a change that says nothing yet."""
    if not problem["key_text"]:
        raise ProtocolProblem("invalid_value", 409, "The record has no key that the application could hold.")
    return Change(
        line=0,
        seq=0,
        table=root.name,
        key=problem["key"],
        op="delete",
        base="",
        row=None,
        before={},
        parts={},
        parts_before={},
        edited_at=None,
        edited_by=None,
        key_text=tuple(problem["key_text"]),
        root=root,
    )


def _locked(conn: Connection[Any], model: Model, root: Root, change: Change) -> Stored | None:
    """The record as it stands; nobody else changes it or its lines from here on."""
    stage.stage(conn, [change])
    whole = Scope(None)
    try:
        lock(conn, model, root)
        [found] = AggregateRows(conn, model, root, whole, whole).read([change.key_text])
    except errors.DataError as error:
        raise ProtocolProblem("invalid_value", 409, error.diag.message_primary or str(error)) from error
    line = orjson.loads(found.put) if found.put else None
    return Stored(line["row"], line["parts"]) if line else None


def _fill(change: Change, shape: Shape, present: Stored | None, merged: Merged) -> None:
    """Make the change say what the merge decided, and no more than that."""
    if merged.row is None:
        return
    change.op = "put"
    change.row = {name: merged.row[name] for name in shape.kinds if name in merged.row}
    change.parts = {
        part: [dict(line) for line in lines]
        for part, lines in merged.parts.items()
        if present is None or not lines_equal(shape.parts[part], lines, present.parts.get(part, ()))
    }
    if present is not None:
        change.edited = tuple(
            name for name, value in change.row.items() if not equal(shape.kinds[name], value, present.row[name])
        )
