"""Taking a job: competing workers, one lease each, the lost worker's job included."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.snapshot_builder.tables import Job

# Packages of one workplace are built in the order they were asked for: each new one voids the key ranges of the last.
_FIRST_OF_ITS_WORKPLACE = """
    NOT EXISTS (
        SELECT FROM jobs AS older
        WHERE older.workplace = job.workplace AND older.state IN ('waiting', 'running')
          AND (older.created_at, older.package) < (job.created_at, job.package))
"""

_CLAIM = text(f"""
    UPDATE jobs SET state = 'running', worker = :worker, claim = claim + 1, attempts = attempts + 1,
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE package = (
        SELECT package FROM jobs AS job
        WHERE (job.state = 'waiting' AND job.not_before <= clock_timestamp()
               OR job.state = 'running' AND job.lease_until < clock_timestamp())
          AND {_FIRST_OF_ITS_WORKPLACE}
        ORDER BY job.created_at
        LIMIT 1 FOR UPDATE OF job SKIP LOCKED)
    RETURNING package
""")

# The nearest moment at which a job becomes ready by itself: a retry falls due or a lease ends. It may be over already.
_NEXT = text(f"""
    SELECT extract(epoch FROM min(CASE state WHEN 'waiting' THEN not_before ELSE lease_until END)
                              - clock_timestamp())::float8
    FROM jobs AS job WHERE state IN ('waiting', 'running') AND {_FIRST_OF_ITS_WORKPLACE}
""")

_RENEW = text("""
    UPDATE jobs SET phase = :phase, done = :done, total = :total,
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE package = :package AND claim = :claim AND state = 'running'
""")


async def claim_job(session: AsyncSession, worker: UUID, lease: float) -> Job | None:
    """The oldest job that is ready, taken for `lease` seconds, or None. It counts as an attempt until postponed.

    After the commit nobody else takes it before the lease ends, and no earlier holder can end it (`held_job`).
    """
    package = (
        await (await session.connection()).execute(_CLAIM, {"worker": worker, "lease": lease})
    ).scalar_one_or_none()
    return None if package is None else await session.get_one(Job, package)


async def seconds_until_next(session: AsyncSession) -> float | None:
    """Seconds until a job becomes ready without anybody saying so, negative when it is; None when there is none."""
    seconds: float | None = (await (await session.connection()).execute(_NEXT)).scalar_one()
    return seconds


async def renew_lease(session: AsyncSession, job: Job, phase: str, done: int, total: int, lease: float) -> bool:
    """Store how far the build is and lengthen the lease; False when the job is not this worker's any more."""
    values = {"package": job.package, "claim": job.claim, "phase": phase, "done": done, "total": total, "lease": lease}
    connection = await session.connection()
    return (await connection.execute(_RENEW, values)).rowcount == 1


async def held_job(session: AsyncSession, job: Job) -> Job | None:
    """The job's row, locked, if this claim still holds it; None when it was cancelled or taken over."""
    statement = select(Job).where(
        col(Job.package) == job.package, col(Job.claim) == job.claim, col(Job.state) == "running"
    )
    return (await session.exec(statement.with_for_update())).one_or_none()
