"""Change the name, the people or the organisations of a workplace."""

from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.applications import find_application, known_members, require_members
from services.provisioning.scope import require_declared, same_scope
from services.provisioning.states import OVER
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import document, find, lock, tell, wrong_state
from shared.contracts.provisioning import WorkplaceChanged


class Changes(TypedDict, total=False):
    """What is to be changed; a key that is absent leaves things as they are. `organisations` None = all."""

    name: str
    users: Sequence[str]
    organisations: Sequence[str] | None


async def change_workplace(session: AsyncSession, workplace_id: UUID, changes: Changes) -> WorkplaceChanged:
    """The workplace, changed; other organisations raise `scope_version`. Without a difference nothing is recorded.

    Problems: `not_found`, `unknown_user`, `invalid_request`, `wrong_state`, `workplace_deleted`.
    """
    known = await find(session, workplace_id)
    if known.state in OVER:
        raise wrong_state(known)
    application = await find_application(session, known.application, lock="keep")
    workplace = await lock(session, workplace_id)
    if workplace.state in OVER:
        raise wrong_state(workplace)
    before = document(workplace)
    if "name" in changes:
        workplace.name = changes["name"]
    if "users" in changes:
        workplace.users = await _users(session, workplace, changes["users"])
    if "organisations" in changes:
        organisations = changes["organisations"]
        require_declared(application, organisations)
        if not same_scope(workplace.organisations, organisations):
            workplace.organisations = None if organisations is None else list(organisations)
            workplace.scope_version += 1
    return before if document(workplace) == before else await tell(session, workplace)


async def _users(session: AsyncSession, workplace: Workplace, logins: Sequence[str]) -> list[str]:
    """The logins and the creator, for as long as he is a user of the application."""
    await require_members(session, workplace.application, logins)
    creator = await known_members(session, workplace.application, [workplace.created_by])
    return list(dict.fromkeys([*logins, *creator]))
