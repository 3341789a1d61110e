"""Answer a requested workplace: a seat is granted or refused, once and for ever."""

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.seats import refusal
from services.licensing.settle_seats import lock_subscription
from services.licensing.tables import Seat
from shared.contracts.licensing import SeatGranted, SeatRefused
from shared.contracts.provisioning import WorkplaceRequested
from shared.messaging.outbox import record


async def grant_seat(session: AsyncSession, event: WorkplaceRequested) -> None:
    """Record SeatGranted or SeatRefused for the workplace; a repeated request gets the answer of the first.

    A workplace that has already ended gets neither. Requests of one subscriber wait for each other on the row of its
    subscription, so the seats are never oversold.
    """
    subscription = await lock_subscription(session, event.subscriber)
    now = datetime.now(UTC)
    used = await seats_held(session, event.subscriber)
    refused = refusal(subscription.terms() if subscription else None, used, now.date())
    decided = {
        "workplace": event.workplace,
        "subscriber": event.subscriber,
        "state": "refused" if refused else "held",
        "refusal_code": refused.code if refused else None,
        "refusal_text": refused.text if refused else None,
        "suspended": False,
        "changed_at": now,
    }
    await session.exec(insert(Seat).values(decided).on_conflict_do_nothing())
    await _answer(session, await session.get_one(Seat, event.workplace, with_for_update=True))


async def seats_held(session: AsyncSession, subscriber: str) -> int:
    """How many workplaces of the subscriber hold a seat."""
    statement = select(func.count()).where(col(Seat.subscriber) == subscriber, col(Seat.state) == "held")
    return (await session.exec(statement)).one()


async def _answer(session: AsyncSession, seat: Seat) -> None:
    answer = {"workplace": seat.workplace, "subscriber": seat.subscriber}
    if seat.state == "held":
        await record(session, SeatGranted.model_validate(answer))
    elif seat.state == "refused":
        refusal = {"code": seat.refusal_code, "text": seat.refusal_text}
        await record(session, SeatRefused.model_validate(answer | refusal))
