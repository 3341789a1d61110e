"""The first replica of a workplace was activated on a computer."""

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.workplaces import lock_if_known, move, tell
from shared.contracts.sync_gateway import WorkplaceActivated


async def activate_workplace(session: AsyncSession, event: WorkplaceActivated) -> None:
    """A ready workplace is active; a suspended one will be when it is resumed. Later activations change nothing."""
    workplace = await lock_if_known(session, event.workplace)
    if workplace is None:
        return
    if move(workplace, "activate"):
        await tell(session, workplace)
    elif workplace.state == "suspended":
        workplace.resumes_to = "active"
