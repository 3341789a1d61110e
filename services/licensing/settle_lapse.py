"""Announce that a subscription lapsed or was renewed."""

from datetime import UTC, date, datetime

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import lapsed
from services.licensing.tables import Seat, Subscription
from shared.contracts.licensing import SubscriptionLapsed, SubscriptionRenewed
from shared.messaging.outbox import record
from shared.runtime.database import Sessions


async def settle_lapse(session: AsyncSession, subscription: Subscription, today: date) -> None:
    """Bring the announced state of the locked subscription in line with its validity.

    A lapse names all workplaces that hold its seats, a renewal those of them that this lapse suspended and that still
    hold one.
    """
    over = lapsed(subscription.terms(), today)
    if over == subscription.lapsed:
        return
    statement = (
        select(Seat)
        .where(col(Seat.subscriber) == subscription.subscriber, col(Seat.state) == "held", col(Seat.suspended) != over)
        .order_by(col(Seat.workplace))
        .with_for_update()
    )
    seats = (await session.exec(statement)).all()
    for seat in seats:
        seat.suspended = over
    subscription.lapsed = over
    subscription.lapse_revision += 1
    announce = SubscriptionLapsed if over else SubscriptionRenewed
    workplaces = [seat.workplace for seat in seats]
    revision = subscription.lapse_revision
    await record(session, announce(subscriber=subscription.subscriber, workplaces=workplaces, revision=revision))


async def settle_next_lapse(session: AsyncSession) -> bool:
    """Settle one subscription that needs it; False when there is none. Several instances may do this side by side."""
    today = datetime.now(UTC).date()
    over = col(Subscription.valid_until) < today
    valid = or_(col(Subscription.valid_until).is_(None), col(Subscription.valid_until) >= today)
    due = or_(over & ~col(Subscription.lapsed), valid & col(Subscription.lapsed))
    statement = select(Subscription).where(due).limit(1).with_for_update(skip_locked=True)
    subscription = (await session.exec(statement)).one_or_none()
    if subscription is None:
        return False
    await settle_lapse(session, subscription, today)
    return True


async def settle_lapses(sessions: Sessions) -> None:
    """Announce every lapse and renewal until now, each subscription in a transaction of its own."""
    settled = True
    while settled:
        async with sessions.begin() as session:
            settled = await settle_next_lapse(session)
