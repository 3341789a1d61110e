"""Create, change and end workplaces: provisioning decides, the projection follows at once."""

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from sqlmodel import col, update

from services.sync_gateway.administration.describe_workplace import describe_workplace
from services.sync_gateway.administration.project_workplace import project_workplace
from services.sync_gateway.application_databases import Application, ApplicationDatabases
from services.sync_gateway.peers import ask
from services.sync_gateway.tables import Activation, Workplace
from shared.contracts.provisioning import WorkplaceChanged
from shared.replication import scope
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

_log = logging.getLogger(__name__)

Act = Literal["suspend", "resume", "reissue", "package"]


async def create_workplace(
    sessions: Sessions, provisioning: httpx.AsyncClient, application: str, wishes: dict[str, Any], key: str | None
) -> dict[str, Any]:
    """The document of the workplace now requested. `wishes`: name, users, organisations (checked), created_by."""
    headers = (
        {"Idempotency-Key": hashlib.sha256(f"{wishes['created_by']}\n{key}".encode()).hexdigest()} if key else None
    )
    answer = await ask(provisioning, "POST", f"/applications/{application}/workplaces", wishes, headers=headers)
    return await take_over(sessions, answer)


async def change_workplace(
    sessions: Sessions, provisioning: httpx.AsyncClient, workplace: UUID, wishes: dict[str, Any]
) -> dict[str, Any]:
    """The document of the changed workplace. `wishes` holds only what is to change; organisations are checked."""
    return await take_over(sessions, await ask(provisioning, "PATCH", f"/workplaces/{workplace}", wishes))


async def act_on_workplace(
    sessions: Sessions, provisioning: httpx.AsyncClient, workplace: UUID, act: Act
) -> dict[str, Any]:
    """The workplace suspended, resumed, given a new package or reissued.

    After a reissue another replica may claim it; until it does, the old one may still upload.
    """
    answer = await ask(provisioning, "POST", f"/workplaces/{workplace}/{act}")
    if act == "reissue":
        async with sessions.begin() as db:
            await db.exec(
                update(Activation).where(col(Activation.workplace) == workplace).values(reissued_at=datetime.now(UTC))
            )
    return await take_over(sessions, answer)


async def delete_workplace(
    sessions: Sessions, provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient, workplace: UUID
) -> dict[str, Any]:
    """The workplace ended for ever and its seat is free; while licensing is away, it is on its way back."""
    ended = await ask(provisioning, "DELETE", f"/workplaces/{workplace}")
    try:
        await ask(licensing, "DELETE", f"/subscriptions/{ended['subscriber']}/seats/{workplace}")
    except Problem as problem:
        _log.warning("the seat of workplace %s is given back by its event only: %s", workplace, problem.code)
    return await take_over(sessions, ended)


async def require_organisations(
    databases: ApplicationDatabases, application: Application, keys: list[str] | None
) -> None:
    """The keys are organisations of the application, as it has them now. Problem `unknown_organisation`."""
    if keys is None:
        return
    known = {organisation["key"] for organisation in await databases.run(application, scope.organisations)}
    unknown = sorted(set(keys) - known)
    if unknown:
        raise Problem(
            "unknown_organisation", f"No organisations of this application: {unknown}.", organisations=unknown
        )


async def take_over(sessions: Sessions, answer: dict[str, Any]) -> dict[str, Any]:
    """Project what provisioning answered and describe the workplace as it is now."""
    changed = WorkplaceChanged.model_validate(answer)
    async with sessions.begin() as db:
        await project_workplace(db, changed)
        workplace = await db.get_one(Workplace, changed.workplace)
        return await describe_workplace(db, workplace)
