"""The problem list of an application, kept in its own database: read, talked about, decided, opened again."""

from functools import partial
from typing import Any, Literal
from uuid import UUID

from services.sync_gateway.administration.find_problem import FoundProblem
from services.sync_gateway.application_databases import Application, ApplicationDatabases, Connection
from services.sync_gateway.moments import id_of
from shared.replication import problems
from shared.replication.model import Model
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
    databases: ApplicationDatabases, found: FoundProblem, choice: Choice, comment: str | None, login: str
) -> dict[str, Any]:
    """The problem with the decision taken. Problems `already_resolved`, `lines_unknown`, `application_unavailable`, or
    the code of the rule that refuses the other version.
    """

    def resolve(connection: Connection, model: Model) -> dict[str, Any]:
        return problems.resolve(connection, found.application.code, model, found.id, choice, comment, login)

    return await databases.run(found.application, resolve)


async def reopen_problem(
    databases: ApplicationDatabases, found: FoundProblem, comment: str | None, login: str
) -> dict[str, Any]:
    """The problem, open again. Problems `not_resolved`, `application_unavailable`."""
    reopen = partial(
        problems.reopen, application=found.application.code, problem=found.id, comment=comment, login=login
    )
    return await databases.run_on(found.application.connection, reopen)


async def comment_on_problem(databases: ApplicationDatabases, found: FoundProblem, text: str, login: str) -> None:
    """The comment is kept with the problem. Problem `application_unavailable`."""
    comment = partial(problems.comment_on, application=found.application.code, problem=found.id, text=text, login=login)
    await databases.run_on(found.application.connection, comment)
