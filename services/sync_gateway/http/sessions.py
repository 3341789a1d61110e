"""Sessions of people."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import StringConstraints

from services.sync_gateway.access.sign_in import sign_in, sign_out
from services.sync_gateway.http.bodies import Body, Password
from services.sync_gateway.http.callers import COOKIE, SignedIn
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import wire_time

router = APIRouter(tags=["sessions"])


class Credentials(Body):
    """`cookie`: the console also wants the session as a cookie."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    password: Password
    cookie: bool = False


@router.post("/sessions", status_code=201)
async def post_session(body: Credentials, parts: Wired, response: Response) -> dict[str, Any]:
    """Sign in: 401 `wrong_credentials`, 429 `too_many_attempts` with Retry-After."""
    lifetime = timedelta(days=parts.door.token_days)
    begun = await sign_in(parts.sessions, parts.provisioning, body.login, body.password, lifetime)
    if body.cookie:
        response.set_cookie(
            COOKIE,
            begun.token,
            max_age=int(lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=parts.door.secure_cookie,
            path="/",
        )
    return {"token": begun.token, "expires_at": wire_time(begun.expires_at), "user": begun.user}


@router.delete("/sessions/current", status_code=204)
async def delete_session(person: SignedIn, parts: Wired, response: Response) -> None:
    """Sign out."""
    await sign_out(parts.sessions, person.session)
    response.delete_cookie(COOKIE, path="/")
