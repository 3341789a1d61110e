"""Deliberate defects, each one a mistake that some real system has made: the histories must find every one of them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from shared.replication import apply, decide, delta, history, opening, outcome, retention
from shared.replication.delta_rows import AggregateRows
from workplace.engine import apply as engine_apply
from workplace.engine import outbox, push, unsent

Plant = Callable[[ExitStack], None]


def _put(stack: ExitStack, place: object, name: str, value: object) -> None:
    stack.enter_context(patch.object(place, name, value))


def sequence_as_position(stack: ExitStack) -> None:
    """A position is the highest transaction number, not the snapshot: who commits late is never seen."""

    def highest(conn: Any) -> str:
        end = history.current_snapshot(conn).split(":")[1]
        return f"{end}:{end}:"

    _put(stack, delta, "current_snapshot", highest)
    _put(stack, opening, "current_snapshot", highest)


def dropped_before_answered(stack: ExitStack) -> None:
    """The message leaves the outbox when it is sent, not when it is answered."""
    sent = push._send

    def send(replica: Any, service: Any, exchange: str, message: Any, told: Any) -> bool:
        with replica.writing() as connection:
            outbox.drop(connection, message.number)
        return sent(replica, service, exchange, message, told)

    _put(stack, push, "_send", send)


def stored_answer_ignored(stack: ExitStack) -> None:
    """A message that comes twice is applied twice."""
    asked = apply._stored_answer

    def ask(conn: Any, application: str, workplace: str, number: int, digest: str) -> Any:
        last = conn.execute("SELECT last_message FROM yurt.workplaces WHERE workplace = %s", [workplace]).fetchone()
        if last and number <= last[0]:
            conn.execute("DELETE FROM yurt.messages WHERE workplace = %s AND number = %s", [workplace, number])
            return None
        return asked(conn, application, workplace, number, digest)

    _put(stack, apply, "_stored_answer", ask)


def leave_of_a_narrowed_scope_forgotten(stack: ExitStack) -> None:
    """What a narrower scope takes away stays on the device."""
    _put(stack, AggregateRows, "keys_removed", lambda self: iter(()))


def leave_of_a_moved_row_forgotten(stack: ExitStack) -> None:
    """A row that moves to another organisation stays on the device."""
    mark = delta._Mark
    _put(stack, delta, "_Mark", lambda left, resent: mark(False, resent))


def base_not_kept(stack: ExitStack) -> None:
    """A delta moves the base of what is unsent: the service takes it for an edit of the newest version."""
    attempted = engine_apply._attempt

    def attempt(replica: Any, received: Any, *arguments: Any) -> Any:
        done = attempted(replica, received, *arguments)
        with replica.writing() as connection:
            connection.execute(
                "UPDATE yurt_changes SET base = (SELECT json_extract(value, '$') FROM yurt_workplace"
                " WHERE key = 'position') WHERE base IS NOT NULL"
            )
        return done

    _put(stack, engine_apply, "_attempt", attempt)


def unsent_overwritten(stack: ExitStack) -> None:
    """A delta overwrites what is unsent."""
    _put(stack, unsent, "unsent_keys", lambda connection, layout: {})


def rejected_not_sent_back(stack: ExitStack) -> None:
    """Who was refused keeps his version."""
    _put(stack, apply, "send_again", lambda *arguments, **named: None)


def trigger_values_not_sent_back(stack: ExitStack) -> None:
    """What the application's triggers changed stays as it was pushed."""
    _put(stack, apply, "stored_otherwise", lambda *arguments: [])


def last_writer_wins(stack: ExitStack) -> None:
    """Nobody asks what was changed meanwhile."""
    facts = decide._facts

    def ask(*arguments: Any) -> Any:
        return [fact._replace(contested=False) for fact in facts(*arguments)]

    _put(stack, decide, "_facts", ask)


def conflicts_not_recorded(stack: ExitStack) -> None:
    """The losing version is thrown away."""
    record = outcome.record_problems

    def keep(*arguments: Any) -> None:
        outcomes: list[outcome.Outcome] = arguments[7]
        for one in outcomes:
            if one.status == "conflict":
                one.status = "merged"
        record(*arguments)

    _put(stack, apply, "record_problems", keep)


def forgotten_too_early(stack: ExitStack) -> None:
    """Marks are purged whether everybody has seen them or not."""

    def forget(conn: Any, **named: Any) -> Any:
        conn.execute("DELETE FROM yurt.history")
        return retention.Forgotten(0, 0)

    _put(stack, retention, "forget", forget)


def half_a_delta_committed(stack: ExitStack) -> None:
    """What a delta removes is committed before what it brings."""
    removed = engine_apply._remove

    def remove(connection: Any, *arguments: Any) -> None:
        removed(connection, *arguments)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")

    _put(stack, engine_apply, "_remove", remove)


def restore_unnoticed(stack: ExitStack) -> None:
    """A restored database goes on under its old generation."""

    def any_generation(generation: str, position: str) -> str | None:
        return position.partition(".")[2]

    for module in (delta, opening, apply):
        _put(stack, module, "snapshot_of", any_generation)
    inspect = opening.inspect

    def look(*arguments: Any, **named: Any) -> Any:
        named["generation"] = history.current_generation(arguments[0], arguments[1])
        return inspect(*arguments, **named)

    _put(stack, opening, "inspect", look)


def idle_too_often(stack: ExitStack) -> None:
    """An opening says that there is nothing to do when only the lines of a document have changed."""
    anything = opening._anything_new

    def new(conn: Any, model: Any, workplace: str, scope: Any, snapshot: str) -> bool:
        bare = dataclasses.replace(model, roots=tuple(root for root in model.roots if not root.parts))
        return anything(conn, bare, workplace, scope, snapshot)

    _put(stack, opening, "_anything_new", new)


PLANTED: Mapping[str, Plant] = {
    plant.__name__: plant
    for plant in (
        sequence_as_position, dropped_before_answered, stored_answer_ignored, leave_of_a_narrowed_scope_forgotten,
        leave_of_a_moved_row_forgotten, base_not_kept, unsent_overwritten, rejected_not_sent_back,
        trigger_values_not_sent_back, last_writer_wins, conflicts_not_recorded, forgotten_too_early,
        half_a_delta_committed, restore_unnoticed, idle_too_often,
    )
}  # fmt: skip


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The services and the program have this defect inside."""
    with ExitStack() as stack:
        PLANTED[name](stack)
        yield
