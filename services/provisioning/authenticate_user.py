"""Check a login and a password; guessing is slowed down and then locked, for known and unknown logins alike."""

from datetime import UTC, datetime
from math import ceil

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.attempts import AttemptRules
from services.provisioning.passwords import Passwords
from services.provisioning.tables import FailedLogin, User
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem


async def authenticate_user(
    sessions: Sessions, passwords: Passwords, rules: AttemptRules, login: str, password: str
) -> User:
    """The user. Problems: `wrong_credentials`; `too_many_attempts` with Retry-After, telling nothing of the password.

    Two transactions, none open while the hash is computed; guesses made at the same time are judged one after the
    other.
    """
    async with sessions() as session:
        _refuse_if_blocked(await session.get(FailedLogin, login), datetime.now(UTC))
        user = await session.get(User, login)
    right = await passwords.right(user.password_hash if user else None, password)
    async with sessions.begin() as session:
        await _judge(session, rules, login, right=right)
    if user is None or not right:
        raise Problem("wrong_credentials", "The login or the password is wrong.")
    return user


async def _judge(session: AsyncSession, rules: AttemptRules, login: str, *, right: bool) -> None:
    now = datetime.now(UTC)
    if not right:
        first = insert(FailedLogin).values(login=login, failures=0, blocked_until=now)
        await session.exec(first.on_conflict_do_nothing())
    failed = await session.get(FailedLogin, login, with_for_update=True)
    _refuse_if_blocked(failed, now)
    if failed is not None and right:
        await session.delete(failed)
    elif failed is not None:
        failed.failures = rules.counted(failed.failures, failed.blocked_until, now) + 1
        failed.blocked_until = now + rules.wait(failed.failures)


def _refuse_if_blocked(failed: FailedLogin | None, now: datetime) -> None:
    if failed is not None and failed.blocked_until > now:
        wait = ceil((failed.blocked_until - now).total_seconds())
        headers = {"Retry-After": str(wait)}
        raise Problem("too_many_attempts", f"Too many failed attempts. Wait {wait} s.", headers=headers)


async def forget_failures(session: AsyncSession, rules: AttemptRules) -> None:
    """Drop the counts that do not count any more."""
    await session.exec(delete(FailedLogin).where(col(FailedLogin.blocked_until) < datetime.now(UTC) - rules.lock))
