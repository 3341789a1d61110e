"""A lapse suspends workplaces of a subscriber, a renewal resumes exactly those; so do a reduction and a restoration.

Each is a cause by itself: a workplace works when none is left.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.states import OVER
from services.provisioning.suspend_workplace import halt, proceed
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import tell
from shared.contracts.licensing import SeatsReduced, SeatsRestored, SubscriptionLapsed, SubscriptionRenewed


async def suspend_lapsed(session: AsyncSession, event: SubscriptionLapsed) -> None:
    """Suspend those that work; those under way are suspended as soon as they are ready."""
    for workplace in await _not_yet_told_of_validity(session, event):
        workplace.suspended_by_lapse = True
        if halt(workplace) or workplace.state == "suspended":
            await tell(session, workplace)


async def resume_renewed(session: AsyncSession, event: SubscriptionRenewed) -> None:
    """Resume those that the lapse suspended, unless another cause holds on."""
    for workplace in await _not_yet_told_of_validity(session, event):
        was_suspended = workplace.state == "suspended" and workplace.suspended_by_lapse
        workplace.suspended_by_lapse = False
        if was_suspended:
            proceed(workplace)
            await tell(session, workplace)


async def suspend_reduced(session: AsyncSession, event: SeatsReduced) -> None:
    """As `suspend_lapsed`, remembering what is lacking; one suspended for another lack waits for this one now."""
    for workplace in await _not_yet_told_of_seats(session, event):
        workplace.suspended_by_reduction = event.code
        if halt(workplace) or workplace.state == "suspended":
            await tell(session, workplace)


async def resume_restored(session: AsyncSession, event: SeatsRestored) -> None:
    """Resume those that the reduction suspended, unless another cause holds on."""
    for workplace in await _not_yet_told_of_seats(session, event):
        was_suspended = workplace.state == "suspended" and workplace.suspended_by_reduction is not None
        workplace.suspended_by_reduction = None
        if was_suspended:
            proceed(workplace)
            await tell(session, workplace)


async def _not_yet_told_of_validity(
    session: AsyncSession, event: SubscriptionLapsed | SubscriptionRenewed
) -> Sequence[Workplace]:
    """The living workplaces of the event that have heard of nothing newer: of a lapse and a renewal the later holds."""
    unheard = or_(col(Workplace.lapse_revision) < event.revision, event.revision == 0)
    workplaces = await _living(session, event.subscriber, event.workplaces, unheard)
    for workplace in workplaces:
        workplace.lapse_revision = event.revision
    return workplaces


async def _not_yet_told_of_seats(session: AsyncSession, event: SeatsReduced | SeatsRestored) -> Sequence[Workplace]:
    """The same for a reduction and a restoration."""
    unheard = col(Workplace.seats_revision) < event.revision
    workplaces = await _living(session, event.subscriber, event.workplaces, unheard)
    for workplace in workplaces:
        workplace.seats_revision = event.revision
    return workplaces


async def _living(
    session: AsyncSession, subscriber: str, mentioned: list[UUID], unheard: ColumnElement[bool]
) -> Sequence[Workplace]:
    statement = (
        select(Workplace)
        .where(col(Workplace.subscriber) == subscriber, col(Workplace.id).in_(mentioned))
        .where(col(Workplace.state).not_in(OVER), unheard)
        .order_by(col(Workplace.id))
        .with_for_update()
    )
    return (await session.exec(statement)).all()
