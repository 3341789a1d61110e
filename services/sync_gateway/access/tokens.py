"""Bearer tokens: 256 random bits, of which only the SHA-256 is kept."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.tables import Token


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def issue(
    db: AsyncSession, login: str, lifetime: timedelta, *, workplace: UUID | None, replica: str | None
) -> tuple[str, datetime]:
    """A new token of a person (`workplace` None) or of a replica, and when it expires. Valid once `db` is committed."""
    now = datetime.now(UTC)
    token = f"{'yurt_w' if workplace else 'yurt_s'}_{secrets.token_urlsafe(32)}"
    db.add(
        Token(
            digest=digest_of(token),
            login=login,
            workplace=workplace,
            replica=replica,
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    return token, now + lifetime


async def valid_token(db: AsyncSession, token: str) -> Token | None:
    """The right behind a token, None when there is none or it has expired."""
    found = await db.get(Token, digest_of(token))
    return found if found is not None and found.expires_at > datetime.now(UTC) else None


async def end_token(db: AsyncSession, digest: bytes) -> None:
    """One token opens nothing any more."""
    await db.exec(delete(Token).where(col(Token.digest) == digest))


async def end_tokens_of_person(db: AsyncSession, login: str) -> None:
    """All sessions of a person and all tokens he activated."""
    await db.exec(delete(Token).where(col(Token.login) == login))


async def end_tokens_of_workplace(
    db: AsyncSession,
    workplace: UUID,
    *,
    login: str | None = None,
    replica: str | None = None,
    except_logins: list[str] | None = None,
) -> None:
    """The tokens of a workplace's replicas, narrowed to a person or a replica, or sparing some persons."""
    statement = delete(Token).where(col(Token.workplace) == workplace)
    if login is not None:
        statement = statement.where(col(Token.login) == login)
    if replica is not None:
        statement = statement.where(col(Token.replica) == replica)
    if except_logins is not None:
        statement = statement.where(col(Token.login).not_in(except_logins))
    await db.exec(statement)
