"""Keep what provisioning says of workplaces, and tell whoever watches."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.access.tokens import end_tokens_of_workplace
from services.sync_gateway.tables import Build, KnownScope, Workplace
from shared.contracts.provisioning import WorkplaceChanged
from shared.contracts.snapshot_builder import BuildProgressed

CHANNEL = "yurt_workplaces"

_NOTIFY = text("SELECT pg_notify(:channel, :workplace)")


async def project_workplace(db: AsyncSession, changed: WorkplaceChanged) -> None:
    """The projection holds the workplace at least as new as `changed`; tokens of users taken off it are gone.

    An older revision changes nothing but adds the scope it knows of.
    """
    await db.exec(
        insert(KnownScope)
        .values(workplace=changed.workplace, version=changed.scope_version, organisations=changed.organisations)
        .on_conflict_do_nothing()
    )
    row = changed.model_dump(mode="json", exclude={"workplace", "created_at"})
    row |= {"id": changed.workplace, "created_at": changed.created_at}
    statement = insert(Workplace).values(**row)
    newer = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: statement.excluded[name] for name in row if name != "id"},
        where=Workplace.__table__.c.revision < statement.excluded.revision,  # type: ignore[attr-defined]  # SQLModel hides it
    ).returning(Workplace.__table__.c.id)  # type: ignore[attr-defined]  # as above
    if (await db.exec(newer)).first() is None:
        return
    if changed.package is None:  # how far the last one came says nothing of the next
        await db.exec(delete(Build).where(col(Build.workplace) == changed.workplace))
    await end_tokens_of_workplace(db, changed.workplace, except_logins=changed.users)
    await notify(db, changed.workplace)


async def record_progress(db: AsyncSession, progressed: BuildProgressed) -> None:
    """How far the build is."""
    row = {
        "workplace": progressed.workplace,
        "package": progressed.package_id,
        "phase": progressed.phase,
        "done": progressed.done,
        "total": progressed.total,
    }
    statement = insert(Build).values(**row)
    await db.exec(
        statement.on_conflict_do_update(
            index_elements=["workplace"],
            set_={name: statement.excluded[name] for name in row if name != "workplace"},
        )
    )
    await notify(db, progressed.workplace)


async def notify(db: AsyncSession, workplace: UUID) -> None:
    """Wake the watchers of the workplace, in every instance, when the transaction commits."""
    connection = await db.connection()
    await connection.execute(_NOTIFY, {"channel": CHANNEL, "workplace": str(workplace)})
