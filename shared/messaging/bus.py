"""The bus as services see it, and the one that needs no broker."""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from shared.contracts.envelope import Envelope
from shared.contracts.services import SERVICES
from shared.messaging.consumer import GRACE_SECONDS, Dead, Done, Retry, RetryPolicy, Subscription, Verdict, deliver
from shared.messaging.dead_letters import DeadLetter, DeadLetterTable, dead_letter, letter_id
from shared.runtime.database import Sessions


class BusUnavailable(Exception):
    """The bus takes nothing now; no event is to blame."""


class NotDelivered(Exception):
    """The event is to be published again after `delay` seconds; `counted`: as the next attempt, else as the same."""

    def __init__(self, delay: float, error: str, *, counted: bool) -> None:
        super().__init__(error)
        self.delay = delay
        self.counted = counted


class Bus(Protocol):
    """Carries events from outboxes to subscribers: at least once each, in no particular order."""

    async def start(self, service: str, sessions: Sessions, subscriptions: Sequence[Subscription[Any]]) -> None:
        """Events begin to arrive at the service's handlers. Once per service; its migrations have run."""

    async def stop(self, service: str) -> None:
        """No handler of the service runs afterwards; its events wait. What was cut off comes again.

        Call it before the engine is disposed of.
        """

    async def publish(self, envelope: Envelope, attempt: int = 1) -> None:
        """Returns when the event cannot be lost any more, for any subscriber. `attempt` counts from 1.

        Raises `BusUnavailable` or `NotDelivered`; then the event is to be published again, whole. An event
        nobody subscribes to is simply done.
        """

    async def dead_letters(self) -> list[DeadLetter]:
        """What the consumers of all services gave up, oldest first. `BusUnavailable` when it cannot be asked now."""

    async def replay(self, letter: UUID) -> bool:
        """The event goes to the consumer that gave it up, and to no other. False: there is no such letter.

        If that fails again, it comes back to the dead letters. `BusUnavailable`: nothing happened.
        """

    async def close(self) -> None:
        """Stops every service and ends the connections."""


class InProcessBus:
    """Hands events straight from the outbox to the handlers of the services in this process. The outbox is the queue.

    `services`: all that take part. Until each of them has started, and after one has stopped, nothing is published: an
    event must not count as done while a subscriber is not there yet.
    """

    def __init__(
        self, services: Collection[str] = SERVICES, policy: RetryPolicy | None = None, grace: float = GRACE_SECONDS
    ) -> None:
        self._expected = frozenset(services)
        self._policy = policy or RetryPolicy()
        self._grace = grace
        self._started: dict[str, _Started] = {}

    async def start(self, service: str, sessions: Sessions, subscriptions: Sequence[Subscription[Any]]) -> None:
        if service not in self._expected:
            raise ValueError(f"{service} does not take part in this bus: {sorted(self._expected)}")
        self._started[service] = _Started(service, sessions, tuple(subscriptions), DeadLetterTable(sessions))

    async def stop(self, service: str) -> None:
        started = self._started.pop(service, None)
        if started is not None and started.running:
            _, still_running = await asyncio.wait(started.running, timeout=self._grace)
            for delivery in still_running:
                delivery.cancel()
            await asyncio.gather(*still_running, return_exceptions=True)

    async def publish(self, envelope: Envelope, attempt: int = 1) -> None:
        missing = self._expected - self._started.keys()
        if missing:
            raise BusUnavailable(f"waiting for {', '.join(sorted(missing))}")
        deliveries = [
            started.track(self._hand_over(started, subscription, envelope, attempt))
            for started in self._started.values()
            for subscription in started.subscriptions
            if subscription.event.wire_name == envelope.name
        ]
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        failures = [result for result in results if result is not None]
        retries = [failure for failure in failures if isinstance(failure, NotDelivered)]
        for failure in failures:
            if isinstance(failure, asyncio.CancelledError):
                raise BusUnavailable("a subscriber stopped in the middle")
            if not isinstance(failure, NotDelivered):
                raise failure
        if retries:
            raise max(retries, key=lambda retry: (retry.counted, retry.delay))

    async def dead_letters(self) -> list[DeadLetter]:
        letters = [letter for started in self._started.values() for letter in await started.letters.all()]
        return sorted(letters, key=lambda letter: letter.failed_at)

    async def replay(self, letter: UUID) -> bool:
        for started in self._started.values():
            found = await started.letters.get(letter)
            if found is None:
                continue
            subscription = started.subscription(found.consumer, found.envelope.name)
            if subscription is None:
                continue
            match await self._deliver(started, subscription, found.envelope, attempt=1):
                case Done():
                    await started.letters.remove(letter)
                case Retry(error=error) | Dead(error=error):
                    again = {"error": error, "attempts": found.attempts + 1, "failed_at": datetime.now(UTC)}
                    await started.letters.lay_aside(found.model_copy(update=again))
            return True
        return False

    async def close(self) -> None:
        for service in list(self._started):
            await self.stop(service)

    async def _hand_over(
        self, started: "_Started", subscription: Subscription[Any], envelope: Envelope, attempt: int
    ) -> None:
        letter = letter_id(started.service, subscription.consumer, envelope.id)
        if attempt > 1 and await started.letters.get(letter) is not None:
            return  # given up before; the event comes again because of another subscriber
        match await self._deliver(started, subscription, envelope, attempt):
            case Retry(delay, error, counted):
                raise NotDelivered(delay, error, counted=counted)
            case Dead() as dead:
                await started.letters.lay_aside(
                    dead_letter(started.service, subscription.consumer, envelope, dead, attempt)
                )

    async def _deliver(
        self, started: "_Started", subscription: Subscription[Any], envelope: Envelope, attempt: int
    ) -> Verdict:
        return await deliver(
            envelope, subscription, started.sessions, service=started.service, attempt=attempt, policy=self._policy
        )


@dataclass(frozen=True)
class _Started:
    service: str
    sessions: Sessions
    subscriptions: Sequence[Subscription[Any]]
    letters: DeadLetterTable
    running: set[asyncio.Task[None]] = field(default_factory=set)

    def track(self, delivery: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(delivery)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    def subscription(self, consumer: str, name: str) -> Subscription[Any] | None:
        matching = (s for s in self.subscriptions if (s.consumer, s.event.wire_name) == (consumer, name))
        return next(matching, None)
