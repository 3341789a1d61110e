"""What stands in the broker: names and declarations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue

from shared.messaging.consumer import RetryPolicy, Subscription

DELAY = "yurt-delay"  # header that chooses the waiting queue, in milliseconds

# Giving up is decided in one place, `consumer.deliver`: the broker's own limit is put out of the way.
QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


@dataclass(frozen=True)
class Names:
    """Everything of one installation begins with `prefix`."""

    prefix: str

    @property
    def events(self) -> str:
        """Topic exchange; the routing key is the event's wire name."""
        return f"{self.prefix}.events"

    @property
    def retry(self) -> str:
        """Headers exchange; header `yurt-delay` chooses how long, the routing key is the queue to come back to."""
        return f"{self.prefix}.retry"

    def queue(self, service: str, consumer: str) -> str:
        return f"{self.prefix}.{service}.{consumer}"

    def dead(self, service: str) -> str:
        return f"{self.prefix}.{service}.dead"

    def waiting(self, delay: float) -> str:
        return f"{self.retry}.{milliseconds(delay)}"


def milliseconds(delay: float) -> int:
    return round(delay * 1000)


async def declare_exchanges(channel: AbstractChannel, names: Names) -> None:
    """Afterwards events can be published."""
    await channel.declare_exchange(names.events, ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(names.retry, ExchangeType.HEADERS, durable=True)


async def declare_service(
    channel: AbstractChannel,
    names: Names,
    service: str,
    subscriptions: Sequence[Subscription[Any]],
    policy: RetryPolicy,
) -> Mapping[str, AbstractQueue]:
    """The queue of each consumer, bound to its events. The dead-letter queue comes last: it says that all is there."""
    await declare_exchanges(channel, names)
    await _declare_waiting(channel, names, policy)
    wire_names = defaultdict(set)
    for subscription in subscriptions:
        wire_names[subscription.consumer].add(subscription.event.wire_name)
    queues = {}
    for consumer, bound in wire_names.items():
        queue = await channel.declare_queue(names.queue(service, consumer), durable=True, arguments=QUORUM)
        for name in bound:
            await queue.bind(names.events, routing_key=name)
        queues[consumer] = queue
    await channel.declare_queue(names.dead(service), durable=True, arguments=QUORUM)
    return queues


async def _declare_waiting(channel: AbstractChannel, names: Names, policy: RetryPolicy) -> None:
    """A queue per delay that nobody reads: what expires in it goes back by its own routing key to its work queue."""
    for delay in set(policy.delays):
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-message-ttl": milliseconds(delay),
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        queue = await channel.declare_queue(names.waiting(delay), durable=True, arguments=arguments)
        await queue.bind(names.retry, arguments={"x-match": "all", DELAY: milliseconds(delay)})
