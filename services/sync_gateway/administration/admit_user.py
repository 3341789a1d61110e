"""An operator gives people roles and takes them away."""

from typing import Any

import httpx
from sqlmodel import col, delete, select

from services.sync_gateway.access.tokens import end_tokens_of_person
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.peers import Answer, ask
from services.sync_gateway.tables import Token, Workplace
from shared.runtime.database import Sessions


async def admit_user(
    sessions: Sessions,
    provisioning: httpx.AsyncClient,
    catalogue: ApplicationCatalogue,
    application: str,
    login: str,
    wishes: dict[str, Any],
) -> Answer:
    """The person has the role. A new password ends his sessions and the tokens he activated."""
    answer = await ask(provisioning, "PUT", f"/applications/{application}/users/{login}", wishes)
    catalogue.forget(application)
    if answer.pop("password_changed", False):
        async with sessions.begin() as db:
            await end_tokens_of_person(db, login)
    return answer


async def dismiss_user(
    sessions: Sessions,
    provisioning: httpx.AsyncClient,
    catalogue: ApplicationCatalogue,
    application: str,
    login: str,
) -> None:
    """The person has no role in the application; the tokens he activated for its workplaces are gone."""
    await ask(provisioning, "DELETE", f"/applications/{application}/users/{login}")
    catalogue.forget(application)
    own = select(Workplace.id).where(col(Workplace.application) == application)
    async with sessions.begin() as db:
        await db.exec(delete(Token).where(col(Token.login) == login, col(Token.workplace).in_(own)))
