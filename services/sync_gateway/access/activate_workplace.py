"""A replica claims its workplace (protocol.md, Activation)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.access.rights import not_found, not_permitted
from services.sync_gateway.access.tokens import end_tokens_of_workplace, issue
from services.sync_gateway.peers import ask
from services.sync_gateway.tables import Activation, Workplace
from shared.contracts.sync_gateway import WorkplaceActivated
from shared.messaging.outbox import record
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

ACTIVATABLE = ("ready", "active", "suspended")


@dataclass(frozen=True)
class Activated:
    """The replica's token and the position it is known to hold."""

    token: str
    expires_at: datetime
    position: str | None


async def activate_workplace(
    sessions: Sessions,
    provisioning: httpx.AsyncClient,
    workplace_id: UUID | None,
    login: str,
    password: str,
    replica: str,
    lifetime: timedelta,
) -> Activated:
    """Bind the workplace to `replica` and give it a token; the same replica renews its token.

    After a reissue another replica may claim it; the tokens of the former one end with that. Problems:
    `wrong_credentials`, `too_many_attempts`, `not_found`, `not_permitted`, `workplace_deleted`, `package_not_ready`,
    `activated_elsewhere`.
    """
    user = await ask(provisioning, "POST", "/authentications", {"login": login, "password": password})
    async with sessions.begin() as db:
        workplace = await db.get(Workplace, workplace_id) if workplace_id else None
        if workplace is None or workplace.application not in user["roles"]:
            raise not_found("There is no such workplace.")
        if user["login"] not in workplace.users:
            raise not_permitted("You are not among the users of this workplace.")
        if workplace.state == "deleted":
            raise Problem("workplace_deleted", "The workplace was deleted.")
        if workplace.state not in ACTIVATABLE:
            raise Problem("package_not_ready", f"The workplace is {workplace.state}; there is nothing to activate.")
        position = await _claim(db, workplace, user["login"], replica)
        await end_tokens_of_workplace(db, workplace.id, login=user["login"], replica=replica)
        token, expires_at = issue(db, user["login"], lifetime, workplace=workplace.id, replica=replica)
    return Activated(token, expires_at, position)


async def _claim(db: AsyncSession, workplace: Workplace, login: str, replica: str) -> str | None:
    """The position of the claimed replica. Takes the activation's row, so that of two claims one wins."""
    now = datetime.now(UTC)
    await db.exec(
        insert(Activation)
        .values(workplace=workplace.id, replica=replica, login=login, activated_at=now)
        .on_conflict_do_nothing()
    )
    activation = await db.get_one(Activation, workplace.id, with_for_update=True)
    # Until the new package is there only the old one can be meant, and that may not be used twice.
    claimed_anew = activation.reissued_at is not None and (
        workplace.package is not None or activation.replica == replica
    )
    if activation.replica != replica and not claimed_anew:
        raise Problem(
            "activated_elsewhere", "The workplace is active on another computer. An administrator can reissue it."
        )
    if claimed_anew:
        await end_tokens_of_workplace(db, workplace.id, replica=activation.replica)
        activation.replica, activation.login, activation.activated_at = replica, login, now
        activation.reissued_at = activation.position = activation.scope_version = None
        activation.unsent = activation.differing = None
    if claimed_anew or activation.activated_at == now or workplace.state == "ready":
        if workplace.state == "ready":
            workplace.state = "active"  # as the event makes it; who asks now is told so already
        await record(
            db,
            WorkplaceActivated(
                workplace=workplace.id,
                application=workplace.application,
                login=login,
                replica=replica,
                activated_at=now,
            ),
        )
    package_position = (workplace.package or {}).get("position")
    return activation.position or package_position
