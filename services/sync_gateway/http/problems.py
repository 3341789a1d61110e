"""The problem list: conflicts and rejected changes, with both versions."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import StringConstraints

from services.sync_gateway.access.rights import require_administrator
from services.sync_gateway.administration.resolve_problem import list_problems, resolve_problem
from services.sync_gateway.http.bodies import Body
from services.sync_gateway.http.callers import PersonOrReplica, SignedIn
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.packages import readable_workplace
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import id_of

router = APIRouter(tags=["problems"])


class Resolution(Body):
    """`accepted` keeps what is in force, `rejected` puts the other version in force."""

    choice: Literal["accepted", "rejected"]
    comment: Annotated[str, StringConstraints(max_length=2000)] | None = None


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


@router.post("/problems/{problem}/resolution")
async def post_resolution(problem: str, body: Resolution, person: SignedIn, parts: Wired) -> dict[str, Any]:
    """Decide: 409 `already_resolved` the second time."""
    return await resolve_problem(
        parts.sessions, parts.catalogue, parts.databases, person, id_of(problem), body.choice, body.comment
    )
