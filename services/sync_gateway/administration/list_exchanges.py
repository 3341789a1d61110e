"""The summary of exchanges of an application."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import col, select, tuple_
from sqlmodel.sql.expression import SelectOfScalar

from services.sync_gateway.administration.describe_workplace import describe_exchange
from services.sync_gateway.administration.marks import Mark, page, write_mark
from services.sync_gateway.tables import Exchange
from shared.runtime.database import Sessions

COLUMNS = ("id", "workplace", "started_at", "finished_at", "result", "sent", "received", "problems")
_CSV_ROWS = 1000


@dataclass(frozen=True)
class Filters:
    """Which exchanges; `since` and `until` bound the start, both inclusive."""

    workplace: UUID | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_exchanges(
    sessions: Sessions, application: str, filters: Filters, limit: int, after: Mark | None
) -> dict[str, Any]:
    """A page, newest first."""
    async with sessions() as db:
        found = (await db.exec(_statement(application, filters, after).limit(limit + 1))).all()
    last = found[min(limit, len(found)) - 1] if found else None
    mark = write_mark(last.started_at, last.id) if last else None
    return page([_document(exchange) for exchange in found], limit, mark)


async def export_exchanges(sessions: Sessions, application: str, filters: Filters) -> AsyncIterator[str]:
    """All of them as CSV (RFC 4180), newest first, a thousand rows at a time."""
    yield _csv([COLUMNS])
    after: Mark | None = None
    while True:
        async with sessions() as db:
            found = (await db.exec(_statement(application, filters, after).limit(_CSV_ROWS))).all()
        if not found:
            return
        yield _csv([tuple(_document(exchange)[name] for name in COLUMNS) for exchange in found])
        after = (found[-1].started_at, found[-1].id)


def _document(exchange: Exchange) -> dict[str, Any]:
    proof = {"verified": exchange.verified, "differing": exchange.differing, "repaired": exchange.repaired}
    return describe_exchange(exchange) | {"workplace": str(exchange.workplace)} | proof


def _statement(application: str, filters: Filters, after: Mark | None) -> SelectOfScalar[Exchange]:
    statement = select(Exchange).where(col(Exchange.application) == application)
    if filters.workplace is not None:
        statement = statement.where(col(Exchange.workplace) == filters.workplace)
    if filters.result is not None:
        statement = statement.where(col(Exchange.result) == filters.result)
    if filters.since is not None:
        statement = statement.where(col(Exchange.started_at) >= filters.since)
    if filters.until is not None:
        statement = statement.where(col(Exchange.started_at) <= filters.until)
    if after is not None:
        statement = statement.where(tuple_(col(Exchange.started_at), col(Exchange.id)) < after)
    return statement.order_by(col(Exchange.started_at).desc(), col(Exchange.id).desc())


def _csv(rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
