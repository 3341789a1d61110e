"""A worker: takes jobs one after another until it is told to stop."""

import asyncio
import logging
from uuid import uuid4

from opentelemetry.trace import SpanKind

from services.snapshot_builder.claim_job import claim_job, seconds_until_next
from services.snapshot_builder.run_job import run_job
from services.snapshot_builder.tables import Job
from services.snapshot_builder.wake_up import ring_or_timeout
from services.snapshot_builder.workshop import SERVICE, Workshop
from shared.runtime.telemetry import continued

# Nobody waits longer than this for a job that nothing announced.
LONGEST_WAIT = 30.0
SHORTEST_WAIT = 0.02  # another worker is just taking it
AFTER_TROUBLE = 1.0

log = logging.getLogger(__name__)


async def work(workshop: Workshop, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set and a bell rings; a job under way is put back then."""
    worker = uuid4()
    with workshop.wake_ups.bell() as bell:
        while not stopping.is_set():
            try:
                async with workshop.sessions.begin() as session:
                    job = await claim_job(session, worker, workshop.settings.build_lease)
                    wait = None if job else await seconds_until_next(session)
                if job is not None:
                    await _run(workshop, job, stopping)
                    continue
            except Exception:
                # The lease of a job that was under way ends by itself, and somebody takes it again.
                log.exception("worker %s goes on after trouble", worker)
                wait = AFTER_TROUBLE
            if not stopping.is_set():
                await ring_or_timeout(
                    bell, LONGEST_WAIT if wait is None else min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)
                )


async def _run(workshop: Workshop, job: Job, stopping: asyncio.Event) -> None:
    attributes: dict[str, str | int] = {"yurt.package": str(job.package), "yurt.attempt": job.attempts}
    with continued(SERVICE, "build package", SpanKind.CONSUMER, job.trace, attributes):
        await run_job(workshop, job, stopping)
