"""What time alone brings about: a subscription lapses, the grace after a reduction ends."""

from datetime import UTC, datetime

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.settle_lapse import settle_lapse
from services.licensing.settle_seats import settle_seats
from services.licensing.tables import Subscription
from shared.runtime.database import Sessions


async def settle_next(session: AsyncSession) -> bool:
    """Settle one subscription that needs it; False when there is none. Several instances may do this side by side."""
    now = datetime.now(UTC)
    today = now.date()
    over = col(Subscription.valid_until) < today
    valid = or_(col(Subscription.valid_until).is_(None), col(Subscription.valid_until) >= today)
    grace_over = col(Subscription.grace_until) <= now
    due = or_(over & ~col(Subscription.lapsed), valid & col(Subscription.lapsed), grace_over)
    statement = select(Subscription).where(due).limit(1).with_for_update(skip_locked=True)
    subscription = (await session.exec(statement)).one_or_none()
    if subscription is None:
        return False
    await settle_lapse(session, subscription, today)
    await settle_seats(session, subscription, now)
    return True


async def settle_due(sessions: Sessions) -> None:
    """Announce all that is due until now, each subscription in a transaction of its own."""
    settled = True
    while settled:
        async with sessions.begin() as session:
            settled = await settle_next(session)
