"""A taken job, from claim to end: the build in the background, lease and progress in front."""

import asyncio
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from services.snapshot_builder.build_package import build_package, object_name
from services.snapshot_builder.build_steps import BuildSteps, BuildStopped
from services.snapshot_builder.claim_job import renew_lease
from services.snapshot_builder.failures import TEXT, GiveUp, TryLater, judge
from services.snapshot_builder.finish_job import finish_built, finish_failed, put_back
from services.snapshot_builder.tables import Job, StoredPackage
from services.snapshot_builder.wake_up import ring_or_timeout
from services.snapshot_builder.workshop import Workshop
from shared.contracts.snapshot_builder import BuildProgressed
from shared.messaging.outbox import record

log = logging.getLogger(__name__)


async def run_job(workshop: Workshop, job: Job, stopping: asyncio.Event) -> None:
    """Afterwards the job is done, failed, put back, or somebody else's; no file and no unrecorded object is left.

    `stopping` puts it back at the build's next step.
    """
    if job.attempts > workshop.settings.build_attempts:
        async with workshop.sessions.begin() as session:
            await finish_failed(session, job, "build_failed", TEXT.format("its workers were lost again and again"))
        return
    steps = BuildSteps()
    with _folder(workshop.work, job) as folder:
        building = asyncio.create_task(build_package(workshop, job, folder, steps))
        await _accompany(workshop, job, building, steps, stopping)
        try:
            package = await building
        except BuildStopped:
            async with workshop.sessions.begin() as session:
                await put_back(session, job, 0, counts=False, unreachable_since=job.unreachable_since)
        except Exception as error:  # noqa: BLE001 - every failure is judged
            await _fail(workshop, job, error)
        else:
            await _offer(workshop, job, package)


async def _offer(workshop: Workshop, job: Job, package: StoredPackage) -> None:
    async with workshop.sessions.begin() as session:
        recorded = await finish_built(session, job, package)
    if not recorded:
        await workshop.objects.delete(package.object)


async def _fail(workshop: Workshop, job: Job, error: Exception) -> None:
    verdict = judge(error, job, datetime.now(UTC), workshop.settings)
    log.warning("package %s, attempt %d: %s -> %s", job.package, job.attempts, type(error).__name__, verdict)
    match verdict:
        case GiveUp(code, text):
            await workshop.objects.delete(object_name(job))
            async with workshop.sessions.begin() as session:
                await finish_failed(session, job, code, text)
        case TryLater(seconds, counts, since):
            async with workshop.sessions.begin() as session:
                await put_back(session, job, seconds, counts=counts, unreachable_since=since)


async def _accompany(
    workshop: Workshop, job: Job, building: asyncio.Task[StoredPackage], steps: BuildSteps, stopping: asyncio.Event
) -> None:
    """Until the build ends: tell its progress, keep its lease, and stop it when the job is not ours any more."""
    settings = workshop.settings
    told, told_at, renewed_at = steps.now, monotonic(), monotonic()
    with workshop.wake_ups.bell() as bell:
        building.add_done_callback(lambda _: bell.set())
        while not building.done():
            await ring_or_timeout(bell, min(settings.build_progress_interval, settings.build_lease / 3))
            if building.done():
                return
            if stopping.is_set() or monotonic() - renewed_at > settings.build_lease:
                await steps.stop(building)
                return
            now = steps.now
            tells = now != told and monotonic() - told_at >= settings.build_progress_interval
            try:
                async with workshop.sessions.begin() as session:
                    held = await renew_lease(session, job, *now, settings.build_lease)
                    if held and tells:
                        await record(session, _progressed(job, *now))
            except (SQLAlchemyError, OSError) as error:
                log.warning("package %s: the lease could not be renewed: %s", job.package, type(error).__name__)
                continue
            renewed_at = monotonic()
            if not held:
                await steps.stop(building)
            if tells:
                told, told_at = now, monotonic()


def _progressed(job: Job, phase: str, done: int, total: int) -> BuildProgressed:
    return BuildProgressed(workplace=job.workplace, package_id=job.package, phase=phase, done=done, total=total)


@contextmanager
def _folder(work: Path, job: Job) -> Iterator[Path]:
    folder = work / f"{job.package}.{job.claim}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
