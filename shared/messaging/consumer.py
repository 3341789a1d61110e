"""How an event is taken: one transaction per event, and one decision about what becomes of it.

Every bus asks `deliver` and does what the verdict says: done → the event leaves, retry → it comes again later, dead →
it is laid aside with its reason. A cancellation passes through and settles nothing, so the event comes again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from opentelemetry.trace import SpanKind
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.contracts.envelope import Envelope, Event
from shared.messaging import inbox
from shared.runtime import telemetry
from shared.runtime.database import Sessions

E = TypeVar("E", bound=Event)

_log = logging.getLogger(__name__)


class Permanent(Exception):
    """Raised by a handler: trying again cannot help. The text is for the operator who finds the dead letter."""


@dataclass(frozen=True)
class Subscription(Generic[E]):
    """`handler` works in the transaction of the inbox entry and neither commits nor calls anybody.

    `consumer` names the effect (`grant_seat`), stands in inbox and queue names, and is unique in its service; the same
    consumer may take several kinds of events.
    """

    consumer: str
    event: type[E]
    handler: Callable[[AsyncSession, E], Awaitable[None]]


@dataclass(frozen=True)
class RetryPolicy:
    """`delays`: seconds before the second, third, … attempt, at least one. After the last attempt the event is dead."""

    delays: tuple[float, ...] = (1, 4, 16, 64, 256, 300)

    def __post_init__(self) -> None:
        if not self.delays:
            raise ValueError("at least one delay is needed")

    @property
    def attempts(self) -> int:
        return len(self.delays) + 1

    @property
    def while_away(self) -> float:
        """Seconds between attempts that do not count, while a database is away."""
        return self.delays[:2][-1]


# So long handlers may go on when their service stops; then they are cancelled, and their events come again.
GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Done:
    """The effect is committed, now or already before."""

    outcome: Literal["done", "duplicate"]


@dataclass(frozen=True)
class Retry:
    """To be delivered again after `delay` seconds. Not `counted`: the database was away, the event is not to blame."""

    delay: float
    error: str
    counted: bool = True


@dataclass(frozen=True)
class Dead:
    """To be laid aside for a person."""

    reason: Literal["permanent", "exhausted"]
    error: str


Verdict = Done | Retry | Dead


async def consume(
    envelope: Envelope, subscription: Subscription[Any], sessions: Sessions
) -> Literal["done", "duplicate"]:
    """Handler and inbox entry commit together, or neither: then whatever the handler raised is raised."""
    async with sessions() as session, session.begin():
        if not await inbox.enter(session, subscription.consumer, envelope.id):
            return "duplicate"
        try:
            event = subscription.event.model_validate(envelope.payload)
        except ValidationError as error:
            raise Permanent(f"the payload is not a {envelope.name}: {_places(error)}") from error
        await subscription.handler(session, event)
    return "done"


async def deliver(
    envelope: Envelope,
    subscription: Subscription[Any],
    sessions: Sessions,
    *,
    service: str,
    attempt: int,
    policy: RetryPolicy,
) -> Verdict:
    """The one acknowledgement policy. `attempt` counts from 1, deliveries that ended with the process included."""
    if attempt > policy.attempts:
        return Dead("exhausted", "every attempt ended before it could say why (the process died?)")
    attributes: dict[str, str | int] = {
        "messaging.message.id": str(envelope.id),
        "messaging.destination.name": envelope.name,
        "messaging.consumer.group.name": subscription.consumer,
        "yurt.attempt": attempt,
    }
    name = f"{subscription.consumer} {envelope.name}"
    with telemetry.continued(service, name, SpanKind.CONSUMER, envelope.headers, attributes) as span:
        try:
            return Done(await consume(envelope, subscription, sessions))
        except Permanent as error:
            telemetry.mark_failed(span, error)
            _log.error(
                "%s/%s: %s %s is permanent: %s", service, subscription.consumer, envelope.name, envelope.id, error
            )
            return Dead("permanent", str(error))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is answered by the policy
            telemetry.mark_failed(span, error)
            text = f"{type(error).__qualname__}: {error}"
            if _database_is_away(error):
                _log.warning("%s/%s: the database is away, %s waits", service, subscription.consumer, envelope.id)
                return Retry(policy.while_away, text, counted=False)
            _log.exception(
                "%s/%s: attempt %s of %s %s failed", service, subscription.consumer, attempt, envelope.name, envelope.id
            )
            if attempt == policy.attempts:
                return Dead("exhausted", text)
            return Retry(policy.delays[attempt - 1], text)


def _database_is_away(error: Exception) -> bool:
    """A lost or refused connection: SQLSTATE 08, 53 or 57P, an operational error without any, or none free in time."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, ConnectionError | NoneFree)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or isinstance(error, OperationalError)
    return str(state).startswith(("08", "53", "57P"))


def _places(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
