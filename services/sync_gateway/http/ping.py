"""`GET /ping`: is there a service, and what does it think of my workplace?"""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request

from services.sync_gateway.access.callers import find_token, replica_behind, require_living_right, wrong_kind
from services.sync_gateway.http.callers import is_operator, presented
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import wire_time
from services.sync_gateway.tables import Workplace

router = APIRouter(tags=["exchange"])


@router.get("/ping")
async def ping(request: Request, parts: Wired) -> dict[str, Any]:
    """The service and its time; with a workplace's token also the workplace and its state."""
    answer: dict[str, Any] = {"service": "yurt", "protocol": [1], "time": wire_time(datetime.now(UTC))}
    if "authorization" not in request.headers:
        return answer
    token = presented(request) or ""
    if is_operator(token, parts.operator_token):
        raise wrong_kind("The operator's token opens only /operator/v1.")
    replica = replica_behind(await find_token(parts.sessions, token))
    async with parts.sessions() as db:
        workplace = await db.get_one(Workplace, replica.workplace)
    if workplace.state != "deleted":
        await require_living_right(parts.sessions, parts.provisioning, replica, workplace.application, workplace.users)
    return answer | {"workplace": str(workplace.id), "state": workplace.state}
