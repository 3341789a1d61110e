"""What the operator may look at: subscribers, applications, their workplaces and exchanges."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.sync_gateway.access.rights import not_found
from services.sync_gateway.administration.describe_attachment import describe_attachment, list_attachments
from services.sync_gateway.administration.describe_subscriber import describe_subscriber, list_subscribers
from services.sync_gateway.administration.describe_workplace import describe_workplace
from services.sync_gateway.administration.list_workplaces import list_workplaces
from services.sync_gateway.administration.marks import read_mark
from services.sync_gateway.http.callers import operator_only
from services.sync_gateway.http.exchange_lists import ExchangeFilters, answer_exchanges
from services.sync_gateway.http.lists import DEFAULT_LIMIT, After, Limit
from services.sync_gateway.http.operator import Code
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Workplace

router = APIRouter(prefix="/operator/v1", tags=["operator"], dependencies=[operator_only])


@router.get("/subscribers")
async def get_subscribers(parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None) -> dict[str, Any]:
    """All subscribers with their subscriptions, by code."""
    return await list_subscribers(parts.provisioning, parts.licensing, limit, after)


@router.get("/subscribers/{code}")
async def get_subscriber(code: Code, parts: Wired) -> dict[str, Any]:
    """The subscriber with his subscription and the seats in use."""
    return await describe_subscriber(parts.provisioning, parts.licensing, code)


@router.get("/applications")
async def get_applications(parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None) -> dict[str, Any]:
    """All attached applications by code, without manifests and users."""
    return await list_attachments(parts.provisioning, limit, after)


@router.get("/applications/{code}")
async def get_application(code: Code, parts: Wired) -> dict[str, Any]:
    """What was attached: with the manifest and the users; never a secret of the connection."""
    return await describe_attachment(parts.provisioning, code)


@router.get("/applications/{code}/workplaces")
async def get_workplaces(code: Code, parts: Wired, limit: Limit = DEFAULT_LIMIT, after: After = None) -> dict[str, Any]:
    """All its workplaces, oldest first, also deleted ones."""
    await parts.catalogue.get(code)
    return await list_workplaces(parts.sessions, code, None, limit, read_mark(after))


@router.get("/applications/{code}/exchanges", response_model=dict[str, Any])
async def get_exchanges(
    code: Code,
    request: Request,
    parts: Wired,
    filters: ExchangeFilters,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Response | dict[str, Any]:
    """The exchanges of its workplaces, newest first; all of them as CSV when that is accepted rather than JSON."""
    await parts.catalogue.get(code)
    return await answer_exchanges(request, parts, code, filters, limit, after)


@router.get("/workplaces/{workplace}")
async def get_workplace(workplace: str, parts: Wired) -> dict[str, Any]:
    """The workplace as it is now, also a deleted one."""
    identity = id_of(workplace)
    async with parts.sessions() as db:
        found = await db.get(Workplace, identity) if identity is not None else None
        if found is None:
            raise not_found("There is no such workplace.")
        return await describe_workplace(db, found)
