"""One package from one job: image, personal files, zip, upload. Nothing is recorded here."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.to_thread

from services.snapshot_builder.application_source import ApplicationSource, read_application
from services.snapshot_builder.build_image import Cut, personalise
from services.snapshot_builder.build_steps import BuildSteps
from services.snapshot_builder.obtain_base_image import forget, obtain_base_image
from services.snapshot_builder.package_members import package_members
from services.snapshot_builder.tables import BaseImage, Job, StoredPackage
from services.snapshot_builder.workshop import Workshop
from services.snapshot_builder.write_package import write_package
from shared.replication.image import ImageDamaged, verify
from shared.runtime.silence import watched

FILENAME = "Автономная работа.zip"


async def build_package(workshop: Workshop, job: Job, folder: Path, steps: BuildSteps) -> StoredPackage:
    """Build, verify and upload; returns the row to be recorded, whose object is whole in storage.

    Raises `BuildStopped` soon after `steps` was stopped; then no object is left, as after any error.
    """
    await workshop.objects.ensure_bucket()  # no long reading for nothing while the store is away
    source = await read_application(workshop.provisioning, job.application)
    organisations = None if job.organisations is None else tuple(job.organisations)
    url = watched(workshop.connections.resolve(source.connection), workshop.connections.silence)
    cut = Cut(job.application, source, url, organisations, job.scope_version)
    replica = folder / "infobase.db"
    base = await obtain_base_image(workshop, cut, job.workplace, replica, steps)
    total = sum(base.rows.values())
    now = datetime.now(UTC)
    document = workplace_document(job, source, base, workshop.settings.public_url, now)
    steps.step("verifying", 0, total)
    await anyio.to_thread.run_sync(personalise, cut, replica, job.workplace, document, steps)
    try:
        await anyio.to_thread.run_sync(verify, replica, base.digests)
    except ImageDamaged:
        await forget(workshop, base)
        raise
    members = package_members(replica, document, source.titles, workshop.settings.program_dir)
    progress = _Packing(steps, sum(member.size for member in members), total)
    stored = await workshop.objects.put_stream(
        object_name(job), write_package(members, base.rows, now, progress.read), content_type="application/zip"
    )
    return StoredPackage(
        id=job.package,
        workplace=job.workplace,
        application=job.application,
        base_image=base.id,
        object=stored.name,
        filename=FILENAME,
        size=stored.size,
        sha256=stored.sha256,
        position=base.position,
        generation=base.generation,
        scope_version=job.scope_version,
        rows=base.rows,
        created_at=now,
        expires_at=now + timedelta(seconds=workshop.settings.package_life),
    )


def object_name(job: Job) -> str:
    """A name of this claim alone: a worker that lost its lease cannot touch what its successor stores."""
    return f"packages/{job.package}.{job.claim}.zip"


def workplace_document(
    job: Job, source: ApplicationSource, base: BaseImage, public_url: str, now: datetime
) -> dict[str, Any]:
    """`workplace.json` of protocol.md, Package."""
    return {
        "service": public_url,
        "workplace": str(job.workplace),
        "name": job.name,
        "application": job.application,
        "configuration": source.configuration,
        "version": source.version,
        "prefix": job.prefix,
        "organisations": job.organisations,
        "generation": base.generation,
        "position": base.position,
        "scope_version": job.scope_version,
        "platform": source.platform,
        "created_at": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


class _Packing:
    """Bytes read, told as rows: people watch one count from beginning to end."""

    def __init__(self, steps: BuildSteps, size: int, rows: int) -> None:
        self._steps = steps
        self._size = size
        self._rows = rows
        self._read = 0

    def read(self, size: int) -> None:
        self._read += size
        self._steps.step("packing", min(self._rows, self._rows * self._read // max(self._size, 1)), self._rows)
