"""Workers and sweeper of one process, started and stopped together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.snapshot_builder.sweep_storage import keep_swept
from services.snapshot_builder.workers import work
from services.snapshot_builder.workshop import Workshop
from shared.runtime.database import conninfo


@asynccontextmanager
async def jobs_running(workshop: Workshop) -> AsyncIterator[None]:
    """Inside, packages are built and storage is swept; afterwards no build goes on and its job is free for others."""
    stopping = asyncio.Event()
    listening = asyncio.create_task(workshop.wake_ups.listen(conninfo(workshop.engine)))
    working = [asyncio.create_task(work(workshop, stopping)) for _ in range(workshop.settings.build_workers)]
    working.append(asyncio.create_task(keep_swept(workshop, stopping)))
    try:
        yield
    finally:
        stopping.set()
        workshop.wake_ups.ring()
        await asyncio.gather(*working, return_exceptions=True)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
