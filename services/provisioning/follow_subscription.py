"""A lapse suspends the workplaces of a subscriber, a renewal resumes exactly those."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.states import OVER
from services.provisioning.suspend_workplace import halt, proceed
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import tell
from shared.contracts.licensing import SubscriptionLapsed, SubscriptionRenewed


async def suspend_lapsed(session: AsyncSession, event: SubscriptionLapsed) -> None:
    """Suspend those that work; those under way are suspended as soon as they are ready."""
    for workplace in await _not_yet_told(session, event):
        workplace.suspended_by_lapse = True
        if halt(workplace) or workplace.state == "suspended":
            await tell(session, workplace)


async def resume_renewed(session: AsyncSession, event: SubscriptionRenewed) -> None:
    """Resume those that the lapse suspended; an administrator's suspension holds on."""
    for workplace in await _not_yet_told(session, event):
        was_suspended = workplace.state == "suspended" and workplace.suspended_by_lapse
        workplace.suspended_by_lapse = False
        if was_suspended:
            proceed(workplace)
            await tell(session, workplace)


async def _not_yet_told(session: AsyncSession, event: SubscriptionLapsed | SubscriptionRenewed) -> Sequence[Workplace]:
    """The living workplaces of the event that have heard of nothing newer: of a lapse and a renewal the later holds."""
    mentioned: list[UUID] = event.workplaces
    statement = (
        select(Workplace)
        .where(col(Workplace.subscriber) == event.subscriber, col(Workplace.id).in_(mentioned))
        .where(col(Workplace.state).not_in(OVER))
        .where(or_(col(Workplace.lapse_revision) < event.revision, event.revision == 0))
        .order_by(col(Workplace.id))
        .with_for_update()
    )
    workplaces = (await session.exec(statement)).all()
    for workplace in workplaces:
        workplace.lapse_revision = event.revision
    return workplaces
