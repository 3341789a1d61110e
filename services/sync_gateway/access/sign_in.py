"""A person signs in and out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from services.sync_gateway.access.tokens import end_token, issue
from services.sync_gateway.peers import ask
from shared.runtime.database import Sessions


@dataclass(frozen=True)
class SignedIn:
    """A session just begun."""

    token: str
    expires_at: datetime
    user: dict[str, Any]


async def sign_in(
    sessions: Sessions, provisioning: httpx.AsyncClient, login: str, password: str, lifetime: timedelta
) -> SignedIn:
    """A session for a login and its password. Problems `wrong_credentials`, `too_many_attempts`."""
    user = await ask(provisioning, "POST", "/authentications", {"login": login, "password": password})
    async with sessions.begin() as db:
        token, expires_at = issue(db, user["login"], lifetime, workplace=None, replica=None)
    return SignedIn(token, expires_at, dict(user))


async def sign_out(sessions: Sessions, session: bytes) -> None:
    """The session is over."""
    async with sessions.begin() as db:
        await end_token(db, session)
