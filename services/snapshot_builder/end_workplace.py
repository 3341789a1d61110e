"""A workplace ended: its jobs stop, its packages go."""

from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.snapshot_builder.accept_request import lock_workplace
from services.snapshot_builder.tables import EndedWorkplace, Job, StoredPackage
from services.snapshot_builder.wake_up import notify
from shared.contracts.provisioning import WorkplaceEnded


async def end_workplace(session: AsyncSession, ended: WorkplaceEnded) -> None:
    """Afterwards no job of the workplace starts or goes on, later requests are cancelled, its packages are not offered.

    A running build stops at its next step; the sweeper, woken by the commit, deletes the objects.
    """
    await lock_workplace(session, str(ended.workplace))
    now = datetime.now(UTC)
    tombstone = insert(EndedWorkplace).values(workplace=ended.workplace, ended_at=now)
    await session.exec(tombstone.on_conflict_do_nothing())
    await session.exec(
        update(Job)
        .where(col(Job.workplace) == ended.workplace, col(Job.state).in_(["waiting", "running"]))
        .values(state="cancelled", finished_at=now)
    )
    await session.exec(
        update(StoredPackage)
        .where(col(StoredPackage.workplace) == ended.workplace, col(StoredPackage.ended_at).is_(None))
        .values(ended_at=now)
    )
    await notify(session)
