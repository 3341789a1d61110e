"""Workplaces: created, read, watched, changed, ended."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from services.sync_gateway.access.rights import require_administrator, require_manager, require_reader, require_role
from services.sync_gateway.administration.change_workplaces import (
    act_on_workplace,
    change_workplace,
    create_workplace,
    delete_workplace,
    require_organisations,
)
from services.sync_gateway.administration.describe_workplace import describe_workplace
from services.sync_gateway.administration.kept_replies import Reply, reply_once
from services.sync_gateway.administration.list_workplaces import list_workplaces
from services.sync_gateway.administration.marks import read_mark
from services.sync_gateway.administration.watch_workplace import watch_workplace
from services.sync_gateway.http.bodies import Body, Line, Login
from services.sync_gateway.http.callers import SignedIn
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.wiring import Parts, Wired
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Workplace

router = APIRouter(tags=["workplaces"])

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200)]
Name = Annotated[Line, Field(max_length=100)]
Logins = Annotated[list[Login], Field(max_length=1000)]
Organisations = Annotated[list[Line], Field(min_length=1, max_length=10_000)]


class NewWorkplace(Body):
    """`organisations` absent or null = all, also those added later."""

    name: Name | None = None
    users: Logins | None = None
    organisations: Organisations | None = None


class WorkplaceChanges(Body):
    """Only what is given changes."""

    name: Name = ""
    users: Logins = Field(default_factory=list)
    organisations: Organisations | None = None


async def _readable(workplace: str, person: SignedIn, parts: Wired) -> Workplace:
    found = await _find(parts, workplace)
    require_reader(person, found)
    return cast("Workplace", found)


async def _manageable(workplace: str, person: SignedIn, parts: Wired) -> Workplace:
    found = await _find(parts, workplace)
    require_manager(person, found)
    return cast("Workplace", found)


async def _find(parts: Parts, workplace: str) -> Workplace | None:
    identity = id_of(workplace)
    if identity is None:
        return None
    async with parts.sessions() as db:
        return await db.get(Workplace, identity)


Readable = Annotated[Workplace, Depends(_readable)]
Manageable = Annotated[Workplace, Depends(_manageable)]


@router.post("/applications/{app}/workplaces", status_code=202)
async def post_workplace(
    app: str,
    body: NewWorkplace,
    person: SignedIn,
    parts: Wired,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Request a workplace; what cannot be granted becomes state `refused`."""
    require_administrator(person, app)

    async def create() -> Reply:
        await require_organisations(parts.databases, await parts.catalogue.get(app), body.organisations)
        wishes = body.model_dump() | {"created_by": person.login}
        return 202, await create_workplace(parts.sessions, parts.provisioning, app, wishes, idempotency_key)

    request = ["POST", f"/applications/{app}/workplaces", body.model_dump()]
    response.status_code, document = await reply_once(parts.sessions, person.login, idempotency_key, request, create)
    return document


@router.get("/applications/{app}/workplaces")
async def get_workplaces(
    app: str, person: SignedIn, parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None
) -> dict[str, Any]:
    """Those the person may read."""
    require_role(person, app)
    return await list_workplaces(parts.sessions, app, person, limit, read_mark(after))


@router.get("/workplaces/{workplace}")
async def get_workplace(workplace: Readable, parts: Wired) -> dict[str, Any]:
    """The workplace as it is now."""
    async with parts.sessions() as db:
        return await describe_workplace(db, workplace)


@router.get("/workplaces/{workplace}/events", response_class=EventSourceResponse)
async def get_events(workplace: Readable, parts: Wired) -> AsyncIterator[ServerSentEvent]:
    """Its present state and every change, until it is ready, failed, refused or deleted."""
    async for document in watch_workplace(parts.sessions, parts.feed, workplace.id):
        yield ServerSentEvent(event="workplace", raw_data=json.dumps(document, ensure_ascii=False))


@router.patch("/workplaces/{workplace}")
async def patch_workplace(body: WorkplaceChanges, workplace: Manageable, parts: Wired) -> dict[str, Any]:
    """Change name, users or organisations; these reach the replica with its next exchange."""
    if "organisations" in body.model_fields_set:
        application = await parts.catalogue.get(workplace.application)
        await require_organisations(parts.databases, application, body.organisations)
    wishes = body.model_dump(include=body.model_fields_set)
    return await change_workplace(parts.sessions, parts.provisioning, workplace.id, wishes)


@router.post("/workplaces/{workplace}/package", status_code=202)
async def post_package(
    workplace: Manageable,
    person: SignedIn,
    parts: Wired,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Order a new package."""

    async def order() -> Reply:
        return 202, await act_on_workplace(parts.sessions, parts.provisioning, workplace.id, "package")

    request = ["POST", f"/workplaces/{workplace.id}/package"]
    response.status_code, document = await reply_once(parts.sessions, person.login, idempotency_key, request, order)
    return document


@router.post("/workplaces/{workplace}/suspend")
async def post_suspend(workplace: Manageable, parts: Wired) -> dict[str, Any]:
    """Stop its exchanges for a while."""
    return await act_on_workplace(parts.sessions, parts.provisioning, workplace.id, "suspend")


@router.post("/workplaces/{workplace}/resume")
async def post_resume(workplace: Manageable, parts: Wired) -> dict[str, Any]:
    """Let it go on."""
    return await act_on_workplace(parts.sessions, parts.provisioning, workplace.id, "resume")


@router.post("/workplaces/{workplace}/reissue")
async def post_reissue(workplace: Manageable, parts: Wired) -> dict[str, Any]:
    """Order a new package and let another replica claim the workplace; the old one may upload until it does."""
    return await act_on_workplace(parts.sessions, parts.provisioning, workplace.id, "reissue")


@router.delete("/workplaces/{workplace}")
async def end_workplace(workplace: Manageable, parts: Wired) -> dict[str, Any]:
    """End it for ever; its seat is free."""
    return await delete_workplace(parts.sessions, parts.provisioning, parts.licensing, workplace.id)
