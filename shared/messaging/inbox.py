"""What a consumer has had: the effect of an event happens once, however often the event comes."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

RETENTION = timedelta(days=30)

ENTER = text("""
    INSERT INTO inbox (consumer, event_id) VALUES (:consumer, :event_id) ON CONFLICT DO NOTHING RETURNING event_id
""")
FORGET = text("DELETE FROM inbox WHERE handled_at < now() - :retention")


async def enter(session: AsyncSession, consumer: str, event_id: UUID) -> bool:
    """True when the event is new to the consumer; from the commit on it is not.

    A second delivery at the same time waits here for the first to commit or roll back.
    """
    connection = await session.connection()
    entered = await connection.execute(ENTER, {"consumer": consumer, "event_id": event_id})
    return entered.one_or_none() is not None


async def forget_old(engine: AsyncEngine, retention: timedelta = RETENTION) -> int:
    """Deletes entries older than any redelivery can be; how many."""
    async with engine.begin() as connection:
        return (await connection.execute(FORGET, {"retention": retention})).rowcount
