"""Register a subscriber or give him another name."""

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Subscriber


async def register_subscriber(session: AsyncSession, code: str, name: str) -> tuple[Subscriber, bool]:
    """The subscriber, and whether he is new."""
    unheard = insert(Subscriber).values(code=code, name=name).on_conflict_do_nothing()
    new = (await session.exec(unheard.returning(col(Subscriber.code)))).first() is not None
    subscriber = await session.get_one(Subscriber, code, with_for_update=True)
    subscriber.name = name
    return subscriber, new
