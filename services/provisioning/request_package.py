"""Ask the snapshot builder for a package."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.states import USABLE
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import lock, tell, wrong_state
from shared.contracts.provisioning import PackageRequested, WorkplaceChanged
from shared.messaging.outbox import record


async def request_package(session: AsyncSession, workplace_id: UUID) -> WorkplaceChanged:
    """The workplace in the state it had, without a package until the new one comes, with PackageRequested recorded.

    Also the way of a reissue, whose tokens are the gateway's. Problems: `not_found`, `wrong_state`,
    `workplace_deleted`.
    """
    workplace = await lock(session, workplace_id)
    if workplace.state not in USABLE:
        raise wrong_state(workplace)
    await await_package(session, workplace)
    return await tell(session, workplace)


async def await_package(session: AsyncSession, workplace: Workplace) -> None:
    """Want a new package for the locked workplace; one that was wanted before is wanted no more."""
    workplace.awaited_package = uuid4()
    workplace.last_sign_at = datetime.now(UTC)
    workplace.trouble_code = workplace.trouble_text = None
    await record(
        session,
        PackageRequested(
            package=workplace.awaited_package,
            workplace=workplace.id,
            application=workplace.application,
            name=workplace.name,
            prefix=workplace.prefix,
            organisations=workplace.organisations,
            scope_version=workplace.scope_version,
        ),
    )
