"""Activation of a replica."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import StringConstraints

from services.sync_gateway.access.activate_workplace import activate_workplace
from services.sync_gateway.http.bodies import Body, Line, Password
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import id_of, wire_time

router = APIRouter(tags=["exchange"])


class Claim(Body):
    """Who activates which replica. `replica_id` is made at the first start on a computer."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    password: Password
    replica_id: Line
    program: Line


@router.post("/workplaces/{workplace}/activation")
async def post_activation(workplace: str, body: Claim, parts: Wired) -> dict[str, Any]:
    """Claim the workplace for a replica and get its token."""
    activated = await activate_workplace(
        parts.sessions,
        parts.provisioning,
        id_of(workplace),
        body.login,
        body.password,
        body.replica_id,
        timedelta(days=parts.door.token_days),
    )
    return {
        "token": activated.token,
        "expires_at": wire_time(activated.expires_at),
        "position": activated.position,
    }
