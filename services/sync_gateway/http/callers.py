"""Who stands at the door: dependencies that let a person, a replica or the operator in."""

import secrets
from typing import Annotated

from fastapi import Depends, Request

from services.sync_gateway.access.callers import (
    Person,
    Replica,
    find_token,
    person_behind,
    replica_behind,
    unauthenticated,
    wrong_kind,
)
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.tables import Token

COOKIE = "yurt_session"
_SAFE = frozenset({"GET", "HEAD"})


def presented(request: Request) -> str | None:
    """The bearer token; without one the console's cookie, which a foreign page cannot use to change anything."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    cookie = request.cookies.get(COOKIE)
    if cookie and request.method not in _SAFE and request.headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return None
    return cookie


_OWN_SITE = frozenset({"none", "same-origin"})


async def _token(request: Request, parts: Wired) -> Token:
    token = presented(request)
    if token is None:
        raise unauthenticated()
    if is_operator(token, parts.operator_token):
        raise wrong_kind("The operator's token opens only /operator/v1.")
    return await find_token(parts.sessions, token)


def is_operator(token: str, operator_token: str) -> bool:
    """Compared in constant time."""
    return secrets.compare_digest(token.encode("utf-8", "surrogateescape"), operator_token.encode())


Bearer = Annotated[Token, Depends(_token)]


async def _person(token: Bearer, parts: Wired) -> Person:
    return await person_behind(parts.sessions, parts.provisioning, token)


async def _replica(token: Bearer) -> Replica:
    return replica_behind(token)


async def _either(token: Bearer, parts: Wired) -> Person | Replica:
    if token.workplace is not None:
        return replica_behind(token)
    return await person_behind(parts.sessions, parts.provisioning, token)


async def _operator(request: Request, parts: Wired) -> None:
    token = presented(request)
    if token is None:
        raise unauthenticated("The operator's token is needed.")
    if not is_operator(token, parts.operator_token):
        await find_token(parts.sessions, token)
        raise wrong_kind("This door opens to the operator's token only.")


SignedIn = Annotated[Person, Depends(_person)]
ActiveReplica = Annotated[Replica, Depends(_replica)]
PersonOrReplica = Annotated[Person | Replica, Depends(_either)]
operator_only = Depends(_operator)
