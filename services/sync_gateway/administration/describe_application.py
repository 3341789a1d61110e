"""Applications as the protocol shows them."""

import asyncio
from typing import Any

import httpx

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import ADMINISTRATOR, USER
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import Application, ApplicationDatabases
from services.sync_gateway.peers import ask
from shared.replication import scope
from shared.runtime.problem import Problem


async def describe_application(
    catalogue: ApplicationCatalogue, databases: ApplicationDatabases, licensing: httpx.AsyncClient, code: str
) -> dict[str, Any]:
    """The whole document, for its administrators: with organisations, users and seats as they are now."""
    application = await catalogue.get(code, fresh=True)
    organisations, seats = await asyncio.gather(
        databases.run(application, scope.organisations),
        ask(licensing, "GET", f"/subscriptions/{application.subscriber}"),
    )
    users = [{name: user[name] for name in ("login", "full_name", "role")} for user in application.users]
    return _outline(application) | {
        "organisations": organisations,
        "users": users,
        "seats": {name: seats[name] for name in _seats_told(seats)},
    }


def _seats_told(seats: dict[str, Any]) -> tuple[str, ...]:
    """How many are over, and until when all go on, is told where any is."""
    return ("limit", "used", "over", "grace_until") if seats["over"] else ("limit", "used")


async def list_applications(
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    licensing: httpx.AsyncClient,
    person: Person,
    limit: int,
    after: str | None,
) -> dict[str, Any]:
    """A page by code: whole documents where the person administers, outlines where he is a user.

    In an outline `organisations`, `users` and `seats` are null. So is an application whose database is away: one must
    not hide the others.
    """
    opened = (ADMINISTRATOR, USER)
    codes = sorted(code for code, role in person.roles.items() if role in opened and (after is None or code > after))

    async def document(code: str) -> dict[str, Any]:
        if person.roles[code] != ADMINISTRATOR:
            return _outline(await catalogue.get(code)) | {"organisations": None, "users": None, "seats": None}
        try:
            return await describe_application(catalogue, databases, licensing, code)
        except Problem as problem:
            if problem.code not in {"application_unavailable", "configuration_changed", "unknown_connection"}:
                raise
            return _outline(await catalogue.get(code)) | {"organisations": None, "users": None, "seats": None}

    items = await asyncio.gather(*(document(code) for code in codes[:limit]))
    return {"items": items, "next": codes[limit - 1] if len(codes) > limit else None}


def _outline(application: Application) -> dict[str, Any]:
    return {
        "code": application.code,
        "title": application.title,
        "configuration": application.configuration,
        "version": application.version,
        "platform": application.platform,
    }
