"""The attached applications, page by page."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Application


async def list_applications(
    session: AsyncSession, limit: int, after: str | None
) -> tuple[Sequence[Application], str | None]:
    """At most `limit` attached applications by code, and the mark of the next page: the code of the last one."""
    statement = select(Application).where(col(Application.removed_at).is_(None), col(Application.code) > (after or ""))
    found = (await session.exec(statement.order_by(col(Application.code)).limit(limit + 1))).all()
    page = found[:limit]
    return page, page[-1].code if len(found) > limit else None
