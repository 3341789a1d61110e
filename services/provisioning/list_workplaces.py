"""The workplaces of an application, page by page."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.applications import find_application
from services.provisioning.tables import Workplace
from services.provisioning.workplaces import document
from shared.contracts.provisioning import WorkplaceChanged
from shared.runtime.problem import Problem


async def list_workplaces(
    session: AsyncSession, application_code: str, limit: int, after: str | None
) -> tuple[list[WorkplaceChanged], str | None]:
    """At most `limit` workplaces in the order of their creation, without deleted ones, and the mark of the next page.

    Problems: `not_found`; `invalid_request` for a mark that no page gave.
    """
    application = await find_application(session, application_code)
    statement = (
        select(Workplace)
        .where(col(Workplace.application) == application.code, col(Workplace.number) > _number(after))
        .where(col(Workplace.state) != "deleted")
        .order_by(col(Workplace.number))
        .limit(limit + 1)
    )
    found = (await session.exec(statement)).all()
    page = found[:limit]
    return [document(workplace) for workplace in page], str(page[-1].number) if len(found) > limit else None


def _number(mark: str | None) -> int:
    if mark is None:
        return 0
    if not (mark.isascii() and mark.isdigit() and len(mark) <= 9):
        raise Problem("invalid_request", "`after` is not a mark of this list.")
    return int(mark)
