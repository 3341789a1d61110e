"""Waking of workers and of the sweeper: NOTIFY of a committed transaction, LISTEN of every process."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.runtime.notifications import notifications

CHANNEL = "yurt_builds"


async def notify(session: AsyncSession) -> None:
    """Once the session's transaction commits, everybody who waits for work in any process looks again."""
    await (await session.connection()).execute(text(f"NOTIFY {CHANNEL}"))


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
        async with aclosing(notifications(url, CHANNEL)) as heard:
            async for _ in heard:
                self.ring()


async def ring_or_timeout(bell: asyncio.Event, seconds: float) -> None:
    """Wait for a ring, at most `seconds`. The bell is silent afterwards."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await bell.wait()
    except TimeoutError:
        return
    finally:
        bell.clear()
