"""Peak memory and time of one builder process, by size: `python -m bench.snapshot_builder_memory ORDERS`.

Needs `YURT_POSTGRES_URL` (a superuser) and `YURT_S3_URL`. Makes an application with so many orders (two lines each),
builds its package twice – cold, then from the base image – and drops everything. Once per size, for the process's peak.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from services.snapshot_builder.settings import BuilderSettings, SnapshotBuilderSettings
from shared.contracts.snapshot_builder import PackageBuilt
from shared.runtime.database import ensure_database, migrate
from shared.runtime.objects import Objects
from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TelemetrySettings,
)
from tests.integration.snapshot_builder import stand as stand_module
from tests.integration.snapshot_builder.application import Application
from tests.integration.snapshot_builder.stand import Stand, database_of, opened
from workplace.build_pyz import write_package_files


@contextmanager
def databases(postgres_url: str, prefix: str) -> Iterator[str]:
    """The URL of an application database; it and the builder's are dropped afterwards."""
    names = (f"{prefix}_application", f"{prefix}_snapshot_builder")
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{names[0]}"'.encode())
        try:
            yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{names[0]}"))
        finally:
            for name in names:
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


async def measure(settings: SnapshotBuilderSettings, application: Application) -> dict[str, object]:
    """Seconds from the request to PackageBuilt, cold and warm, the package's size, and the peak of this process."""
    await ensure_database(database_of(settings))
    await migrate("services.snapshot_builder", database_of(settings))
    objects, seconds = Objects(settings.objects), []
    await objects.ensure_bucket()
    async with opened(settings) as sessions:
        stand = Stand(settings, application, objects, sessions)
        async with stand.running() as running:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(2):
                began = time.perf_counter()
                await running.request()
                built = await running.witness.next(PackageBuilt)
                seconds.append(round(time.perf_counter() - began, 2))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name in await stand.stored(""):
            await objects.delete(name)
    return {
        "rows": sum(built.rows.values()),
        "package_bytes": built.package.size,
        "cold_seconds": seconds[0],
        "warm_seconds": seconds[1],
        "idle_mb": round(before / 1000),
        "peak_mb": round(peak / 1000),
    }


def main(orders: int) -> None:
    """Print the figures as one line of JSON."""
    stand_module.WAIT = 1800
    prefix = f"yurt_bench_{uuid4().hex[:12]}"
    postgres_url, s3_url = os.environ["YURT_POSTGRES_URL"], os.environ["YURT_S3_URL"]
    with tempfile.TemporaryDirectory() as folder, databases(postgres_url, prefix) as url:
        application = Application(url)
        application.attach(orders)
        program = Path(folder) / "program"
        write_package_files(program)
        settings = SnapshotBuilderSettings(
            postgres=PostgresSettings(postgres_url=postgres_url, database_prefix=prefix),
            objects=ObjectSettings(s3_url=s3_url),
            service=ServiceSettings(service_token="token-of-this-bench", home=Path(folder)),
            telemetry=TelemetrySettings(),
            connections=ConnectionSettings(connection={"stall": url}),
            builder=BuilderSettings(public_url="https://yurt.example", program_dir=program),
        )
        print(json.dumps({"orders": orders, **asyncio.run(measure(settings, application))}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
