"""Which problems somebody may know of: those of the applications he has a role in, and of his own workplace."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import ADMINISTRATOR, not_found, require_manager, require_reader
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import Application, ApplicationDatabases
from services.sync_gateway.tables import Workplace
from shared.replication import problems
from shared.runtime.database import Sessions


@dataclass(frozen=True)
class FoundProblem:
    """A problem as the API shows it, and whose it is."""

    application: Application
    document: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.document["id"])


async def problem_for_reader(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    person: Person,
    problem: UUID | None,
) -> FoundProblem:
    """A problem of an application the person administers, or of a workplace he may read.

    Problems `not_found`, `not_permitted`, `application_unavailable`.
    """
    found = await _of_person(catalogue, databases, person, problem)
    if person.roles[found.application.code] != ADMINISTRATOR:
        require_reader(person, await _workplace(sessions, found))
    return found


async def problem_for_decider(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    person: Person,
    problem: UUID | None,
) -> FoundProblem:
    """A problem of an application the person administers. Problems as in `problem_for_reader`."""
    found = await _of_person(catalogue, databases, person, problem)
    if person.roles[found.application.code] != ADMINISTRATOR:
        require_manager(person, await _workplace(sessions, found))
    return found


async def problem_of_workplace(
    catalogue: ApplicationCatalogue, databases: ApplicationDatabases, workplace: Workplace, problem: UUID | None
) -> FoundProblem:
    """A problem of this workplace. Problems `not_found`, `application_unavailable`."""
    application = await catalogue.get(workplace.application)
    document = await _read(databases, application, problem)
    if document is None or document["workplace"] != str(workplace.id):
        raise not_found("There is no such problem.")
    return FoundProblem(application, document)


async def problem_now(databases: ApplicationDatabases, found: FoundProblem) -> dict[str, Any]:
    """The same problem as it is now. Problems `not_found`, `application_unavailable`."""
    document = await _read(databases, found.application, UUID(found.id))
    if document is None:
        raise not_found("There is no such problem.")
    return document


async def _of_person(
    catalogue: ApplicationCatalogue, databases: ApplicationDatabases, person: Person, problem: UUID | None
) -> FoundProblem:
    for code in sorted(person.roles) if problem else ():
        application = await catalogue.get(code)
        document = await _read(databases, application, problem)
        if document is not None:
            return FoundProblem(application, document)
    raise not_found("There is no such problem.")


async def _read(
    databases: ApplicationDatabases, application: Application, problem: UUID | None
) -> dict[str, Any] | None:
    if problem is None:
        return None
    read = partial(problems.get, application=application.code, problem=str(problem))
    return await databases.run_on(application.connection, read)


async def _workplace(sessions: Sessions, found: FoundProblem) -> Workplace | None:
    async with sessions() as db:
        return await db.get(Workplace, UUID(found.document["workplace"]))
