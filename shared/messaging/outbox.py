"""An event is a row in the transaction that makes it true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.contracts.envelope import Envelope, Event
from shared.runtime import telemetry

CHANNEL = "yurt_outbox"

RECORD = text(f"""
    WITH recorded AS (
        INSERT INTO outbox (id, name, occurred_at, headers, payload)
        VALUES (:id, :name, :occurred_at, :headers, :payload)
        RETURNING id
    )
    SELECT pg_notify('{CHANNEL}', '') FROM recorded
""").bindparams(bindparam("headers", type_=JSONB), bindparam("payload", type_=JSONB))

CLAIM = text("""
    UPDATE outbox SET due_at = now() + :lease, attempts = attempts + 1
    WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE due_at <= now() ORDER BY due_at LIMIT :count FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, name, occurred_at, headers, payload, attempts
""")

EXTEND = text("UPDATE outbox SET due_at = now() + :lease WHERE id = ANY (:ids)")
FORGET = text("DELETE FROM outbox WHERE id = ANY (:ids)")
POSTPONE = text("""
    UPDATE outbox SET due_at = now() + after.delay, attempts = greatest(attempts - after.uncounted, 0)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:delays AS interval[]), CAST(:uncounted AS integer[]))
         AS after (id, delay, uncounted)
    WHERE outbox.id = after.id
""")
NEXT_DUE = text("SELECT min(due_at) - clock_timestamp() FROM outbox")


async def record(session: AsyncSession, event: Event) -> UUID:
    """The event's id. It is published after the session's transaction commits, and never if it does not.

    The trace context of the caller goes along.
    """
    envelope = Envelope(name=event.wire_name, headers=telemetry.inject(), payload=event.model_dump(mode="json"))
    connection = await session.connection()
    await connection.execute(
        RECORD,
        {
            "id": envelope.id,
            "name": envelope.name,
            "occurred_at": envelope.occurred_at,
            "headers": dict(envelope.headers),
            "payload": envelope.payload,
        },
    )
    return envelope.id


@dataclass(frozen=True)
class Claimed:
    """A row that is ours until its lease ends. `attempt` counts from 1 and includes this one."""

    envelope: Envelope
    attempt: int


@dataclass(frozen=True)
class Postponed:
    """A row to be tried again after `delay`. Not `counted`: as if not tried; `bus_away`: there was no bus."""

    id: UUID
    delay: timedelta
    counted: bool
    bus_away: bool = False


class Outbox:
    """The outbox of one database, as a relay sees it. Each call is a short transaction of its own."""

    def __init__(self, engine: AsyncEngine, lease: timedelta) -> None:
        self._engine = engine
        self._lease = lease

    async def claim(self, count: int) -> list[Claimed]:
        """At most `count` due rows, oldest first, none of which another relay holds."""
        async with self._engine.begin() as connection:
            rows = (await connection.execute(CLAIM, {"lease": self._lease, "count": count})).mappings().all()
        return [Claimed(Envelope.model_validate(row), row["attempts"]) for row in rows]

    async def settle(self, published: Sequence[UUID], postponed: Sequence[Postponed]) -> None:
        """The published rows are gone, the postponed ones due later."""
        async with self._engine.begin() as connection:
            if published:
                await connection.execute(FORGET, {"ids": list(published)})
            if postponed:
                await connection.execute(POSTPONE, _columns(postponed))

    async def extend(self, held: Sequence[UUID]) -> None:
        """The leases of these rows begin anew."""
        async with self._engine.begin() as connection:
            await connection.execute(EXTEND, {"lease": self._lease, "ids": list(held)})

    async def next_due(self) -> timedelta | None:
        """How long until the earliest row is due (negative: since when it is); None when the outbox is empty."""
        async with self._engine.connect() as connection:
            due: timedelta | None = (await connection.execute(NEXT_DUE)).scalar_one()
        return due


def _columns(postponed: Sequence[Postponed]) -> Mapping[str, Sequence[object]]:
    return {
        "ids": [row.id for row in postponed],
        "delays": [row.delay for row in postponed],
        "uncounted": [0 if row.counted else 1 for row in postponed],
    }
