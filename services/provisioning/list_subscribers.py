"""The subscribers, page by page."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Subscriber


async def list_subscribers(
    session: AsyncSession, limit: int, after: str | None
) -> tuple[Sequence[Subscriber], str | None]:
    """At most `limit` subscribers by code, and the mark of the next page: the code of the last one."""
    statement = select(Subscriber).where(col(Subscriber.code) > (after or "")).order_by(col(Subscriber.code))
    found = (await session.exec(statement.limit(limit + 1))).all()
    page = found[:limit]
    return page, page[-1].code if len(found) > limit else None
