"""Writing the staged aggregates: set-based, and by halves where the database refuses something."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from shared.replication import writes
from shared.replication.message import Change
from shared.replication.model import Model, Root
from shared.replication.outcome import Outcome

_CODES = {
    "23505": "unique_violation",
    "23P01": "unique_violation",
    "23503": "foreign_key_violation",
    "23514": "check_violation",
    "23502": "not_null_violation",
}
# Too large for an index or with too many dimensions (54) is the value's fault too.
_INVALID_VALUE = ("22", "42804", "54")
# About the moment, not about the data pushed: connections, transactions, resources, locks, operators, the system. An
# application's triggers may raise any other code.
_MOMENT = ("08", "25", "2D", "3B", "40", "53", "55P03", "57", "58", "72", "F0", "XX")


_KEY = re.compile(r"Key \((.*?)\)=")


@dataclass(frozen=True)
class _Refusal:
    code: str
    detail: str


_PASSED_OVER = _Refusal("application_error", "The application passed over the change.")


class _PassedOver(Exception):
    """The application's triggers dropped aggregates without an error; what else they did with them must not stand."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self.places = places


def write(conn: Connection[Any], model: Model, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
    """Write what is to be written. What the database refuses for itself alone becomes a rejection; all else stands.

    Raises psycopg's errors that are about the moment (deadlock, time-out, connection): then nothing stands.
    """
    refused: dict[int, _Refusal] = {}
    pending = _in_order(model, changes, [at for at, outcome in enumerate(outcomes) if outcome.write])
    while pending:
        result = _write_by_halves(conn, model, changes, pending)
        refused = {at: refusal for at, refusal in refused.items() if at not in pending} | result
        pending = _worth_another_try(pending, result)
    for at, refusal in refused.items():
        outcomes[at].reject(refusal.code, refusal.detail)


def _worth_another_try(tried: Sequence[int], refused: Mapping[int, _Refusal]) -> list[int]:
    """Who was refused but may only have come before what it needs (a number freed by another document).

    When none of those tried could be written, two that need each other may have been parted because of a third: they
    refer to each other, or exchanged lines.
    """
    again = [at for at in tried if at in refused]
    if len(again) == len(tried):
        again = [at for at in tried if refused[at].code in {"foreign_key_violation", "unique_violation"}]
    return again if len(again) < len(tried) else []


def stored_otherwise(
    conn: Connection[Any], model: Model, changes: Sequence[Change], outcomes: Sequence[Outcome]
) -> Iterator[int]:
    """Which written aggregates do not stand as they were pushed: the application's triggers or another spelling."""
    for root in model.roots:
        written = [at for at, outcome in enumerate(outcomes) if outcome.write and changes[at].root is root]
        if written:
            for query in writes.stored_otherwise(model, root):
                yield from (row[0] for row in conn.execute(query.encode(), {"seqs": written, "area": model.area}))


def _in_order(model: Model, changes: Sequence[Change], places: Sequence[int]) -> list[int]:
    """Who is referred to first; deletes after the puts, the other way round."""
    rank = {root.name: at for at, root in enumerate(model.roots)}

    def order(place: int) -> tuple[int, int, int]:
        change = changes[place]
        return (1, -rank[change.table], place) if change.op == "delete" else (0, rank[change.table], place)

    return sorted(places, key=order)


def _write_by_halves(
    conn: Connection[Any], model: Model, changes: Sequence[Change], places: Sequence[int]
) -> dict[int, _Refusal]:
    """Write all, or each half for itself; what is refused alone is returned with the reason."""
    try:
        with conn.transaction():
            _write_all(conn, model, changes, places)
    except _PassedOver as passed:
        rest = [at for at in places if at not in passed.places]
        others = _write_by_halves(conn, model, changes, rest) if rest else {}
        return dict.fromkeys(passed.places, _PASSED_OVER) | others
    except psycopg.Error as error:
        refusal = _refusal(model, error)
        if refusal is None:
            raise
        if len(places) == 1:
            return {places[0]: refusal}
    else:
        return {}
    middle = len(places) // 2
    return _write_by_halves(conn, model, changes, places[:middle]) | _write_by_halves(
        conn, model, changes, places[middle:]
    )


def _write_all(conn: Connection[Any], model: Model, changes: Sequence[Change], places: Sequence[int]) -> None:
    arguments = {"seqs": list(places), "area": model.area}
    conn.execute("SET CONSTRAINTS ALL DEFERRED")
    for root in model.roots:
        puts = [changes[at] for at in places if changes[at].root is root]
        if puts:
            _execute(conn, model, root, arguments, edited=sorted({name for change in puts for name in change.edited}))
    for root in reversed(model.roots):
        if any(changes[at].root is root for at in places):
            for statement in writes.statements(model, root, edited=(), deletes=True):
                conn.execute(statement.encode(), arguments)
    # What the application checks at commit is checked now, while it can still be told whose fault it is.
    conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    passed = [
        seq
        for root in model.roots
        if any(changes[at].root is root for at in places)
        for (seq,) in conn.execute(writes.passed_over(model, root).encode(), arguments)
    ]
    if passed:
        raise _PassedOver(passed)


def _execute(
    conn: Connection[Any], model: Model, root: Root, arguments: dict[str, Any], *, edited: Sequence[str]
) -> None:
    for statement in writes.statements(model, root, edited=edited, deletes=False):
        conn.execute(statement.encode(), arguments)


def _refusal(model: Model, error: psycopg.Error) -> _Refusal | None:
    state = error.sqlstate or ""
    message = error.diag.message_primary or str(error)
    if state in _CODES:
        return _Refusal(_CODES[state], " ".join(filter(None, [message, _key_detail(model, error)])))
    # What a trigger of the application computes is no value of the pushed row.
    in_function = "function" in (error.diag.context or "")
    if state.startswith(_INVALID_VALUE) and not in_function:
        return _Refusal("invalid_value", message)
    if not state or state.startswith(_MOMENT):
        return None
    if state.startswith("42") and state != "42501" and not error.diag.context:
        return None  # our own statement does not fit the tables: no fault of the row
    return _Refusal("application_error", " ".join(filter(None, [message, error.diag.message_detail])))


def _key_detail(model: Model, error: psycopg.Error) -> str | None:
    """Which key stands in the way, when it consists of columns that workplaces have. All other details show the stored
    row as it is, with columns that never leave the service.
    """
    found = _KEY.match(error.diag.message_detail or "")
    table = next((table for table in model.tables if table.name == error.diag.table_name), None)
    known = table is not None and found is not None and set(found[1].split(", ")) <= table.by_name.keys()
    return error.diag.message_detail if known else None
