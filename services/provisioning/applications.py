"""An application and its people, as rows."""

from collections.abc import Iterable, Sequence
from typing import Literal

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.tables import Application, Membership, User
from shared.runtime.problem import Problem


async def find_application(
    session: AsyncSession, code: str, lock: Literal["change", "keep"] | None = None
) -> Application:
    """The attached application; Problem `not_found`.

    `change`: nobody else changes it or its people until the transaction ends; `keep`: it and its people stay as they
    are. Whoever needs both locks the application before its workplaces.
    """
    statement = select(Application).where(col(Application.code) == code, col(Application.removed_at).is_(None))
    if lock:
        statement = statement.with_for_update(read=lock == "keep", key_share=lock == "change")
    application = (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()
    if application is None:
        raise Problem("not_found", f"There is no application {code}.")
    return application


async def members(session: AsyncSession, application: str) -> Sequence[tuple[User, Membership]]:
    """The people of the application with their roles, by login."""
    statement = select(User, Membership).join(Membership, col(Membership.login) == col(User.login))
    statement = statement.where(col(Membership.application) == application).order_by(col(User.login))
    return (await session.exec(statement)).all()


async def known_members(session: AsyncSession, application: str, logins: Iterable[str]) -> set[str]:
    """Those of the logins that are people of the application."""
    statement = select(Membership.login).where(
        col(Membership.application) == application, col(Membership.login).in_(list(logins))
    )
    return set((await session.exec(statement)).all())


async def require_members(session: AsyncSession, application: str, logins: Iterable[str]) -> None:
    """Problem `unknown_user`, naming them, when some of the logins are not people of the application."""
    wanted = list(logins)
    unknown = set(wanted) - await known_members(session, application, wanted)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise Problem("unknown_user", f"Not users of this application: {names}.", users=sorted(unknown))


async def roles(session: AsyncSession, login: str) -> dict[str, str]:
    """The user's role in each attached application."""
    statement = select(Membership.application, Membership.role)
    statement = statement.join(Application, col(Application.code) == col(Membership.application))
    statement = statement.where(col(Membership.login) == login, col(Application.removed_at).is_(None))
    return dict((await session.exec(statement.order_by(col(Membership.application)))).all())
