"""Applications and the exchanges of their workplaces."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.sync_gateway.access.rights import require_administrator
from services.sync_gateway.administration.describe_application import describe_application, list_applications
from services.sync_gateway.http.callers import SignedIn
from services.sync_gateway.http.exchange_lists import ExchangeFilters, answer_exchanges
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.wiring import Wired

router = APIRouter(tags=["applications"])


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
    filters: ExchangeFilters,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Response | dict[str, Any]:
    """The exchanges of its workplaces, newest first; all of them as CSV when that is accepted rather than JSON."""
    require_administrator(person, app)
    return await answer_exchanges(request, parts, app, filters, limit, after)
