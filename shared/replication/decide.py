"""What is to become of each staged aggregate: taken as it is, merged, or refused by a rule."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from psycopg import Connection

from shared.protocol.values import kind
from shared.replication import stage
from shared.replication.delta_rows import AggregateRows
from shared.replication.expressions import column_ref, from_wire, key_match, literal, qualified, quote
from shared.replication.merge import Merged, Pushed, Shape, Stored, equal, lines_equal, merge, rows_equal
from shared.replication.message import Change
from shared.replication.model import Column, Model, Root, Table
from shared.replication.outcome import Outcome
from shared.replication.readable import refuse_unreadable
from shared.replication.retention import COMPLETE
from shared.replication.scope import Scope, area_condition, condition
from shared.replication.wire_values import history_text


class _Facts(NamedTuple):
    """`contested`: somebody else changed it after `base`, or may have: the history does not reach back so far.
    `resent`: it was put on the workplace's resend list since, `refused`: because an earlier push of it was rejected."""

    seq: int
    present: bool
    visible: bool
    contested: bool
    resent: bool
    refused: bool
    closed: bool


def decide(
    conn: Connection[Any], application: str, model: Model, workplace: str, scope: Scope, changes: Sequence[Change]
) -> list[Outcome]:
    """The outcome of each change, before anything is written. Merged aggregates are staged anew.

    Afterwards the rows concerned are locked, so that nobody changes them between the decision and the writing.
    """
    refuse_unreadable(conn, model, changes)
    outcomes = [Outcome() for _ in changes]
    for change, outcome in zip(changes, outcomes, strict=True):
        if change.rejection:
            outcome.reject(*change.rejection)
    for root in model.roots:
        if any(change.root is root and change.rejection is None for change in changes):
            _decide_root(conn, application, model, root, workplace, scope, changes, outcomes)
    return outcomes


def _decide_root(
    conn: Connection[Any],
    application: str,
    model: Model,
    root: Root,
    workplace: str,
    scope: Scope,
    changes: Sequence[Change],
    outcomes: Sequence[Outcome],
) -> None:
    lock(conn, model, root)
    to_merge: list[int] = []
    for facts in _facts(conn, application, model, root, workplace, scope):
        change, outcome = changes[facts.seq], outcomes[facts.seq]
        outcome.send_again |= facts.resent  # this very edit may have been in its way
        if facts.refused:
            outcome.reject("after_rejection", "The change builds on one that was rejected.")
        elif _outside_scope(root, scope, change, facts):
            outcome.reject("outside_scope", "The record belongs to no organisation of this workplace.")
        elif facts.closed:
            outcome.reject("closed_period", "The document's date lies in a closed period.")
        elif change.op == "delete" and not facts.present:
            outcome.write = False  # gone already: what was wanted
        elif facts.contested or facts.present == (change.base is None) or (change.translated and change.parts):
            # Lines of another version lack what theirs knew nothing of: that stays as it is stored.
            to_merge.append(facts.seq)
    if to_merge:
        _merge_all(conn, model, root, scope, changes, outcomes, to_merge)


def _outside_scope(root: Root, scope: Scope, change: Change, facts: _Facts) -> bool:
    if facts.present and not facts.visible:
        return True
    if root.organisation is None or scope.organisations is None or change.row is None:
        return False
    if facts.present and change.base is not None and root.organisation not in change.edited:
        return False  # it stays as it is stored
    organisation = change.row[root.organisation]
    if organisation is None:
        return True
    return history_text(root.table.by_name[root.organisation], organisation) not in scope.organisations


def lock(conn: Connection[Any], model: Model, root: Root) -> None:
    """Lock the stored rows of what is staged, in key order; what is read afterwards tells of all who came before."""
    order = ", ".join(column_ref("t", column) for column in root.table.key)
    staged = f"FROM yurt_stage s JOIN {qualified(root.table)} t ON {key_match(root.table, 't', 's.key')}"
    where = f"WHERE s.table_name = {literal(root.name)} AND {area_condition(model, 't')}"
    conn.execute(f"SELECT {staged} {where} ORDER BY {order} FOR UPDATE OF t".encode(), {"area": model.area})
    for part in root.parts:
        join = f"JOIN {qualified(part)} p ON p.{quote(part.parent or '')} = {column_ref('t', root.table.key[0])}"
        keys = ", ".join(column_ref("p", column) for column in part.key)
        conn.execute(f"SELECT {staged} {join} {where} ORDER BY {keys} FOR UPDATE OF p".encode(), {"area": model.area})


