"""Receiving what changed at the service (protocol.md, Pull)."""

from collections.abc import Callable

from workplace.engine import apply, spool
from workplace.engine.apply import Received, Schema
from workplace.engine.replica import Replica
from workplace.engine.service import Service

Progress = Callable[[str, int, int], None]


def pull(
    replica: Replica,
    service: Service,
    exchange: str,
    *,
    digests: str | None,
    schema: Schema | None,
    last_message: int,
    progress: Progress,
) -> tuple[Received, dict[str, dict[str, object]] | None]:
    """Downloads, proves and applies the delta behind the stored position. Returns what came, and the stated digests.

    Killed at any moment, the replica stands at the old position or at the new one.
    """
    query = {"after": str(replica.get("position"))} | ({"digests": digests} if digests else {})
    progress("download", 0, 0)
    delta = spool.fetch(service, exchange, query, replica.path.resolve().parent, progress)
    try:
        received = apply.apply(replica, delta, schema=schema, last_message=last_message, progress=progress)
        return received, delta.tail.get("digests")
    finally:
        delta.close()
