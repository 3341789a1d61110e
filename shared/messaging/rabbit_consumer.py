"""The consumers of one service on RabbitMQ."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import DeliveryError

from shared.messaging import letters
from shared.messaging.consumer import Dead, Done, Retry, RetryPolicy, Subscription, Verdict, deliver
from shared.messaging.link import BROKER_ERRORS, Link, broken_off
from shared.messaging.topology import Names, declare_service
from shared.runtime.database import Sessions

CONFIRM_SECONDS = 10.0

_log = logging.getLogger(__name__)


class RabbitConsumer:
    """Takes events from the queues of a service and settles each as the verdict says, after the commit."""

    def __init__(
        self,
        url: str,
        names: Names,
        service: str,
        sessions: Sessions,
        subscriptions: Sequence[Subscription[Any]],
        policy: RetryPolicy,
        prefetch: int,
        grace: float,
    ) -> None:
        self._names = names
        self._service = service
        self._sessions = sessions
        self._subscriptions = subscriptions
        self._policy = policy
        self._prefetch = prefetch
        self._grace = grace
        self._link = Link(url, f"{names.prefix} {service}", self._set_up)
        self._tags: list[tuple[AbstractQueue, str]] = []
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self, patience: float) -> None:
        """Events arrive from now on, or as soon as there is a broker."""
        await self._link.open(patience)

    async def stop(self) -> None:
        """No new event is taken; those under way get some seconds. What is not settled then comes again."""
        if self._link.ready:
            for queue, tag in self._tags:
                try:
                    with broken_off():
                        await queue.cancel(tag)
                except BROKER_ERRORS as error:
                    _log.info("%s: %s was gone already (%s)", self._service, queue.name, type(error).__name__)
        if self._running:
            await asyncio.wait(self._running, timeout=self._grace)
        running = set(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._link.close()

    async def _set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        declaring = await connection.channel()
        queues = await declare_service(declaring, self._names, self._service, self._subscriptions, self._policy)
        self._tags.clear()
        channels = [declaring]
        for consumer, declared in queues.items():
            channel = await connection.channel(on_return_raises=True)
            await channel.set_qos(prefetch_count=self._prefetch)
            queue = await channel.get_queue(declared.name, ensure=False)
            self._tags.append((queue, await queue.consume(self._taker(consumer, channel))))
            channels.append(channel)
        return channels

    def _taker(self, consumer: str, channel: AbstractChannel) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
        async def take(message: AbstractIncomingMessage) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            try:
                with broken_off():
                    await self._settle(consumer, channel, message, await self._verdict(consumer, message))
            except BROKER_ERRORS as error:
                # Not acknowledged: it comes again, and the inbox knows whether its effect is there.
                _log.warning("%s/%s: not settled (%s)", self._service, consumer, type(error).__name__)
                if isinstance(error, DeliveryError):
                    await channel.close()  # the broker refused the copy; a fresh start gives the message back
            finally:
                self._running.discard(task)

        return take

    async def _verdict(self, consumer: str, message: AbstractIncomingMessage) -> Verdict:
        try:
            envelope = letters.envelope(message)
        except letters.Unreadable as error:
            return Dead("permanent", f"not an event of ours: {error}")
        for subscription in self._subscriptions:
            if (subscription.consumer, subscription.event.wire_name) == (consumer, envelope.name):
                attempt = letters.attempt(message)
                return await deliver(
                    envelope,
                    subscription,
                    self._sessions,
                    service=self._service,
                    attempt=attempt,
                    policy=self._policy,
                )
        return Dead("permanent", f"{consumer} takes no {envelope.name}")

    async def _settle(
        self, consumer: str, channel: AbstractChannel, message: AbstractIncomingMessage, verdict: Verdict
    ) -> None:
        attempt = letters.attempt(message)
        match verdict:
            case Retry(delay, error, counted):
                copy = letters.again(message, delay, error, attempt + 1 if counted else attempt)
                retry = await channel.get_exchange(self._names.retry, ensure=False)
                key = self._names.queue(self._service, consumer)
                await retry.publish(copy, key, mandatory=True, timeout=CONFIRM_SECONDS)
            case Dead() as dead:
                copy = letters.dead(message, consumer, dead, attempt, datetime.now(UTC))
                key = self._names.dead(self._service)
                await channel.default_exchange.publish(copy, key, mandatory=True, timeout=CONFIRM_SECONDS)
            case Done():
                pass
        await message.ack()
