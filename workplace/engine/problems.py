"""Problems of this replica: what the service did not simply take, and aggregates that can never be sent as they are.

Kinds: `conflict` and `rejected` come from the service's answers; `local` never reached it. A local problem keeps the
`base` and `before` of its change until the aggregate is edited again or sent once more.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.protocol.values import canonical_json
from workplace.engine import outbox
from workplace.engine.clock import now_text
from workplace.engine.layout import Aggregate, Layout
from workplace.engine.outbox import Held

# Statuses of an answer that a person should look at; `merged` needs nobody.
_KINDS = {"conflict": "conflict", "rejected": "rejected"}


@dataclass(frozen=True)
class Problem:
    """A problem with both versions. `pushed` is the line that was sent, `service` the line that came back, or None."""

    id: int
    problem: str | None
    kind: str
    table: str
    key: dict[str, Any]
    code: str
    detail: str
    pushed: dict[str, Any]
    service: dict[str, Any] | None
    created_at: str


def key_text(key: Mapping[str, Any]) -> str:
    """A key in wire values as the text problems are found by."""
    return canonical_json(dict(sorted(key.items())))


def open_problems(connection: sqlite3.Connection) -> list[Problem]:
    """What nobody has settled yet, the oldest first."""
    rows = connection.execute(
        "SELECT id, problem, kind, table_name, key, code, detail, pushed, service, created_at FROM yurt_problems"
        " WHERE state = 'open' ORDER BY id"
    )
    return [
        Problem(
            number, problem, kind, table, json.loads(key), code, detail, json.loads(pushed),
            json.loads(service) if service else None, created_at,
        )
        for number, problem, kind, table, key, code, detail, pushed, service, created_at in rows
    ]  # fmt: skip


def local_problems(connection: sqlite3.Connection) -> dict[tuple[str, str], dict[str, Any]]:
    """The lines that never reached the service, by table and `key_text`, each with the `version` it was written in."""
    rows = connection.execute(
        "SELECT table_name, key, pushed, version FROM yurt_problems WHERE kind = 'local' AND state = 'open' ORDER BY id"
    )
    return {(table, key): {**json.loads(pushed), "version": version} for table, key, pushed, version in rows}


def record_answer(
    connection: sqlite3.Connection, layout: Layout, message: Held, results: Iterable[Mapping[str, Any]]
) -> int:
    """Keeps the conflicts and rejections of an answer with what had been pushed. Returns how many there were.

    Lines that were not touched, and so not sent, are kept as `untouched`: where the service has deleted the document
    they are nowhere else once its delta is applied.
    """
    told = [result for result in results if result.get("status") in _KINDS]
    if not told:
        return 0
    lines = {line["seq"]: line for line in message.lines()}
    for result in told:
        line = lines.get(result.get("seq"))
        if line is None:
            continue
        supersede(connection, line["table"], line["key"])
        if line["op"] == "put":
            line = {**line, "untouched": _untouched(connection, layout.get(line["table"]), line)}
        _insert(
            connection, line, kind=_KINDS[str(result["status"])], code=str(result.get("code") or result["status"]),
            detail=str(result.get("detail") or ""), message=message.number, version=message.version,
            problem=result.get("problem"),
        )  # fmt: skip
    return len(told)


def _untouched(
    connection: sqlite3.Connection, aggregate: Aggregate | None, line: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    if aggregate is None:
        return {}
    key = aggregate.root.key_from_wire(line["key"])
    return {
        part.table.name: part.lines_of(connection, key)
        for part in aggregate.parts
        if part.table.name not in (line.get("parts") or {})
    }


def record_local(
    connection: sqlite3.Connection, line: Mapping[str, Any], *, code: str, detail: str, message: int, version: str
) -> None:
    """Keeps an aggregate that the service can never take as it is."""
    supersede(connection, str(line["table"]), line["key"])
    _insert(connection, line, kind="local", code=code, detail=detail, message=message, version=version, problem=None)


def supersede(connection: sqlite3.Connection, table: str, key: Mapping[str, Any]) -> None:
    """A newer edit or problem of the same aggregate takes the place of the open ones."""
    connection.execute(
        "UPDATE yurt_problems SET state = 'superseded' WHERE table_name = ? AND key = ? AND state = 'open'",
        (table, key_text(key)),
    )


def send_again(connection: sqlite3.Connection, problem: int) -> bool:
    """Puts a local problem back into the outbox, as it was frozen. False when there is no such local problem."""
    row = connection.execute(
        "SELECT pushed, version FROM yurt_problems WHERE id = ? AND kind = 'local' AND state = 'open'", (problem,)
    ).fetchone()
    if row is None:
        return False
    waiting = outbox.held(connection)
    known = connection.execute("SELECT value FROM yurt_workplace WHERE key = 'last_message'").fetchone()
    number = waiting[-1] + 1 if waiting else 1 + int(json.loads(known[0]) if known and known[0] else 0)
    outbox.store(connection, number, [canonical_json(json.loads(row[0])).encode() + b"\n"], row[1])
    connection.execute("UPDATE yurt_problems SET state = 'sent_again' WHERE id = ?", (problem,))
    return True


def set_aside(connection: sqlite3.Connection, problem: int) -> bool:
    """Takes a problem that came from the service off the list; there it stays until a person decides."""
    changed = connection.execute(
        "UPDATE yurt_problems SET state = 'seen' WHERE id = ? AND kind <> 'local' AND state = 'open'", (problem,)
    )
    return changed.rowcount == 1


def settle(connection: sqlite3.Connection, at_service: Iterable[tuple[str, bool]]) -> None:
    """Closes the problems that people decided at the service, and opens again those that they reopened there.

    `at_service`: the id of each problem, and whether it is open there.
    """
    connection.executemany(
        "UPDATE yurt_problems SET state = CASE WHEN :open THEN 'open' ELSE 'settled' END"
        " WHERE problem = :problem AND (state = 'settled') = :open",
        [{"problem": problem, "open": is_open} for problem, is_open in at_service],
    )


def remember_service_version(connection: sqlite3.Connection, lines: Iterable[Mapping[str, Any]]) -> None:
    """Keeps what the service sent back for aggregates that have a problem."""
    connection.executemany(
        "UPDATE yurt_problems SET service = ? WHERE table_name = ? AND key = ? AND state = 'open' AND kind <> 'local'",
        [(canonical_json(line), line["table"], key_text(line["key"])) for line in lines],
    )


def _insert(
    connection: sqlite3.Connection, line: Mapping[str, Any], *, kind: str, code: str, detail: str, message: int,
    version: str, problem: object,
) -> None:  # fmt: skip
    connection.execute(
        "INSERT INTO yurt_problems (problem, message, table_name, key, kind, code, detail, pushed, version, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            None if problem is None else str(problem), message, line["table"], key_text(line["key"]), kind, code,
            detail, json.dumps(line), version, now_text(),
        ),
    )  # fmt: skip
