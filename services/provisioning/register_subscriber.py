"""Register a subscriber or give him another name."""

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Subscriber


async def register_subscriber(session: AsyncSession, code: str, name: str) -> tuple[Subscriber, bool]:
    """The subscriber, and whether he is new."""
    known = await session.get(Subscriber, code, with_for_update=True)
    subscriber = known or Subscriber(code=code, name=name)
    subscriber.name = name
    session.add(subscriber)
    await session.flush()
    return subscriber, known is None
