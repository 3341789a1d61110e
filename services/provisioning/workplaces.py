"""A workplace as a row: finding it under a lock, moving it, telling the others."""

from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.states import Act, after
from services.provisioning.tables import Workplace
from shared.contracts.licensing import ReductionCode
from shared.contracts.provisioning import Package, Reason, WorkplaceChanged, WorkplaceEnded
from shared.messaging.outbox import record
from shared.runtime.problem import Problem

_LACKING: dict[ReductionCode, str] = {
    "seats_reduced": "The subscription has fewer seats than workplaces. Buy seats or delete one, and it goes on.",
    "local_licence_required": "The licence for the local version was withdrawn. With a licence the workplace goes on.",
}


def document(workplace: Workplace) -> WorkplaceChanged:
    """What others may know of the workplace: its document over HTTP and the payload of its event."""
    return WorkplaceChanged(
        workplace=workplace.id,
        revision=workplace.revision,
        application=workplace.application,
        subscriber=workplace.subscriber,
        name=workplace.name,
        state=workplace.state,
        reason=_reason(workplace),
        organisations=workplace.organisations,
        scope_version=workplace.scope_version,
        users=workplace.users,
        prefix=workplace.prefix,
        # While a new one is made the old one is not offered: what is in it may be given a second time.
        package=Package.model_validate(workplace.package)
        if workplace.package and workplace.awaited_package is None
        else None,
        created_by=workplace.created_by,
        created_at=workplace.created_at,
    )


async def find(session: AsyncSession, workplace: UUID) -> Workplace:
    """The workplace as it is; Problem `not_found`."""
    found = await session.get(Workplace, workplace)
    if found is None:
        raise Problem("not_found", "There is no such workplace.")
    return found


async def lock(session: AsyncSession, workplace: UUID) -> Workplace:
    """The workplace, not changed by anybody else until the transaction ends; Problem `not_found`."""
    found = await lock_if_known(session, workplace)
    if found is None:
        raise Problem("not_found", "There is no such workplace.")
    return found


async def lock_if_known(session: AsyncSession, workplace: UUID) -> Workplace | None:
    """As `lock`, for events: None for a workplace this service does not know."""
    statement = select(Workplace).where(col(Workplace.id) == workplace).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


def move(workplace: Workplace, act: Act) -> bool:
    """Carry out `act` for an event.

    False, and nothing changed, where the state does not allow it: events come in any order.
    """
    state = after(workplace.state, act)
    if state is None:
        return False
    workplace.state = state
    return True


def move_or_refuse(workplace: Workplace, act: Act) -> None:
    """Carry out `act` for a person; Problem `workplace_deleted` or `wrong_state` where the state does not allow it."""
    if not move(workplace, act):
        raise wrong_state(workplace)


def wrong_state(workplace: Workplace) -> Problem:
    """Why nothing can be done with the workplace in its present state."""
    if workplace.state == "deleted":
        return Problem("workplace_deleted", "The workplace was deleted.")
    detail = f"This cannot be done while the workplace is {workplace.state}."
    return Problem("wrong_state", detail, state=workplace.state)


async def tell(session: AsyncSession, workplace: Workplace) -> WorkplaceChanged:
    """Record the present state under the next revision; called once at the end of every change."""
    workplace.revision += 1
    session.add(workplace)
    changed = document(workplace)
    await record(session, changed)
    return changed


async def tell_end(session: AsyncSession, workplace: Workplace) -> None:
    """Record that a deleted or failed workplace needs neither seat nor package any more."""
    workplace.awaited_package = None
    outcome = "deleted" if workplace.state == "deleted" else "failed"
    ended = {"workplace": workplace.id, "subscriber": workplace.subscriber, "outcome": outcome}
    await record(session, WorkplaceEnded.model_validate(ended))


def _reason(workplace: Workplace) -> Reason | None:
    if workplace.state == "suspended" and workplace.suspended_by_lapse:
        return Reason(code="subscription_lapsed", text="The subscription is over. Renew it and the workplace goes on.")
    if workplace.state == "suspended" and workplace.suspended_by_reduction:
        return Reason(code=workplace.suspended_by_reduction, text=_LACKING[workplace.suspended_by_reduction])
    if workplace.state == "suspended":
        text = "An administrator suspended the workplace and can resume it."
        return Reason(code="suspended_by_administrator", text=text)
    if workplace.state != "deleted" and workplace.trouble_code is not None:
        return Reason(code=workplace.trouble_code, text=workplace.trouble_text or "")
    return None
