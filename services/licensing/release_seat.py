"""Take back the seat of a workplace that ended."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing.settle_seats import lock_subscription, settle_seats
from services.licensing.tables import Seat
from shared.contracts.licensing import SeatReleased
from shared.contracts.provisioning import WorkplaceEnded
from shared.messaging.outbox import record


async def on_workplace_ended(session: AsyncSession, event: WorkplaceEnded) -> None:
    """However a workplace ended, its seat comes back."""
    await release_seat(session, event.subscriber, event.workplace)


async def release_seat(session: AsyncSession, subscriber: str, workplace: UUID) -> None:
    """After this the workplace holds no seat and never gets one, whatever comes first or twice.

    SeatReleased is recorded if it held one; a workplace that a reduction suspended and that fits now is restored.
    """
    subscription = await lock_subscription(session, subscriber)
    now = datetime.now(UTC)
    tombstone = {"workplace": workplace, "subscriber": subscriber, "state": "released", "changed_at": now}
    await session.exec(insert(Seat).values(suspended=False, **tombstone).on_conflict_do_nothing())
    seat = await session.get_one(Seat, workplace, with_for_update=True)
    if seat.state == "held":
        await record(session, SeatReleased(workplace=seat.workplace, subscriber=seat.subscriber))
    if seat.state != "released":
        seat.state, seat.suspended, seat.reduced, seat.changed_at = "released", False, None, now
    if subscription is not None:
        await settle_seats(session, subscription, now)
