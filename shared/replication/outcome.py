"""What became of each aggregate of a message, and the problems that are kept of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

import orjson
from psycopg import Connection
from psycopg.types.json import Json

from shared.replication.delta_rows import AggregateRows
from shared.replication.message import Change
from shared.replication.model import Model
from shared.replication.scope import Scope

Status = Literal["applied", "merged", "conflict", "rejected"]


@dataclass
class Outcome:
    """`write`: the staged aggregate is to be written. `send_again`: the workplace is to get the service's state.

    `stored`: of a conflict, what the service held before anything was written.
    """

    status: Status = "applied"
    code: str | None = None
    detail: str | None = None
    columns: tuple[str, ...] = ()
    in_force: str = "service"
    write: bool = True
    send_again: bool = False
    problem: UUID | None = None
    stored: dict[str, Any] | None = None

    def reject(self, code: str, detail: str) -> None:
        """The change is refused: nothing of it is written, it becomes a problem."""
        self.status, self.code, self.detail = "rejected", code, detail
        self.in_force, self.write, self.send_again = "service", False, True


def record_problems(
    conn: Connection[Any],
    application: str,
    model: Model,
    workplace: str,
    scope: Scope,
    number: int,
    changes: Sequence[Change],
    outcomes: Sequence[Outcome],
    author: str,
) -> None:
    """Keep both versions of whatever was rejected or in conflict."""
    kept = [at for at, outcome in enumerate(outcomes) if outcome.status in {"conflict", "rejected"}]
    if not kept:
        return
    rejected = [changes[at] for at in kept if outcomes[at].status == "rejected"]
    service = _service_versions(conn, model, scope, rejected)
    rows = []
    for at in kept:
        change, outcome = changes[at], outcomes[at]
        outcome.problem = uuid4()
        stored = service.get((change.table, change.key_text)) if outcome.status == "rejected" else outcome.stored
        pushed = {"row": change.pushed_row, "parts": change.pushed_parts} if change.op == "put" else None
        rows.append(
            (
                outcome.problem,
                application,
                workplace,
                number,
                change.seq,
                change.table,
                Json(_storable(change.key)),
                list(change.key_text),
                "rejected" if outcome.status == "rejected" else "conflict",
                outcome.code or "conflict",
                _storable(outcome.detail or ""),
                _storable(_title(change, stored)),
                list(outcome.columns),
                change.op,
                Json(stored) if stored else None,
                Json(_storable(pushed)) if pushed else None,
                Json(
                    _storable(
                        {"before": change.before, "parts_before": change.parts_before, "new": change.base is None}
                    )
                ),
                outcome.in_force,
                change.edited_at,
                change.edited_by or author,
            )
        )
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO yurt.problems (id, application, workplace, message, seq, table_name, key, key_text, kind,"
            " code, detail, title, columns, op, service, pushed, edits, in_force, edited_at, edited_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def tell_corrected(
    conn: Connection[Any],
    application: str,
    workplace: str,
    changes: Sequence[Change],
    outcomes: Sequence[Outcome],
    author: str,
) -> None:
    """Note with the workplace's earlier problems that a later change of the same record was taken.

    Once after each decision and reopening; the problem stays as it is, only people decide.
    """
    taken = [at for at, outcome in enumerate(outcomes) if outcome.status in {"applied", "merged"}]
    conn.execute(
        """
        INSERT INTO yurt.problem_events (problem, action, login)
        SELECT p.id, 'corrected', t.login
        FROM unnest(%(places)s::int[], %(logins)s::text[]) AS t(place, login)
        JOIN yurt_stage s ON s.seq = t.place
        JOIN yurt.problems p ON p.workplace = %(workplace)s AND p.table_name = s.table_name
            AND hash_array(p.key_text) = hash_array(s.key) AND p.key_text = s.key
        WHERE p.application = %(application)s AND coalesce((
            SELECT e.action FROM yurt.problem_events e WHERE e.problem = p.id AND e.action <> 'commented'
            ORDER BY e.place DESC LIMIT 1), '') <> 'corrected'
        """,
        {
            "places": taken,
            "logins": [changes[at].edited_by or author for at in taken],
            "workplace": workplace,
            "application": application,
        },
    )


def _storable(value: Any) -> Any:
    """PostgreSQL's texts hold no NUL, those of a replica may: in the kept version a sign stands for it."""
    if isinstance(value, str):
        return value.replace("\x00", "\u2400")
    if isinstance(value, dict):
        return {_storable(name): _storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _service_versions(
    conn: Connection[Any], model: Model, scope: Scope, changes: Sequence[Change]
) -> dict[tuple[str, tuple[str, ...]], dict[str, Any]]:
    """What the service holds of these aggregates, as far as the workplace may see it."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
    for root in model.roots:
        keys = [change.key_text for change in changes if change.root is root]
        if keys:
            for row in AggregateRows(conn, model, root, scope, scope).read(keys):
                if row.put:
                    line = orjson.loads(row.put)
                    found[root.name, row.key] = {"row": line["row"], "parts": line["parts"]}
    return found


def _title(change: Change, stored: dict[str, Any] | None) -> str | None:
    """What a list shows for the aggregate: the manifest's title column, of the pushed row if there is one."""
    column = change.root.title if change.root else None
    for row in (change.pushed_row, stored["row"] if stored else None, change.before):
        if column and row and row.get(column) is not None:
            return str(row[column])
    return None
