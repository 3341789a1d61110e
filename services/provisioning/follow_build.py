"""What the builder says of the package that is wanted. What it says of any other package is ignored."""

from datetime import UTC, datetime
from uuid import UUID

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Workplace
from services.provisioning.workplaces import lock_if_known, move, tell, tell_end
from shared.contracts.snapshot_builder import BuildFailed, BuildProgressed, PackageBuilt


async def note_progress(session: AsyncSession, event: BuildProgressed) -> None:
    """Only a sign of life, which keeps the watchdog away."""
    awaiting = (col(Workplace.id) == event.workplace) & (col(Workplace.awaited_package) == event.package_id)
    await session.exec(update(Workplace).where(awaiting).values(last_sign_at=datetime.now(UTC)))


async def store_package(session: AsyncSession, event: PackageBuilt) -> None:
    """The workplace has the package; a preparing one is ready, or suspended where the subscription lapsed or shrank."""
    workplace = await _awaiting(session, event.workplace, event.package.id)
    if workplace is None:
        return
    workplace.package = event.package.model_dump(mode="json")
    workplace.awaited_package = None
    workplace.trouble_code = workplace.trouble_text = None
    held_up = workplace.held_up()
    if move(workplace, "build_suspended" if held_up else "build") and held_up:
        workplace.resumes_to = "ready"
    await tell(session, workplace)


async def fail_build(session: AsyncSession, event: BuildFailed) -> None:
    """See `give_up`."""
    workplace = await _awaiting(session, event.workplace, event.package_id)
    if workplace is not None:
        await give_up(session, workplace, event.code, event.text)


async def give_up(session: AsyncSession, workplace: Workplace, code: str, text: str) -> None:
    """No package comes: a workplace under way has failed and needs no seat.

    One that had a package has it again, with the reason shown.
    """
    workplace.trouble_code, workplace.trouble_text = code, text
    workplace.awaited_package = None
    if move(workplace, "fail"):
        await tell_end(session, workplace)
    await tell(session, workplace)


async def _awaiting(session: AsyncSession, workplace_id: UUID, package: UUID) -> Workplace | None:
    workplace = await lock_if_known(session, workplace_id)
    return workplace if workplace is not None and workplace.awaited_package == package else None
