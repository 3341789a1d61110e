"""Announce that a subscription lapsed or was renewed."""

from datetime import date

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import lapsed
from services.licensing.tables import Seat, Subscription
from shared.contracts.licensing import SubscriptionLapsed, SubscriptionRenewed
from shared.messaging.outbox import record


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
