"""End a workplace for ever, whatever it was doing."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Workplace
from services.provisioning.workplaces import lock, move_or_refuse, tell, tell_end
from shared.contracts.provisioning import WorkplaceChanged


async def delete_workplace(session: AsyncSession, workplace_id: UUID) -> WorkplaceChanged:
    """The deleted workplace; its seat and its packages go with WorkplaceEnded.

    Problems: `not_found`, `workplace_deleted`.
    """
    return await end_workplace(session, await lock(session, workplace_id))


async def end_workplace(session: AsyncSession, workplace: Workplace) -> WorkplaceChanged:
    """As `delete_workplace`, for a locked row."""
    move_or_refuse(workplace, "delete")
    workplace.package = None
    workplace.resumes_to = None
    await tell_end(session, workplace)
    return await tell(session, workplace)
