"""Licensing answered: with a seat the preparation begins, without one the workplace is refused."""

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.request_package import await_package
from services.provisioning.workplaces import lock_if_known, move, tell
from shared.contracts.licensing import SeatGranted, SeatRefused


async def prepare_workplace(session: AsyncSession, event: SeatGranted) -> None:
    """A requested workplace gets its package ordered.

    One that is over needs nothing: its WorkplaceEnded frees the seat.
    """
    workplace = await lock_if_known(session, event.workplace)
    if workplace is not None and move(workplace, "grant"):
        await await_package(session, workplace)
        await tell(session, workplace)


async def refuse_workplace(session: AsyncSession, event: SeatRefused) -> None:
    """A requested workplace is refused with the reason of licensing; it holds no seat."""
    workplace = await lock_if_known(session, event.workplace)
    if workplace is not None and move(workplace, "refuse"):
        workplace.trouble_code, workplace.trouble_text = event.code, event.text
        await tell(session, workplace)
