"""Create a workplace: it gets its name, its prefix and its place in the queue for a seat."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.applications import find_application, require_members
from services.provisioning.prefixes import prefix
from services.provisioning.scope import require_declared
from services.provisioning.tables import Application, Workplace
from services.provisioning.workplaces import document, tell
from shared.contracts.provisioning import WorkplaceChanged, WorkplaceRequested
from shared.messaging.outbox import record


@dataclass(frozen=True)
class Wishes:
    """What the person asked for; None where he left it open. `organisations` None = all, also those added later."""

    created_by: str
    name: str | None = None
    users: tuple[str, ...] = ()
    organisations: tuple[str, ...] | None = None


async def request_workplace(
    session: AsyncSession, application_code: str, wishes: Wishes, idempotency_key: str | None = None
) -> WorkplaceChanged:
    """A new workplace, `requested`, with WorkplaceRequested recorded; with a key used before: the workplace made then.

    Problems: `not_found`, `unknown_user`, `invalid_request` (organisations of an application that has none).
    """
    application = await find_application(session, application_code, lock="change")
    made = await _made_before(session, application, idempotency_key)
    if made is not None:
        return document(made)
    users = list(dict.fromkeys([*wishes.users, wishes.created_by]))
    await require_members(session, application.code, users)
    require_declared(application, wishes.organisations)
    name = wishes.name or await _default_name(session, application)
    if wishes.name:
        application.workplaces_numbered += 1
    now = datetime.now(UTC)
    workplace = Workplace(
        id=uuid4(),
        application=application.code,
        subscriber=application.subscriber,
        number=application.workplaces_numbered,
        name=name,
        prefix=prefix(application.workplaces_numbered),
        state="requested",
        organisations=list(wishes.organisations) if wishes.organisations is not None else None,
        users=users,
        created_by=wishes.created_by,
        created_at=now,
        last_sign_at=now,
        idempotency_key=idempotency_key,
    )
    requested = {"workplace": workplace.id, "application": application.code, "subscriber": application.subscriber}
    await record(session, WorkplaceRequested.model_validate(requested))
    return await tell(session, workplace)


async def _made_before(session: AsyncSession, application: Application, key: str | None) -> Workplace | None:
    if key is None:
        return None
    statement = select(Workplace).where(
        col(Workplace.application) == application.code, col(Workplace.idempotency_key) == key
    )
    return (await session.exec(statement)).one_or_none()


async def _default_name(session: AsyncSession, application: Application) -> str:
    """Take the next number whose default name nobody has given to a workplace by hand."""
    while True:
        application.workplaces_numbered += 1
        name = f"Автономное рабочее место {application.workplaces_numbered}"
        statement = select(Workplace.id).where(
            col(Workplace.application) == application.code, col(Workplace.name) == name
        )
        if (await session.exec(statement.limit(1))).one_or_none() is None:
            return name
