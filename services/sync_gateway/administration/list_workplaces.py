"""The workplaces of an application, all of them or those a person may read."""

from typing import Any

from sqlmodel import col, select, tuple_

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import ADMINISTRATOR
from services.sync_gateway.administration.describe_workplace import describe_workplaces
from services.sync_gateway.administration.marks import Mark, page, write_mark
from services.sync_gateway.tables import Workplace
from shared.runtime.database import Sessions


async def list_workplaces(
    sessions: Sessions, application: str, person: Person | None, limit: int, after: Mark | None
) -> dict[str, Any]:
    """A page, oldest first: all for an administrator, for others those they are listed in. Deleted ones stay.

    `person` None is the operator: all.
    """
    statement = select(Workplace).where(col(Workplace.application) == application)
    if person is not None and person.roles.get(application) != ADMINISTRATOR:
        statement = statement.where(col(Workplace.users).contains([person.login]))
    if after is not None:
        statement = statement.where(tuple_(col(Workplace.created_at), col(Workplace.id)) > after)
    statement = statement.order_by(col(Workplace.created_at), col(Workplace.id)).limit(limit + 1)
    async with sessions() as db:
        found = (await db.exec(statement)).all()
        items = await describe_workplaces(db, found)
    last = found[min(limit, len(found)) - 1] if found else None
    return page(items, limit, write_mark(last.created_at, last.id) if last else None)
