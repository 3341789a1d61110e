"""How a taken job ends: built, failed, or put back for later – each in one transaction with its event."""

from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from services.snapshot_builder.claim_job import held_job
from services.snapshot_builder.tables import Job, StoredPackage
from services.snapshot_builder.wake_up import notify
from shared.contracts.provisioning import Package
from shared.contracts.snapshot_builder import BuildFailed, PackageBuilt
from shared.messaging.outbox import record


async def finish_built(session: AsyncSession, job: Job, package: StoredPackage) -> bool:
    """Record the package, whose object is already whole in storage. False when the job is not this claim's any more."""
    held = await held_job(session, job)
    if held is None:
        return False
    held.state, held.phase, held.finished_at = "done", "done", datetime.now(UTC)
    held.done = held.total = sum(package.rows.values())
    session.add(package)
    offered = Package.model_validate(
        {**package.model_dump(include=set(Package.model_fields)), "expires_at": package.expires_at}
    )
    await record(session, PackageBuilt(workplace=job.workplace, package=offered, rows=package.rows))
    await notify(session)
    return True


async def finish_failed(session: AsyncSession, job: Job, code: str, text: str) -> bool:
    """Record that the package cannot be built; nothing of it may be left in storage. False as in `finish_built`."""
    held = await held_job(session, job)
    if held is None:
        return False
    held.state, held.finished_at, held.code, held.text = "failed", datetime.now(UTC), code, text
    await record(session, BuildFailed(workplace=job.workplace, package_id=job.package, code=code, text=text))
    await notify(session)
    return True


async def put_back(
    session: AsyncSession, job: Job, seconds: float, *, counts: bool, unreachable_since: datetime | None
) -> bool:
    """Let the job be taken again after `seconds`; unless it `counts`, it never was. False as in `finish_built`."""
    held = await held_job(session, job)
    if held is None:
        return False
    held.state, held.phase, held.worker, held.lease_until = "waiting", "waiting", None, None
    held.not_before = datetime.now(UTC) + timedelta(seconds=seconds)
    held.unreachable_since = unreachable_since
    if counts:
        held.postponements = 0
    else:
        held.attempts -= 1
        held.postponements += 1
    await notify(session)
    return True
