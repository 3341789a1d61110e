"""A package is asked for: a job row, once per package."""

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from services.snapshot_builder.tables import EndedWorkplace, Job
from services.snapshot_builder.wake_up import notify
from shared.contracts.provisioning import PackageRequested
from shared.runtime.telemetry import inject


async def accept_request(session: AsyncSession, request: PackageRequested) -> None:
    """Afterwards the job waits, or is cancelled when its workplace has ended already. Repeating changes nothing."""
    await lock_workplace(session, str(request.workplace))
    ended = await session.get(EndedWorkplace, request.workplace)
    job = Job(
        package=request.package,
        workplace=request.workplace,
        application=request.application,
        name=request.name,
        prefix=request.prefix,
        organisations=sorted(set(request.organisations)) if request.organisations is not None else None,
        scope_version=request.scope_version,
        state="cancelled" if ended else "waiting",
        finished_at=ended.ended_at if ended else None,
        trace=inject(),
    )
    await session.exec(insert(Job).values(job.model_dump()).on_conflict_do_nothing())
    await notify(session)


async def lock_workplace(session: AsyncSession, workplace: str) -> None:
    """Until the transaction ends, a request and the end of one workplace exclude each other."""
    await (await session.connection()).execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:workplace, 0))"), {"workplace": workplace}
    )
