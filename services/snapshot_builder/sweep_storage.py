"""The sweeper: what is expired, ended, stale or left over goes from object storage and from the disk."""

import asyncio
import logging
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import anyio.to_thread
from sqlalchemy import delete, update
from sqlmodel import col, or_, select

from services.snapshot_builder.tables import BaseImage, Job, StoredPackage
from services.snapshot_builder.wake_up import ring_or_timeout
from services.snapshot_builder.workshop import Workshop

BATCH = 500

log = logging.getLogger(__name__)


async def keep_swept(workshop: Workshop, stopping: asyncio.Event) -> None:
    """Sweep at each ring and each interval until `stopping` is set; leftovers are looked for at the interval only."""
    loop = asyncio.get_running_loop()
    leftovers_due = loop.time()
    with workshop.wake_ups.bell() as bell:
        while not stopping.is_set():
            try:
                await remove_ended_packages(workshop)
                if loop.time() >= leftovers_due:
                    leftovers_due = loop.time() + workshop.settings.build_sweep_interval
                    await remove_stale_images(workshop)
                    await remove_leftovers(workshop)
            except Exception:
                log.exception("sweeping is tried again later")
            if not stopping.is_set():
                await ring_or_timeout(bell, workshop.settings.build_sweep_interval)


async def remove_ended_packages(workshop: Workshop) -> None:
    """Afterwards no expired package and no package of an ended workplace is in storage."""
    over = or_(col(StoredPackage.ended_at).is_not(None), col(StoredPackage.expires_at) < datetime.now(UTC))
    statement = select(StoredPackage).where(col(StoredPackage.removed_at).is_(None), over)
    async with workshop.sessions() as session:
        packages = (await session.exec(statement)).all()
    for package in packages:
        await workshop.objects.delete(package.object)
        async with workshop.sessions.begin() as session:
            removed = update(StoredPackage).where(col(StoredPackage.id) == package.id)
            await session.exec(removed.values(removed_at=datetime.now(UTC)))


async def remove_stale_images(workshop: Workshop) -> None:
    """Base images that have long been too old for a new package go: the row first, so that nobody begins with one."""
    settings = workshop.settings
    stale = datetime.now(UTC) - timedelta(seconds=settings.base_image_max_age + settings.build_leftover_age)
    async with workshop.sessions.begin() as session:
        statement = delete(BaseImage).where(col(BaseImage.built_at) < stale)
        gone = (await session.exec(statement.returning(col(BaseImage.id), col(BaseImage.object)))).all()
    for identity, name in gone:
        workshop.cache.drop(identity)
        await workshop.objects.delete(name)


async def remove_leftovers(workshop: Workshop) -> None:
    """Objects and work folders that no row knows, left by a crash, go when they are old enough."""
    old = datetime.now(UTC) - timedelta(seconds=workshop.settings.build_leftover_age)
    for prefix, known in (("packages/", col(StoredPackage.object)), ("base/", col(BaseImage.object))):
        names = [stored.name async for stored in workshop.objects.list(prefix) if stored.modified_at < old]
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            async with workshop.sessions() as session:
                remembered = set((await session.exec(select(known).where(known.in_(batch)))).all())
            for name in batch:
                if name not in remembered:
                    await workshop.objects.delete(name)
    await _remove_work_folders(workshop)


async def _remove_work_folders(workshop: Workshop) -> None:
    found = await anyio.to_thread.run_sync(lambda: [folder.name for folder in workshop.work.iterdir()])
    async with workshop.sessions() as session:
        running = (await session.exec(select(Job.package, Job.claim).where(col(Job.state) == "running"))).all()
    under_way = {_work_name(package, claim) for package, claim in running}
    for name in set(found) - under_way:
        await anyio.to_thread.run_sync(partial(shutil.rmtree, workshop.work / name, ignore_errors=True))


def _work_name(package: UUID, claim: int) -> str:
    return f"{package}.{claim}"
