"""The problem list of an application, kept in its own database, and the decisions on it."""

from typing import Any, Literal
from uuid import UUID

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import ADMINISTRATOR, not_found, not_permitted
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import Application, ApplicationDatabases
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Workplace
from shared.replication import problems
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem

Choice = Literal["accepted", "rejected"]


async def list_problems(
    databases: ApplicationDatabases, application: Application, workplace: UUID | None, limit: int, after: str | None
) -> dict[str, Any]:
    """A page of the problems of the application, or of one workplace. Problem `application_unavailable`."""
    if after is not None and id_of(after) is None:
        raise Problem("invalid_request", "after: no mark of this list.")
    identity = str(workplace) if workplace else None
    return dict(
        await databases.run(
            application,
            lambda connection, _: problems.list_(
                connection, application.code, workplace=identity, limit=limit, after=after
            ),
        )
    )


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
    for code in sorted(person.roles) if problem else ():
        application = await catalogue.get(code)
        found = await databases.run(
            application, lambda connection, _, code=code: problems.get(connection, code, str(problem))
        )
        if found is None:
            continue
        if person.roles[code] != ADMINISTRATOR:
            await _require_listed(sessions, person, found["workplace"])
            raise not_permitted("An administrator decides on problems.")
        return dict(
            await databases.run(
                application,
                lambda connection, model, application=application: problems.resolve(
                    connection, application.code, model, str(problem), choice, comment, person.login
                ),
            )
        )
    raise not_found("There is no such problem.")


async def _require_listed(sessions: Sessions, person: Person, workplace: str) -> None:
    async with sessions() as db:
        found = await db.get(Workplace, UUID(workplace))
    if found is None or person.login not in found.users:
        raise not_found("There is no such problem.")
