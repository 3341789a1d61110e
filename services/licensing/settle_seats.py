"""Suspend what a reduction leaves no seat for once the grace is over, resume what fits again."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import entitled, reduction_code, restorable, surplus
from services.licensing.tables import Seat, Subscription
from shared.contracts.licensing import SeatsReduced, SeatsRestored
from shared.messaging.outbox import record


async def lock_subscription(session: AsyncSession, subscriber: str) -> Subscription | None:
    """The subscription; until the transaction ends nobody else grants, releases or settles its seats."""
    statement = select(Subscription).where(col(Subscription.subscriber) == subscriber).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def held_seats(session: AsyncSession, subscriber: str) -> Sequence[Seat]:
    """The held seats of a locked subscription, the one granted first first."""
    statement = select(Seat).where(col(Seat.subscriber) == subscriber, col(Seat.state) == "held")
    return (await session.exec(statement.order_by(col(Seat.changed_at), col(Seat.workplace)))).all()


async def settle_seats(session: AsyncSession, subscription: Subscription, now: datetime) -> None:
    """Bring the seats of the locked subscription in line with its terms.

    Of those that work the newest beyond the terms are reduced when the grace is over, of the reduced the oldest that
    fit are restored, and the others are told when what they wait for is another thing than before. Without a
    difference nothing is recorded.
    """
    terms = subscription.terms()
    held = await held_seats(session, subscription.subscriber)
    working = [seat for seat in held if seat.reduced is None]
    reduced = [seat for seat in held if seat.reduced is not None]
    fitting = restorable(len(working), len(reduced), entitled(terms))
    code = reduction_code(terms)
    beyond = surplus(len(working), entitled(terms), subscription.grace_until, now)
    told = [seat for seat in reduced[fitting:] if seat.reduced != code] + working[len(working) - beyond :]
    if len(working) - beyond <= entitled(terms):
        subscription.grace_until = None
    for seat in reduced[:fitting]:
        seat.reduced = None
    for seat in told:
        seat.reduced = code
    subscriber = subscription.subscriber
    if fitting:
        subscription.seats_revision += 1
        restored = [seat.workplace for seat in reduced[:fitting]]
        revision = subscription.seats_revision
        await record(session, SeatsRestored(subscriber=subscriber, workplaces=restored, revision=revision))
    if told:
        subscription.seats_revision += 1
        lost = [seat.workplace for seat in told]
        revision = subscription.seats_revision
        await record(session, SeatsReduced(subscriber=subscriber, workplaces=lost, code=code, revision=revision))
