"""Conclude, change or renew a subscription."""

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import Terms
from services.licensing.settle_lapse import settle_lapse
from services.licensing.tables import Subscription


async def change_subscription(session: AsyncSession, subscriber: str, terms: Terms) -> tuple[Subscription, bool]:
    """The subscription under these terms, and whether it is new. A lapse or renewal that follows is announced at once.

    Terms that allow fewer seats than are held take none away; nothing more is granted until the number fits again.
    """
    values = {
        "plan": terms.plan,
        "extra_seats": terms.extra_seats,
        "valid_until": terms.valid_until,
        "local_licence": terms.local_licence,
    }
    statement = insert(Subscription).values(subscriber=subscriber, lapsed=False, lapse_revision=0, **values)
    concluded = await session.exec(statement.on_conflict_do_nothing().returning(col(Subscription.subscriber)))
    new = concluded.first() is not None
    subscription = await session.get_one(Subscription, subscriber, with_for_update=True)
    subscription.sqlmodel_update(values)
    await settle_lapse(session, subscription, datetime.now(UTC).date())
    await session.flush()
    return subscription, new
