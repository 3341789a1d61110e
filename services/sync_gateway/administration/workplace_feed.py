"""One listening connection per process, which wakes the watchers of workplaces."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from uuid import UUID

from services.sync_gateway.administration.project_workplace import CHANNEL
from shared.runtime.notifications import notifications


class WorkplaceFeed:
    """`run` must be running for the watchers to wake. A wake-up says only: look again."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._watchers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._closing = False
        self.listening = asyncio.Event()

    @contextmanager
    def watch(self, workplace: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the workplace may have changed since it was cleared."""
        event = asyncio.Event()
        if self._closing:
            event.set()
        self._watchers[workplace].add(event)
        try:
            yield event
        finally:
            self._watchers[workplace].discard(event)
            if not self._watchers[workplace]:
                del self._watchers[workplace]

    @property
    def closing(self) -> bool:
        """The process ends: watchers are to stop."""
        return self._closing

    async def run(self) -> None:
        """Listen until cancelled. After a broken connection everybody looks again: something may have been missed."""
        async with aclosing(notifications(self._conninfo, CHANNEL)) as received:
            async for workplace in received:
                if workplace is None:
                    self.listening.set()
                    self._wake_all()
                else:
                    self._wake(UUID(workplace))

    def close(self) -> None:
        """Let all watchers stop."""
        self._closing = True
        self._wake_all()

    def _wake(self, workplace: UUID) -> None:
        for event in self._watchers.get(workplace, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._watchers.values():
            for event in events:
                event.set()