def _facts(
    conn: Connection[Any], application: str, model: Model, root: Root, workplace: str, scope: Scope
) -> list[_Facts]:
    query = f"""
        WITH unseen AS (
            SELECT b.base, h.key,
                   bool_or(h.recipient IS NULL AND h.origin IS DISTINCT FROM %(workplace)s) AS contested,
                   bool_or(h.recipient = %(workplace)s) AS resent,
                   bool_or(h.recipient = %(workplace)s AND h.rejected) AS refused
            FROM (SELECT DISTINCT base FROM yurt_stage WHERE table_name = %(table)s AND base IS NOT NULL) b
            JOIN yurt.history h ON h.xid >= pg_snapshot_xmin(b.base::pg_snapshot)
                AND NOT pg_visible_in_snapshot(h.xid, b.base::pg_snapshot)
            WHERE h.table_name = %(table)s AND h.area IS NOT DISTINCT FROM %(area)s
            GROUP BY 1, 2
        )
        SELECT s.seq, t.ctid IS NOT NULL, t.ctid IS NOT NULL AND coalesce({condition(model, root, scope, "t")}, false),
               s.base IS NOT NULL AND (coalesce(u.contested, false)
                   OR ({COMPLETE.format(snapshot="s.base")}) IS NOT TRUE
                   OR pg_snapshot_xmax(s.base::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())),
               coalesce(u.resent, false), coalesce(u.refused, false), {_closed(model, root)}
        FROM yurt_stage s
        LEFT JOIN {qualified(root.table)} t ON {key_match(root.table, "t", "s.key")} AND {area_condition(model, "t")}
        LEFT JOIN unseen u ON u.base = s.base AND u.key = s.key
        LEFT JOIN yurt.applications a ON a.code = %(application)s
        LEFT JOIN yurt.workplaces w ON w.workplace = %(workplace)s
        WHERE s.table_name = %(table)s ORDER BY s.seq
    """
    arguments = {
        "application": application,
        "workplace": workplace,
        "table": root.name,
        "area": model.area,
        "organisations": list(scope.organisations or ()),
    }
    return [_Facts(*row) for row in conn.execute(query.encode(), arguments)]


def _closed(model: Model, root: Root) -> str:
    """SQL that holds when the document's date is closed before or after the change; no row = open."""
    closed = root.closed
    if closed is None or root.organisation is None:
        return "false"
    schema = model.manifest.configuration.schema_name
    date, organisation = root.table.by_name[closed.column], root.table.by_name[root.organisation]
    area = f" AND c.{quote(model.area_column)}::text = %(area)s" if model.area_column else ""

    def until(of_organisation: str, on: str) -> str:
        return (
            f"EXISTS (SELECT 1 FROM {quote(schema)}.{quote(closed.table)} c WHERE c.{quote(closed.organisation)} ="
            f" {of_organisation} AND ({on})::date <= c.{quote(closed.until)}{area})"
        )

    def then(column: Column) -> str:
        """What was not edited stays as it is stored."""
        edited = f"t.ctid IS NULL OR s.fresh OR {literal(column.name)} = ANY(s.edited)"
        return f"CASE WHEN {edited} THEN {from_wire(column, 's.row')} ELSE {column_ref('t', column)} END"

    before = until(column_ref("t", organisation), column_ref("t", date))
    after = until(then(organisation), then(date))
    return f"({before} OR s.op = 'put' AND {after})"


def _merge_all(
    conn: Connection[Any],
    model: Model,
    root: Root,
    scope: Scope,
    changes: Sequence[Change],
    outcomes: Sequence[Outcome],
    places: Sequence[int],
) -> None:
    shape = shape_of(root)
    rows = AggregateRows(conn, model, root, scope, scope)
    for place, found in zip(places, rows.read([changes[place].key_text for place in places]), strict=True):
        line = orjson.loads(found.put) if found.put else None
        stored = Stored(line["row"], line["parts"]) if line else None
        change = changes[place]
        pushed = Pushed(change.row, change.before, change.parts, change.parts_before, change.base is None)
        merged = merge(shape, stored, pushed, root.policy)
        _take(conn, shape, place, change, outcomes[place], stored, merged)


def _take(
    conn: Connection[Any],
    shape: Shape,
    place: int,
    change: Change,
    outcome: Outcome,
    stored: Stored | None,
    merged: Merged,
) -> None:
    """Stage what the merge decided, and say what became of the push."""
    if merged.conflicts:
        outcome.status, outcome.code, outcome.columns = "conflict", "conflict", merged.conflicts
        outcome.detail = (
            f"Both sides changed {', '.join(merged.conflicts)}."
            if "*" not in merged.conflicts
            else ("One side deleted the record, the other changed it.")
        )
        outcome.in_force = merged.in_force
        outcome.stored = {"row": stored.row, "parts": stored.parts} if stored else None
    elif not _as_pushed(shape, change, merged):
        outcome.status = "merged"
    # Also as it was pushed: what others changed of it beside that may have been passed over while it was unsent.
    outcome.send_again = True
    if merged.row is None:
        outcome.write = stored is not None
        if outcome.write:
            stage.restage(conn, place, change, op="delete", fresh=False)
        return
    change.row = {name: merged.row[name] for name in shape.kinds}
    if stored is None:
        change.parts = {table: [dict(line) for line in lines] for table, lines in merged.parts.items()}
        stage.restage(conn, place, change, op="put", fresh=True)
        return
    change.edited = tuple(
        name for name, value in change.row.items() if not equal(shape.kinds[name], value, stored.row.get(name))
    )
    change.parts = {
        table: [dict(line) for line in lines]
        for table, lines in merged.parts.items()
        if not lines_equal(shape.parts[table], lines, stored.parts.get(table, ()))
    }
    outcome.write = bool(change.edited or change.parts)
    if outcome.write:
        stage.restage(conn, place, change, op="put", fresh=False)


def _as_pushed(shape: Shape, change: Change, merged: Merged) -> bool:
    if change.row is None or merged.row is None:
        return change.row is merged.row
    return rows_equal(shape, change.row, merged.row) and all(
        lines_equal(shape.parts[table], lines, merged.parts[table]) for table, lines in change.parts.items()
    )


def shape_of(root: Root) -> Shape:
    """What merge must know of an aggregate."""

    def of(table: Table, parts: Mapping[str, Shape]) -> Shape:
        return Shape({column.name: kind(column.type) for column in table.writable}, table.key_names, parts)

    return of(root.table, {part.name: of(part, {}) for part in root.parts})
