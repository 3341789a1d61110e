"""Events and dead letters as messages of the broker, and back."""

import json
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage, HeadersType
from pydantic import ValidationError

from shared.contracts.envelope import Envelope
from shared.messaging.consumer import Dead
from shared.messaging.dead_letters import DeadLetter, letter_id
from shared.messaging.topology import DELAY, milliseconds

OCCURRED_AT = "yurt-occurred-at"
ATTEMPT = "yurt-attempt"  # deliveries so far, this one included
FIRST_ERROR = "yurt-first-error"
REASON, ERROR, CONSUMER, FAILED_AT = "yurt-reason", "yurt-error", "yurt-consumer", "yurt-failed-at"

OURS = {OCCURRED_AT, ATTEMPT, FIRST_ERROR, REASON, ERROR, CONSUMER, FAILED_AT, DELAY}
LONGEST_ERROR = 2000


class Unreadable(Exception):
    """The message is not an event of ours."""


def message(envelope: Envelope) -> Message:
    """The payload as JSON; identity, name, time and trace context in properties and headers."""
    return Message(
        json.dumps(envelope.payload, ensure_ascii=False, separators=(",", ":")).encode(),
        headers={**envelope.headers, OCCURRED_AT: envelope.occurred_at.isoformat(), ATTEMPT: 1},
        message_id=str(envelope.id),
        type=envelope.name,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def envelope(message: AbstractIncomingMessage) -> Envelope:
    """The event in a message; `Unreadable` when there is none."""
    headers = {
        k: v for k, v in message.headers.items() if isinstance(v, str) and k not in OURS and not k.startswith("x-")
    }
    try:
        return Envelope.model_validate(
            {
                "id": message.message_id,
                "name": message.type,
                "occurred_at": message.headers.get(OCCURRED_AT),
                "headers": headers,
                "payload": json.loads(message.body),
            }
        )
    except (ValueError, ValidationError) as error:
        raise Unreadable(type(error).__name__) from error


def attempt(message: AbstractIncomingMessage) -> int:
    """Which delivery this is, from 1, those that ended without an answer included."""
    return _number(message, ATTEMPT, 1) + _number(message, "x-delivery-count", 0)


def again(message: AbstractIncomingMessage, delay: float, error: str, attempt: int) -> Message:
    """The same event, to wait `delay` seconds and then be delivered as this attempt."""
    return _copy(message, {**_kept(message), ATTEMPT: attempt, DELAY: milliseconds(delay), **_first(message, error)})


def dead(message: AbstractIncomingMessage, consumer: str, verdict: Dead, attempts: int, at: datetime) -> Message:
    """The same event with the reason why nobody takes it any more."""
    why: HeadersType = {
        REASON: verdict.reason,
        ERROR: verdict.error[:LONGEST_ERROR],
        CONSUMER: consumer,
        FAILED_AT: at.isoformat(),
        ATTEMPT: attempts,
    }
    return _copy(message, {**_kept(message), **why, **_first(message, verdict.error)})


def revived(message: AbstractIncomingMessage) -> Message:
    """The event of a dead letter as on its first day."""
    kept = _kept(message)
    return _copy(message, {k: v for k, v in kept.items() if k == OCCURRED_AT or k not in OURS} | {ATTEMPT: 1})


def dead_letter(service: str, message: AbstractIncomingMessage) -> DeadLetter:
    """A message of the dead-letter queue, for the operator."""
    headers = message.headers
    try:
        content = envelope(message)
    except Unreadable:
        shown = message.body[:LONGEST_ERROR].decode(errors="replace")
        identity = uuid5(NAMESPACE_OID, shown)
        content = Envelope(id=identity, name=message.type or "", payload={"unreadable": shown})
    consumer = str(headers.get(CONSUMER, ""))
    return DeadLetter(
        id=letter_id(service, consumer, content.id),
        service=service,
        consumer=consumer,
        reason=str(headers.get(REASON, "")),
        error=str(headers.get(ERROR, "")),
        attempts=_number(message, ATTEMPT, 0),
        failed_at=datetime.fromisoformat(str(headers[FAILED_AT])),
        envelope=content,
    )


def _copy(message: AbstractIncomingMessage, headers: HeadersType) -> Message:
    return Message(
        message.body,
        headers=headers,
        message_id=message.message_id,
        type=message.type,
        content_type=message.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def _kept(message: AbstractIncomingMessage) -> HeadersType:
    """The headers without those of the broker and the last delay."""
    return {k: v for k, v in message.headers.items() if not k.startswith("x-") and k != DELAY}


def _first(message: AbstractIncomingMessage, error: str) -> HeadersType:
    return {FIRST_ERROR: message.headers.get(FIRST_ERROR, error[:LONGEST_ERROR])}


def _number(message: AbstractIncomingMessage, header: str, default: int) -> int:
    value = message.headers.get(header)
    return value if isinstance(value, int) else default
