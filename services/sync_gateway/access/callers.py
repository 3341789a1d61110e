"""Who is calling: a person with roles, or a replica of a workplace."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import httpx

from services.sync_gateway.access.tokens import end_token, end_tokens_of_person, valid_token
from services.sync_gateway.peers import ask
from services.sync_gateway.tables import Token
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem


@dataclass(frozen=True)
class Person:
    """A person with a session. `roles`: application code → role, as provisioning has them now."""

    login: str
    full_name: str
    roles: Mapping[str, str]
    session: bytes


@dataclass(frozen=True)
class Replica:
    """A copy of a workplace, speaking with the right of the person who activated it."""

    workplace: UUID
    replica: str
    login: str
    token: bytes


def unauthenticated(detail: str = "A valid token is needed.") -> Problem:
    """The caller is not known."""
    return Problem("not_authenticated", detail)


def wrong_kind(detail: str) -> Problem:
    """The token is valid, but for other doors."""
    return Problem("wrong_token_kind", detail)


async def find_token(sessions: Sessions, token: str) -> Token:
    """The right behind a presented token. Problem `not_authenticated`."""
    async with sessions() as db:
        found = await valid_token(db, token)
    if found is None:
        raise unauthenticated()
    return found


async def person_behind(sessions: Sessions, provisioning: httpx.AsyncClient, token: Token) -> Person:
    """The person of a session, with his present roles. A session dies with its user: Problem `not_authenticated`."""
    if token.workplace is not None:
        raise wrong_kind("This door opens to a session, not to the token of a workplace.")
    try:
        user = await ask(provisioning, "GET", f"/users/{token.login}")
    except Problem as problem:
        if problem.code != "not_found":
            raise
        async with sessions.begin() as db:
            await end_tokens_of_person(db, token.login)
        raise unauthenticated() from problem
    return Person(user["login"], user["full_name"], user["roles"], token.digest)


def replica_behind(token: Token) -> Replica:
    """The replica that speaks. Problem `wrong_token_kind` for a session."""
    if token.workplace is None or token.replica is None:
        raise wrong_kind("This door opens to the token of a workplace, not to a session.")
    return Replica(token.workplace, token.replica, token.login, token.digest)


async def require_living_right(
    sessions: Sessions, provisioning: httpx.AsyncClient, replica: Replica, application: str, users: list[str]
) -> None:
    """A replica's token lives as long as its person is listed and has a role.

    Problem `not_authenticated`, and the token is gone.
    """
    if replica.login in users:
        try:
            if application in (await ask(provisioning, "GET", f"/users/{replica.login}"))["roles"]:
                return
        except Problem as problem:
            if problem.code != "not_found":
                raise
    async with sessions.begin() as db:
        await end_token(db, replica.token)
    raise unauthenticated("The person who activated this replica may not synchronise it any more.")
