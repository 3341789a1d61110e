"""The operator's calls: subscribers, applications, users, dead letters."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from services.sync_gateway.access.rights import not_found
from services.sync_gateway.administration.admit_user import admit_user, dismiss_user
from services.sync_gateway.administration.attach_application import (
    Attachment,
    attach_application,
    declare_restore,
    detach_application,
)
from services.sync_gateway.administration.describe_attachment import without_secret
from services.sync_gateway.administration.register_subscriber import register_subscriber
from services.sync_gateway.http.bodies import CODE, LOGIN, Body, Line, Password
from services.sync_gateway.http.callers import operator_only
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import id_of
from services.sync_gateway.peers import Answer

router = APIRouter(prefix="/operator/v1", tags=["operator"], dependencies=[operator_only])

Code = Annotated[str, Path(pattern=CODE)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class SubscriberBody(Body):
    """A subscriber and his subscription. `valid_until`: the last valid date in UTC, null = without an end."""

    name: Line
    plan: Literal["prof", "extended", "optimal", "starter"]
    extra_seats: Annotated[int, Field(ge=0, le=100_000, strict=True)] = 0
    valid_until: date | None = None
    local_licence: Annotated[bool, Field(strict=True)]


class ApplicationBody(Body, Attachment):
    """An application to attach: `manifest` is TOML text, `connection` a name."""

    subscriber: Annotated[str, StringConstraints(pattern=CODE)]
    title: Line | dict[Language, Line]
    manifest: str
    connection: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    area: Line | None = None


class UserBody(Body):
    """A user's role in an application; without `password` the one he has stays."""

    full_name: Line
    role: Literal["administrator", "user", "synchronisation"]
    password: Password | None = None


@router.put("/subscribers/{code}")
async def put_subscriber(code: Code, body: SubscriberBody, parts: Wired, response: Response) -> dict[str, Any]:
    """Register (201) or change (200)."""
    terms = body.model_dump(mode="json", exclude={"name"})
    return _answer(response, await register_subscriber(parts.provisioning, parts.licensing, code, body.name, terms))


@router.put("/applications/{code}")
async def put_application(
    code: Code,
    body: ApplicationBody,
    parts: Wired,
    response: Response,
    dry_run: Annotated[bool, Query()] = False,  # noqa: FBT002  # a query parameter
) -> dict[str, Any]:
    """Attach (201) or change (200); 422 `manifest_invalid` with every mistake. `dry_run` only checks."""
    answer = await attach_application(parts.provisioning, parts.databases, parts.catalogue, code, body, dry_run=dry_run)
    return without_secret(_answer(response, answer))


@router.delete("/applications/{code}", status_code=204)
async def delete_application(code: Code, parts: Wired) -> None:
    """Detach it: its workplaces end, capture is removed."""
    await detach_application(parts.provisioning, parts.databases, parts.catalogue, code)


@router.put("/applications/{code}/users/{login}")
async def put_user(
    code: Code, login: Annotated[str, Path(pattern=LOGIN)], body: UserBody, parts: Wired, response: Response
) -> dict[str, Any]:
    """Give a role (201) or change it (200); 409 `login_taken`."""
    wishes = body.model_dump(exclude_none=True)
    answer = await admit_user(parts.sessions, parts.provisioning, parts.catalogue, code, login, wishes)
    return _answer(response, answer)


@router.delete("/applications/{code}/users/{login}", status_code=204)
async def delete_user(code: Code, login: Annotated[str, Path(pattern=LOGIN)], parts: Wired) -> None:
    """Take the role away, and the tokens that came from it."""
    await dismiss_user(parts.sessions, parts.provisioning, parts.catalogue, code, login)


@router.post("/applications/{code}/restored")
async def post_restored(code: Code, parts: Wired) -> dict[str, Any]:
    """Declare that the application's database was restored from a backup."""
    return await declare_restore(parts.provisioning, parts.databases, parts.catalogue, code)


@router.get("/dead-letters")
async def get_dead_letters(
    parts: Wired,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> dict[str, Any]:
    """What consumers gave up, oldest first, with the reason."""
    letters = [letter.model_dump(mode="json") for letter in await parts.bus.dead_letters()]
    start = next((at + 1 for at, letter in enumerate(letters) if letter["id"] == after), 0)
    items = letters[start : start + limit]
    return {"items": items, "next": items[-1]["id"] if start + limit < len(letters) else None}


@router.post("/dead-letters/{letter}/replay", status_code=202)
async def post_replay(letter: str, parts: Wired) -> dict[str, Any]:
    """Hand it to its consumer once more."""
    identity = id_of(letter)
    if identity is None or not await parts.bus.replay(identity):
        raise not_found("There is no such dead letter.")
    return {"id": letter, "replayed": True}


def _answer(response: Response, answer: Answer) -> dict[str, Any]:
    response.status_code = answer.status
    return answer
