"""Applications and the exchanges of their workplaces."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.sync_gateway.access.rights import require_administrator
from services.sync_gateway.administration.describe_application import describe_application, list_applications
from services.sync_gateway.administration.list_exchanges import Filters, export_exchanges, list_exchanges
from services.sync_gateway.administration.marks import read_mark
from services.sync_gateway.http.callers import SignedIn
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import id_of

router = APIRouter(tags=["applications"])

NOBODY = UUID(int=0)


@router.get("/applications")
async def get_applications(
    person: SignedIn, parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None
) -> dict[str, Any]:
    """The applications the person may see."""
    return await list_applications(parts.catalogue, parts.databases, parts.licensing, person, limit, after)


@router.get("/applications/{app}")
async def get_application(app: str, person: SignedIn, parts: Wired) -> dict[str, Any]:
    """One application with organisations, users and seats, for its administrators."""
    require_administrator(person, app)
    return await describe_application(parts.catalogue, parts.databases, parts.licensing, app)


@router.get("/applications/{app}/exchanges", response_model=dict[str, Any])
async def get_exchanges(
    app: str,
    request: Request,
    person: SignedIn,
    parts: Wired,
    workplace: Annotated[str | None, Query(max_length=100)] = None,
    result: Annotated[str | None, Query(max_length=100, pattern="^[a-z_]*$")] = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to")] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Response | dict[str, Any]:
    """The exchanges of its workplaces, newest first; all of them as CSV when that is accepted rather than JSON."""
    require_administrator(person, app)
    wanted = None if workplace is None else id_of(workplace) or NOBODY
    filters = Filters(wanted, result, _in_utc(since), _in_utc(until))
    if _prefers_csv(request.headers.get("accept", "")):
        headers = {"Content-Disposition": f'attachment; filename="exchanges-{app}.csv"'}
        return StreamingResponse(export_exchanges(parts.sessions, app, filters), media_type="text/csv", headers=headers)
    return await list_exchanges(parts.sessions, app, filters, limit, read_mark(after))


def _prefers_csv(accept: str) -> bool:
    """The first of the two that is named."""
    named = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return next((kind for kind in named if kind in {"text/csv", "application/json"}), "") == "text/csv"


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
