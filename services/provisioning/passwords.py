"""Passwords: argon2 in threads, a few at a time, so that many logins at once do not take all the memory."""

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Makes and checks password hashes. `at_once` bounds the threads (64 MiB each with the default hasher)."""

    def __init__(self, hasher: PasswordHasher, at_once: int = 2) -> None:
        self._hasher = hasher
        self._threads = anyio.CapacityLimiter(at_once)
        self._nobodys = hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """A salted hash that tells its own parameters."""
        return await anyio.to_thread.run_sync(self._hasher.hash, password, limiter=self._threads)

    async def right(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; without a hash always False, after the same time."""
        fits = await anyio.to_thread.run_sync(
            self._fits, password_hash or self._nobodys, password, limiter=self._threads
        )
        return fits and password_hash is not None

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
