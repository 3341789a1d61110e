"""Attach an application of a subscriber, or change what is known of it; and remove it with everything in it."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.applications import find_application
from services.provisioning.delete_workplace import end_workplace
from services.provisioning.tables import Application, Membership, Subscriber, Workplace
from shared.runtime.problem import Problem


@dataclass(frozen=True)
class Attachment:
    """What the gateway found out about an application: its manifest was checked there, against the database."""

    subscriber: str
    title: str | dict[str, str]
    manifest: str
    connection: str
    area: str | None
    configuration: str
    version: str
    platform: str
    organisations_declared: bool
    generation: str | None


async def attach_application(session: AsyncSession, code: str, attachment: Attachment) -> tuple[Application, bool]:
    """The application, and whether it is new (also after a removal). Counters of an earlier life go on.

    Problem `invalid_request` for an unknown subscriber, or another one than before: people and seats do not move.
    """
    if await session.get(Subscriber, attachment.subscriber, with_for_update={"read": True}) is None:
        raise Problem("invalid_request", f"There is no subscriber {attachment.subscriber}.")
    values = asdict(attachment)
    unheard = insert(Application).values(code=code, workplaces_numbered=0, **values).on_conflict_do_nothing()
    added = (await session.exec(unheard.returning(col(Application.code)))).first() is not None
    application = await session.get_one(Application, code, with_for_update=True)
    if application.subscriber != attachment.subscriber:
        raise Problem("invalid_request", f"The application {code} belongs to another subscriber.")
    new = added or application.removed_at is not None
    application.sqlmodel_update(values)
    application.removed_at = None
    await session.flush()
    return application, new


async def remove_application(session: AsyncSession, code: str) -> None:
    """End its workplaces and the rights of its people. Its numbers are kept. Problem `not_found`."""
    application = await find_application(session, code, lock="change")
    living = select(Workplace).where(col(Workplace.application) == code, col(Workplace.state) != "deleted")
    for workplace in (await session.exec(living.order_by(col(Workplace.id)).with_for_update())).all():
        await end_workplace(session, workplace)
    await session.exec(delete(Membership).where(col(Membership.application) == code))
    application.removed_at = datetime.now(UTC)
