"""The summary of exchanges as its two doors give it: an administrator's and the operator's."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.sync_gateway.administration.list_exchanges import Filters, export_exchanges, list_exchanges
from services.sync_gateway.administration.marks import read_mark
from services.sync_gateway.exchange.running_exchange import Result
from services.sync_gateway.http.wiring import Parts
from services.sync_gateway.moments import id_of
from shared.runtime.problem import Problem

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")


async def _filters(
    workplace: Annotated[str | None, Query(max_length=100)] = None,
    result: Annotated[Result | None, Query()] = None,
    since: Annotated[str | None, Query(alias="from", max_length=40, description="ISO 8601; UTC without a zone")] = None,
    until: Annotated[
        str | None, Query(alias="to", max_length=40, description="The same; a date is its whole day")
    ] = None,
) -> Filters:
    wanted = id_of(workplace) if workplace is not None else None
    if workplace is not None and wanted is None:
        raise Problem("invalid_request", "workplace: no identity of a workplace.")
    last = timedelta(days=1, microseconds=-1) if until and _DATE.fullmatch(until) else timedelta()
    end = _moment("to", until)
    return Filters(wanted, result, _moment("from", since), end + last if end else None)


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
    named = [kind.partition(";")[0].strip().lower() for kind in accept.split(",") if not _REFUSED.search(kind)]
    return next((kind for kind in named if kind in {"text/csv", "application/json"}), "") == "text/csv"


def _moment(name: str, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise Problem("invalid_request", f"{name}: no date or time of ISO 8601.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
