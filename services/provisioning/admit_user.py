"""Give a person a role in an application, or take it away."""

from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.applications import find_application
from services.provisioning.passwords import Passwords
from services.provisioning.tables import FailedLogin, Membership, Role, User, Workplace
from services.provisioning.workplaces import tell
from shared.runtime.problem import Problem


@dataclass(frozen=True)
class Admission:
    """What to know of the person. No password: it stays as it is, and a new person cannot sign in yet."""

    full_name: str
    role: Role
    password: str | None = None


@dataclass(frozen=True)
class Admitted:
    """The person as stored. `password_changed`: whoever signed in with the old password is to be signed out."""

    login: str
    full_name: str
    role: Role
    new: bool
    password_changed: bool


async def admit_user(
    session: AsyncSession, passwords: Passwords, application_code: str, login: str, admission: Admission
) -> Admitted:
    """The person with the role in the application.

    A password given also ends a lock. Problems: `not_found`, `login_taken`.
    """
    application = await find_application(session, application_code, lock="change")
    unheard = insert(User).values(login=login, subscriber=application.subscriber, full_name=admission.full_name)
    await session.exec(unheard.on_conflict_do_nothing())
    user = await session.get_one(User, login, with_for_update=True)
    if user.subscriber != application.subscriber:
        raise Problem("login_taken", f"The login {login} is taken.")
    user.full_name = admission.full_name
    changed = await _set_password(session, passwords, user, admission.password)
    membership = await session.get(Membership, (application.code, login))
    if membership is None:
        session.add(Membership(application=application.code, login=login, role=admission.role))
    else:
        membership.role = admission.role
    return Admitted(login, user.full_name, admission.role, new=membership is None, password_changed=changed)


async def dismiss_user(session: AsyncSession, application_code: str, login: str) -> None:
    """Take the role away, and the person off the application's workplaces; the login stays taken.

    With the last role the password goes too: whoever is admitted again needs a new one. Problem `not_found`.
    """
    application = await find_application(session, application_code, lock="change")
    membership = await session.get(Membership, (application.code, login))
    if membership is None:
        raise Problem("not_found", f"The application has no user {login}.")
    await session.delete(membership)
    await session.flush()
    others = select(Membership).where(col(Membership.login) == login).limit(1)
    if (await session.exec(others)).first() is None:
        (await session.get_one(User, login, with_for_update=True)).password_hash = None
    listed = select(Workplace).where(
        col(Workplace.application) == application.code,
        col(Workplace.users).contains([login]),
        col(Workplace.state) != "deleted",
    )
    for workplace in (await session.exec(listed.order_by(col(Workplace.id)).with_for_update())).all():
        workplace.users = [user for user in workplace.users if user != login]
        await tell(session, workplace)


async def _set_password(session: AsyncSession, passwords: Passwords, user: User, password: str | None) -> bool:
    if password is None:
        return False
    failed = await session.get(FailedLogin, user.login, with_for_update=True)
    if failed is not None:
        await session.delete(failed)
    if await passwords.right(user.password_hash, password):
        return False
    user.password_hash = await passwords.hash(password)
    return True
