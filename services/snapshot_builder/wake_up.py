"""Waking of workers and of the sweeper: NOTIFY of a committed transaction, LISTEN of every process."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

CHANNEL = "yurt_builds"
RECONNECT_AFTER = 1.0

log = logging.getLogger(__name__)


async def notify(session: AsyncSession) -> None:
    """Once the session's transaction commits, everybody who waits for work in any process looks again."""
    await session.execute(text(f"NOTIFY {CHANNEL}"))


class WakeUps:
    """The bells of one process. `ring` rings them all; `listen` does it whenever any process said `notify`."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()

    @contextmanager
    def bell(self) -> Iterator[asyncio.Event]:
        """An event that is set at each ring; whoever waits for it clears it before looking for work."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def ring(self) -> None:
        for bell in self._bells:
            bell.set()

    async def listen(self, url: str) -> None:
        """Run until cancelled. After a lost connection everybody looks once, for what was said meanwhile."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self.ring()
                    async for _ in connection.notifies():
                        self.ring()
            except psycopg.OperationalError as error:
                log.warning("listening for builds was interrupted: %s", type(error).__name__)
            await asyncio.sleep(RECONNECT_AFTER)


async def ring_or_timeout(bell: asyncio.Event, seconds: float) -> None:
    """Wait for a ring, at most `seconds`. The bell is silent afterwards."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await bell.wait()
    except TimeoutError:
        return
    finally:
        bell.clear()
