"""Sending what is held and what was edited, one message after the other (protocol.md, Push)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workplace.engine import outbox, problems
from workplace.engine.failures import ServiceRefused, UnexpectedAnswer
from workplace.engine.freeze import count_changes, freeze
from workplace.engine.outbox import Held
from workplace.engine.replica import Replica
from workplace.engine.service import Service

Progress = Callable[[str, int, int], None]
# "400 again and again": a body may be damaged on the way, but not every time.
_DAMAGED_ON_THE_WAY = {"digest_mismatch", "digest_missing"}
_ATTEMPTS = {True: 3, False: 2}


@dataclass
class Sent:
    """What went to the service. `next_message` is the number it expects now."""

    next_message: int
    counts: dict[str, int] = field(default_factory=dict)
    problems: int = 0
    aggregates: int = 0
    local_problems: int = 0


def push(replica: Replica, service: Service, exchange: str, opening: Mapping[str, Any], progress: Progress) -> Sent:
    """Sends everything that was unsent when it began; returns when each message has its final answer.

    Raises what the service refuses otherwise; then the message is still held and goes with the next exchange.
    """
    sent = Sent(next_message=int(opening["next_message"]))
    if opening.get("last_result"):
        _settle(replica, opening["last_result"], sent)
    _fit(replica, sent.next_message)
    budget = count_changes(replica.connection)
    total = budget + outbox.count_aggregates(replica.connection)
    progress("push", 0, total)
    while True:
        message = outbox.first(replica.connection)
        if message is None:
            taken = freeze(replica, sent.next_message) if budget > 0 else 0
            if taken == 0:
                return sent
            budget -= taken
            continue
        if not _send(replica, service, exchange, message, sent):
            continue
        progress("push", min(sent.aggregates, total), total)


def _send(replica: Replica, service: Service, exchange: str, message: Held, sent: Sent) -> bool:
    """Sends one held message; True when it has its answer, False when the outbox was rearranged instead."""
    attempts = 0
    while True:
        try:
            answer = service.send_message(exchange, message.number, message.body, message.version).document
        except ServiceRefused as error:
            if error.status == 400:
                attempts += 1
                if attempts < _ATTEMPTS[error.code in _DAMAGED_ON_THE_WAY]:
                    continue
            if error.status in {400, 413}:
                _shrink(replica, message, error, sent)
            elif error.status == 409 and error.code in {"message_differs", "message_gap", "message_old"}:
                _move(replica, message, error, sent)
            else:
                raise
            return False
        if answer.get("message") != message.number or answer.get("digest") != message.digest:
            raise UnexpectedAnswer("unexpected_answer", f"message {message.number}")
        _settle(replica, answer, sent)
        return True


def _settle(replica: Replica, answer: Mapping[str, Any], sent: Sent) -> None:
    """Takes a final answer: problems are kept, the message leaves the outbox, both at once."""
    number = int(answer["message"])
    with replica.writing() as connection:
        message = outbox.find(connection, number)
        if message is None or message.digest != answer.get("digest"):
            return
        told = problems.record_answer(connection, replica.layout, message, answer.get("results") or [])
        outbox.drop(connection, number)
        replica.put("last_message", max(number, int(replica.get("last_message", 0) or 0)))
    sent.next_message = max(sent.next_message, number + 1)
    sent.problems += told
    sent.aggregates += message.body.count(b"\n")
    for name, count in (answer.get("counts") or {}).items():
        sent.counts[name] = sent.counts.get(name, 0) + int(count)


def _fit(replica: Replica, next_message: int) -> None:
    """Numbers that the service does not expect yet would be refused as a gap: the bodies move down."""
    numbers = outbox.held(replica.connection)
    if numbers and numbers[0] > next_message:
        with replica.writing() as connection:
            outbox.renumber(connection, next_message)


def _move(replica: Replica, message: Held, error: ServiceRefused, sent: Sent) -> None:
    """The number does not fit: the same body goes under the one expected, unless it was applied before."""
    if error.code == "message_old" and error.extra.get("digest") == message.digest:
        with replica.writing() as connection:
            outbox.drop(connection, message.number)
            replica.put("last_message", max(message.number, int(replica.get("last_message", 0) or 0)))
        sent.aggregates += message.body.count(b"\n")
        return
    expected = int(error.extra.get("expected") or sent.next_message)
    if expected == message.number:
        raise error
    sent.next_message = expected
    with replica.writing() as connection:
        outbox.renumber(connection, expected)


def _shrink(replica: Replica, message: Held, error: ServiceRefused, sent: Sent) -> None:
    """What can never pass is halved; a single aggregate becomes a local problem and stops nobody else."""
    with replica.writing() as connection:
        if message.body.count(b"\n") > 1:
            outbox.halve(connection, message)
            return
        (line,) = message.lines()
        outbox.drop(connection, message.number)
        # The answer says "too large" of the message; here it is one aggregate.
        code = "aggregate_too_large" if error.status == 413 else error.code
        problems.record_local(
            connection, line, code=code, detail=error.detail, message=message.number, version=message.version
        )
        # Its number was not used: what waits behind it moves up.
        outbox.renumber(connection, message.number)
    sent.local_problems += 1
