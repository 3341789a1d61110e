"""Applying a message of a workplace to the application, once, in one transaction (protocol.md, Push)."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.types.json import Json

from shared.replication import stage, versions
from shared.replication.blueprint import Blueprint
from shared.replication.decide import decide
from shared.replication.delta_rows import wire_keys
from shared.replication.history import NOTHING, current_generation, remove_alias, send_again, snapshot_of
from shared.replication.message import Change, parse
from shared.replication.model import Model
from shared.replication.opening import expect
from shared.replication.outcome import Outcome, record_problems, tell_corrected
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from shared.replication.write import stored_otherwise, write


@dataclass(frozen=True)
class Message:
    """A decoded message: its number, its NDJSON body, and the configuration version it was written in."""

    number: int
    body: bytes | bytearray
    version: str


def apply_message(
    conn: Connection[Any],
    application: str,
    model: Model,
    workplace: str,
    scope: Scope,
    message: Message,
    author: str,
) -> dict[str, Any]:
    """Apply a message and store its answer, or return the stored answer of the same message.

    Afterwards every aggregate of it is in force, merged, or a problem with both versions kept; one bad aggregate never
    stops the rest. Raises `ProtocolProblem` when the message as a whole cannot be applied (then nothing changed), and
    psycopg's errors when the database is away or asks to try again.
    """
    digest = hashlib.sha256(message.body).hexdigest()
    stage.prepare(conn)
    with conn.transaction():
        stored = _stored_answer(conn, application, workplace, message.number, digest)
        if stored is not None:
            return stored
        changes = parse(model, message.body, message.version, _former(conn, application, model, message.version))
        outcomes = _apply(conn, application, model, workplace, scope, message.number, changes, author)
        answer = _answer(message.number, digest, changes, outcomes)
        _store_answer(conn, workplace, answer)
    return answer


def _former(conn: Connection[Any], application: str, model: Model, version: str) -> Blueprint | None:
    today = version == model.manifest.configuration.version
    return None if today else versions.find(conn, application, version)


def _apply(
    conn: Connection[Any],
    application: str,
    model: Model,
    workplace: str,
    scope: Scope,
    number: int,
    changes: Sequence[Change],
    author: str,
) -> list[Outcome]:
    generation = current_generation(conn, application)
    for change in changes:
        if change.base is not None:
            change.base = snapshot_of(generation, change.base) or NOTHING
    stage.stage(conn, changes)
    outcomes = decide(conn, application, model, workplace, scope, changes)
    conn.execute("SELECT set_config('yurt.origin', %s, true)", [workplace])
    write(conn, model, changes, outcomes)
    conn.execute("SELECT set_config('yurt.origin', '', true)")
    for seq in stored_otherwise(conn, model, changes, outcomes):
        outcomes[seq].send_again = True
    for change, outcome in zip(changes, outcomes, strict=True):
        outcome.send_again |= change.translated
    _mark(conn, model, workplace, changes, outcomes)
    tell_corrected(conn, application, workplace, changes, outcomes, author)
    record_problems(conn, application, model, workplace, scope, number, changes, outcomes, author)
    return outcomes


def _mark(
    conn: Connection[Any], model: Model, workplace: str, changes: Sequence[Change], outcomes: Sequence[Outcome]
) -> None:
    """What does not stand as it was pushed is no echo: the workplace gets it with its next delta.

    Nor is what was not pushed at all: a trigger moved a line to another document, or gave a row another key.
    """
    conn.execute(
        "UPDATE yurt.history h SET origin = NULL WHERE h.xid = pg_current_xact_id() AND h.origin IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM yurt_stage s WHERE s.table_name = h.table_name AND s.key = h.key)"
    )
    for root in model.roots:
        again = [at for at, outcome in enumerate(outcomes) if outcome.send_again and changes[at].root is root]
        if not again:
            continue
        keys = [changes[at].key_text for at in again]
        conn.execute(
            "UPDATE yurt.history h SET origin = NULL FROM yurt_stage s WHERE h.xid = pg_current_xact_id()"
            " AND h.origin IS NOT NULL AND h.table_name = %s AND s.table_name = h.table_name AND s.key = h.key"
            " AND s.seq = ANY(%s)",
            [root.name, again],
        )
        rejected = {key for at, key in zip(again, keys, strict=True) if outcomes[at].status == "rejected"}
        send_again(conn, model, workplace, root.name, [key for key in keys if key in rejected], rejected=True)
        send_again(conn, model, workplace, root.name, [key for key in keys if key not in rejected], rejected=False)
        # Spelt otherwise than it is pushed, a key has two rows in the replica.
        spelt = zip(again, wire_keys(conn, root.table, keys), strict=True)
        remove_alias(
            conn, model, workplace, root.name, [changes[at].key for at, key in spelt if key != changes[at].key]
        )
    for change in changes:
        if change.nameless:
            remove_alias(conn, model, workplace, change.table, [change.key])


def _stored_answer(
    conn: Connection[Any], application: str, workplace: str, number: int, digest: str
) -> dict[str, Any] | None:
    """The answer this very message got before; None when it is the next one. The workplace's row is locked then."""
    expect(conn, application, workplace)
    row = conn.execute(
        "SELECT last_message FROM yurt.workplaces WHERE workplace = %s FOR UPDATE", [workplace]
    ).fetchone()
    last = int(row[0]) if row else 0
    if number == last + 1:
        return None
    if number > last:
        raise ProtocolProblem("message_gap", 409, f"Message {last + 1} is expected.", expected=last + 1)
    stored = conn.execute(
        "SELECT digest, answer FROM yurt.messages WHERE workplace = %s AND number = %s", [workplace, number]
    ).fetchone()
    applied = stored[0] if stored else None
    if number < last:
        raise ProtocolProblem("message_old", 409, f"Message {last} was applied already.", digest=applied)
    if applied != digest or stored is None:
        raise ProtocolProblem(
            "message_differs", 409, f"Message {number} was applied with another body.", digest=applied
        )
    answer: dict[str, Any] = stored[1]
    return answer


def _answer(number: int, digest: str, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    counts = Counter(outcome.status for outcome in outcomes)
    return {
        "message": number,
        "digest": digest,
        "counts": {status: counts[status] for status in ("applied", "merged", "conflict", "rejected")},
        "results": [
            {
                "seq": change.seq,
                "status": outcome.status,
                "code": outcome.code,
                "detail": outcome.detail,
                "problem": str(outcome.problem) if outcome.problem else None,
            }
            for change, outcome in zip(changes, outcomes, strict=True)
            if outcome.status != "applied"
        ],
    }


def _store_answer(conn: Connection[Any], workplace: str, answer: dict[str, Any]) -> None:
    number = answer["message"]
    conn.execute(
        "INSERT INTO yurt.messages (workplace, number, digest, answer) VALUES (%s, %s, %s, %s)",
        [workplace, number, answer["digest"], Json(answer)],
    )
    conn.execute("UPDATE yurt.messages SET answer = NULL WHERE workplace = %s AND number = %s", [workplace, number - 1])
    conn.execute("UPDATE yurt.workplaces SET last_message = %s WHERE workplace = %s", [number, workplace])
