"""The problem list of an application, kept in its own database, and the decisions on it."""

from functools import partial
from typing import Any, Literal
from uuid import UUID

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import ADMINISTRATOR, not_found, not_permitted
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import Application, ApplicationDatabases, Connection
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Workplace
from shared.replication import problems
from shared.replication.model import Model
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

Choice = Literal["accepted", "rejected"]


async def list_problems(
    databases: ApplicationDatabases, application: Application, workplace: UUID | None, limit: int, after: str | None
) -> dict[str, Any]:
    """A page of the problems of the application, or of one workplace. Problem `application_unavailable`."""
    if after is not None and id_of(after) is None:
        raise Problem("invalid_request", "after: no mark of this list.")
    listed = partial(
        problems.list_,
        application=application.code,
        workplace=str(workplace) if workplace else None,
        limit=limit,
        after=after,
    )
    return await databases.run_on(application.connection, listed)


async def resolve_problem(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    person: Person,
    problem: UUID | None,
    choice: Choice,
    comment: str | None,
) -> dict[str, Any]:
    """The problem with the decision taken. It is looked for in the person's applications only.

    Problems `not_found`, `not_permitted`, `already_resolved`, `application_unavailable`.
    """

    def resolve(connection: Connection, model: Model) -> dict[str, Any]:
        return problems.resolve(connection, application.code, model, str(problem), choice, comment, person.login)

    for code in sorted(person.roles) if problem else ():
        application = await catalogue.get(code)
        found = await databases.run_on(
            application.connection, partial(problems.get, application=code, problem=str(problem))
        )
        if found is None:
            continue
        if person.roles[code] != ADMINISTRATOR:
            await _require_listed(sessions, person, found["workplace"])
            raise not_permitted("An administrator decides on problems.")
        return await databases.run(application, resolve)
    raise not_found("There is no such problem.")


async def _require_listed(sessions: Sessions, person: Person, workplace: str) -> None:
    async with sessions() as db:
        found = await db.get(Workplace, UUID(workplace))
    if found is None or person.login not in found.users:
        raise not_found("There is no such problem.")
