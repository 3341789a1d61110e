"""An administrator stops a workplace for a while and lets it go on.

A lapse and a reduction of seats are remembered apart: see `follow_subscription`.
"""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.states import USABLE
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import lock, move, move_or_refuse, tell, wrong_state
from shared.contracts.provisioning import WorkplaceChanged


async def suspend_workplace(session: AsyncSession, workplace_id: UUID) -> WorkplaceChanged:
    """The suspended workplace; no renewal resumes it. Problems: `not_found`, `wrong_state`, `workplace_deleted`."""
    workplace = await lock(session, workplace_id)
    if workplace.suspended_by_administrator or not (halt(workplace) or workplace.state == "suspended"):
        raise wrong_state(workplace)
    workplace.suspended_by_administrator = True
    return await tell(session, workplace)


async def resume_workplace(session: AsyncSession, workplace_id: UUID) -> WorkplaceChanged:
    """Undo `suspend_workplace`: the state it had, or still suspended when its subscription lapsed or shrank.

    Problems: `not_found`, `workplace_deleted`, `wrong_state`, also where only the subscription suspends it.
    """
    workplace = await lock(session, workplace_id)
    if not workplace.suspended_by_administrator:
        raise wrong_state(workplace)
    workplace.suspended_by_administrator = False
    proceed(workplace)
    return await tell(session, workplace)


def halt(workplace: Workplace) -> bool:
    """Suspend a ready or active workplace, remembering which it was; False where it was neither."""
    if workplace.state not in USABLE:
        return False
    workplace.resumes_to = "active" if workplace.state == "active" else "ready"
    return move(workplace, "suspend")


def proceed(workplace: Workplace) -> None:
    """Resume a suspended workplace to the state it had, unless something still suspends it."""
    if workplace.held_up():
        return
    move_or_refuse(workplace, "resume_active" if workplace.resumes_to == "active" else "resume")
    workplace.resumes_to = None
