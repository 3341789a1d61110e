"""Conclude, change or renew a subscription."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import Terms, entitled, grace_after_change
from services.licensing.settle_lapse import settle_lapse
from services.licensing.settle_seats import held_seats, settle_seats
from services.licensing.tables import Subscription


async def change_subscription(
    session: AsyncSession, subscriber: str, terms: Terms, grace: timedelta
) -> tuple[Subscription, bool]:
    """The subscription under these terms, and whether it is new. A lapse or renewal that follows is announced at once.

    Terms that allow fewer seats than are held, or a local licence withdrawn, take none away: all goes on for `grace`,
    then the newest workplaces are suspended until the number fits (`settle_seats`). Nothing more is granted until then.
    """
    values = {
        "plan": terms.plan,
        "extra_seats": terms.extra_seats,
        "valid_until": terms.valid_until,
        "local_licence": terms.local_licence,
    }
    statement = insert(Subscription).values(
        subscriber=subscriber, lapsed=False, lapse_revision=0, seats_revision=0, **values
    )
    concluded = await session.exec(statement.on_conflict_do_nothing().returning(col(Subscription.subscriber)))
    new = concluded.first() is not None
    subscription = await session.get_one(Subscription, subscriber, with_for_update=True)
    before = entitled(subscription.terms())
    subscription.sqlmodel_update(values)
    now = datetime.now(UTC)
    working = sum(seat.reduced is None for seat in await held_seats(session, subscriber))
    until = grace_after_change(before, entitled(terms), working, subscription.grace_until, now, grace)
    subscription.grace_until = until
    await settle_lapse(session, subscription, now.date())
    await settle_seats(session, subscription, now)
    await session.flush()
    return subscription, new
