"""The problem list: conflicts and rejected changes, with both versions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import StringConstraints

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import require_administrator
from services.sync_gateway.administration.find_problem import (
    FoundProblem,
    problem_for_decider,
    problem_for_reader,
    problem_now,
    problem_of_workplace,
)
from services.sync_gateway.administration.kept_replies import Reply, reply_once
from services.sync_gateway.administration.resolve_problem import (
    comment_on_problem,
    list_problems,
    reopen_problem,
    resolve_problem,
)
from services.sync_gateway.http.bodies import Body
from services.sync_gateway.http.callers import PersonOrReplica, SignedIn
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.packages import readable_workplace
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.http.workplaces import IdempotencyKey
from services.sync_gateway.moments import id_of

router = APIRouter(tags=["problems"])

Text = Annotated[str, StringConstraints(max_length=2000)]


class Resolution(Body):
    """`accepted` keeps what is in force, `rejected` puts the other version in force."""

    choice: Literal["accepted", "rejected"]
    comment: Text | None = None


class Reopening(Body):
    """Why it is opened again."""

    comment: Text | None = None


class Comment(Body):
    """What somebody says about a problem."""

    text: Annotated[Text, StringConstraints(min_length=1)]


async def _readable(problem: str, caller: PersonOrReplica, parts: Wired) -> FoundProblem:
    if isinstance(caller, Person):
        return await problem_for_reader(parts.sessions, parts.catalogue, parts.databases, caller, id_of(problem))
    workplace = await readable_workplace(parts, str(caller.workplace), caller)
    return await problem_of_workplace(parts.catalogue, parts.databases, workplace, id_of(problem))


async def _decidable(problem: str, person: SignedIn, parts: Wired) -> FoundProblem:
    return await problem_for_decider(parts.sessions, parts.catalogue, parts.databases, person, id_of(problem))


Readable = Annotated[FoundProblem, Depends(_readable)]
Decidable = Annotated[FoundProblem, Depends(_decidable)]


@router.get("/applications/{app}/problems")
async def get_problems(
    app: str, person: SignedIn, parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None
) -> dict[str, Any]:
    """The problems of an application's workplaces."""
    require_administrator(person, app)
    return await list_problems(parts.databases, await parts.catalogue.get(app), None, limit, after)


@router.get("/workplaces/{workplace}/problems")
async def get_workplace_problems(
    workplace: str, caller: PersonOrReplica, parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None
) -> dict[str, Any]:
    """The problems of one workplace."""
    found = await readable_workplace(parts, workplace, caller)
    application = await parts.catalogue.get(found.application)
    return await list_problems(parts.databases, application, found.id, limit, after)


@router.get("/problems/{problem}")
async def get_problem(problem: Readable) -> dict[str, Any]:
    """One problem with its comments and its history."""
    return problem.document


@router.post("/problems/{problem}/comments", status_code=201)
async def post_comment(
    problem: Readable,
    body: Comment,
    caller: PersonOrReplica,
    parts: Wired,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Say something about it without deciding."""

    async def comment() -> Reply:
        await comment_on_problem(parts.databases, problem, body.text, caller.login)
        return 201, {"id": problem.id}  # what is kept of the reply holds no rows of the application

    owner = caller.login if isinstance(caller, Person) else f"{caller.workplace}/{caller.login}"
    request = ["POST", f"/problems/{problem.id}/comments", body.model_dump()]
    response.status_code, _ = await reply_once(parts.sessions, owner, idempotency_key, request, comment)
    return await problem_now(parts.databases, problem)


@router.post("/problems/{problem}/resolution")
async def post_resolution(problem: Decidable, body: Resolution, person: SignedIn, parts: Wired) -> dict[str, Any]:
    """Decide: 409 `already_resolved` the second time."""
    return await resolve_problem(parts.databases, problem, body.choice, body.comment, person.login)


@router.post("/problems/{problem}/reopening")
async def post_reopening(problem: Decidable, body: Reopening, person: SignedIn, parts: Wired) -> dict[str, Any]:
    """Open a decided problem again, nothing else changes: 409 `not_resolved` when it is open."""
    return await reopen_problem(parts.databases, problem, body.comment, person.login)
