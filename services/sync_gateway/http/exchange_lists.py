"""The summary of exchanges as its two doors give it: an administrator's and the operator's."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.sync_gateway.administration.list_exchanges import Filters, export_exchanges, list_exchanges
from services.sync_gateway.administration.marks import read_mark
from services.sync_gateway.http.wiring import Parts
from services.sync_gateway.moments import id_of

NOBODY = UUID(int=0)


async def _filters(
    workplace: Annotated[str | None, Query(max_length=100)] = None,
    result: Annotated[str | None, Query(max_length=100, pattern="^[a-z_]*$")] = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to")] = None,
) -> Filters:
    wanted = None if workplace is None else id_of(workplace) or NOBODY
    return Filters(wanted, result, _in_utc(since), _in_utc(until))


ExchangeFilters = Annotated[Filters, Depends(_filters)]


async def answer_exchanges(
    request: Request, parts: Parts, application: str, filters: Filters, limit: int, after: str | None
) -> Response | dict[str, Any]:
    """A page, newest first; all of them as CSV when that is accepted rather than JSON."""
    if _prefers_csv(request.headers.get("accept", "")):
        headers = {"Content-Disposition": f'attachment; filename="exchanges-{application}.csv"'}
        rows = export_exchanges(parts.sessions, application, filters)
        return StreamingResponse(rows, media_type="text/csv", headers=headers)
    return await list_exchanges(parts.sessions, application, filters, limit, read_mark(after))


def _prefers_csv(accept: str) -> bool:
    """The first of the two that is named."""
    named = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return next((kind for kind in named if kind in {"text/csv", "application/json"}), "") == "text/csv"


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
