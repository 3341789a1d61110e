"""The bus on RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.contracts.envelope import Envelope
from shared.contracts.services import SERVICES
from shared.messaging import letters
from shared.messaging.bus import BusUnavailable
from shared.messaging.consumer import GRACE_SECONDS, RetryPolicy, Subscription
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.link import BROKER_ERRORS, Link, broken_off
from shared.messaging.rabbit_consumer import RabbitConsumer
from shared.messaging.topology import Names, declare_exchanges
from shared.runtime.database import Sessions

CONFIRM_SECONDS = 10.0
START_SECONDS = 10.0


class RabbitBus:
    """Events over a topic exchange into a quorum queue per consumer.

    `services`: all that take part. Nothing is published until each of them has declared its queues once, ever: an event
    would be lost to a service that never was there. The broker may come and go: `publish` then raises `BusUnavailable`,
    and consumers come back by themselves. `prefetch`: events a consumer handles at once.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "yurt",
        *,
        services: Collection[str] = SERVICES,
        policy: RetryPolicy | None = None,
        prefetch: int = 8,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._url = url
        self._names = Names(prefix)
        self._unseen = set(services)
        self._services = sorted(services)
        self._policy = policy or RetryPolicy()
        self._prefetch = prefetch
        self._grace = grace
        self._consumers: dict[str, RabbitConsumer] = {}
        self._publishing = Link(url, f"{prefix} publisher", self._set_up)
        self._operating = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._letters_channel: AbstractChannel | None = None

    async def start(self, service: str, sessions: Sessions, subscriptions: Sequence[Subscription[Any]]) -> None:
        """With the broker away, returns after some seconds all the same and goes on in the background."""
        if service in self._consumers:
            raise ValueError(f"{service} has started already")
        consumer = RabbitConsumer(
            self._url, self._names, service, sessions, tuple(subscriptions), self._policy, self._prefetch, self._grace
        )
        self._consumers[service] = consumer
        await asyncio.gather(self._publishing.open(START_SECONDS), consumer.start(START_SECONDS))

    async def stop(self, service: str) -> None:
        consumer = self._consumers.pop(service, None)
        if consumer is not None:
            await consumer.stop()

    async def publish(self, envelope: Envelope, attempt: int = 1) -> None:  # noqa: ARG002 - the broker counts by itself
        """Returns when the broker has confirmed that the event is in every bound queue."""
        channel = await self._ready_channel()
        await self._see_everyone()
        with _broker_errors():
            exchange = await channel.get_exchange(self._names.events, ensure=False)
            await exchange.publish(
                letters.message(envelope), routing_key=envelope.name, mandatory=False, timeout=CONFIRM_SECONDS
            )

    async def dead_letters(self) -> list[DeadLetter]:
        """While it looks, the letters are out of the queue: of two that look at the same time, each sees a part."""
        found: list[DeadLetter] = []
        async with self._operating:
            for service in self._services:
                with _broker_errors():
                    async with self._letters_of(service) as messages:
                        found += [letters.dead_letter(service, message) async for message in messages]
        return sorted(found, key=lambda letter: letter.failed_at)

    async def replay(self, letter: UUID) -> bool:
        async with self._operating:
            for service in self._services:
                with _broker_errors():
                    async with self._letters_of(service) as messages:
                        async for message in messages:
                            found = letters.dead_letter(service, message)
                            if found.id == letter:
                                await self._publish_to(self._names.queue(service, found.consumer), message)
                                await message.ack()
                                return True
        return False

    async def close(self) -> None:
        for service in list(self._consumers):
            await self.stop(service)
        await self._publishing.close()

    async def _set_up(self, connection: AbstractConnection) -> list[AbstractChannel]:
        channel = await connection.channel(on_return_raises=True)
        await declare_exchanges(channel, self._names)
        letters_channel = await connection.channel()
        self._connection, self._channel, self._letters_channel = connection, channel, letters_channel
        return [channel, letters_channel]

    async def _ready_channel(self) -> AbstractChannel:
        if not self._publishing.ready and not self._consumers:
            await self._publishing.open(START_SECONDS)
        if self._channel is None or not self._publishing.ready:
            raise BusUnavailable("no connection to the broker")
        return self._channel

    async def _see_everyone(self) -> None:
        """`BusUnavailable` until every service has been there; asked of the broker once for each."""
        if not self._unseen:
            return
        async with self._looking:
            for service in sorted(self._unseen):
                if not await self._exists(self._names.dead(service)):
                    raise BusUnavailable(f"{service} has never started on this broker")
                self._unseen.discard(service)

    async def _exists(self, queue: str) -> bool:
        assert self._connection is not None, "the link is ready"
        with _broker_errors():
            try:
                async with self._connection.channel() as channel:
                    await channel.get_queue(queue)
            except ChannelNotFoundEntity:
                return False
        return True

    @asynccontextmanager
    async def _letters_of(self, service: str) -> AsyncIterator[AsyncIterator[AbstractIncomingMessage]]:
        """The messages of the dead-letter queue, one by one; what is not acknowledged goes back at the end.

        Always on the same channel: there, and only there, the next look comes after the going back of the last.
        """
        await self._ready_channel()
        assert self._letters_channel is not None, "the link is ready"
        if not await self._exists(self._names.dead(service)):
            yield _nothing()
            return
        queue = await self._letters_channel.get_queue(self._names.dead(service), ensure=False)
        seen: list[AbstractIncomingMessage] = []

        async def read() -> AsyncIterator[AbstractIncomingMessage]:
            while (message := await queue.get(fail=False)) is not None:
                seen.append(message)
                yield message

        try:
            yield read()
        finally:
            for message in seen:
                if not message.processed:
                    await message.reject(requeue=True)

    async def _publish_to(self, queue: str, message: AbstractIncomingMessage) -> None:
        channel = await self._ready_channel()
        await channel.default_exchange.publish(
            letters.revived(message), routing_key=queue, mandatory=True, timeout=CONFIRM_SECONDS
        )


@contextmanager
def _broker_errors() -> Iterator[None]:
    """What the broker refuses or breaks off is `BusUnavailable`."""
    try:
        with broken_off():
            yield
    except BROKER_ERRORS as error:
        raise BusUnavailable(f"the broker did not do it: {type(error).__name__}") from error


async def _nothing() -> AsyncIterator[AbstractIncomingMessage]:
    return
    yield  # makes this a generator: an empty one
