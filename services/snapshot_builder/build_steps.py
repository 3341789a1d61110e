"""How far a build is, between its thread, which tells, and its worker, which reports and may stop it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPT_AGAIN = 0.5


class BuildStopped(Exception):
    """The build is to end at once: cancelled, lost to another worker, or its process goes down."""


class BuildSteps:
    """Written by the build's thread, read by its worker. Counts are rows."""

    def __init__(self) -> None:
        self.phase = "waiting"
        self.done = 0
        self.total = 0
        self.stopped = asyncio.Event()
        self._interruptions: list[Callable[[], None]] = []

    def step(self, phase: str, done: int, total: int) -> None:
        """Note the progress, from any thread. Raises `BuildStopped` if the build is to end."""
        if self.stopped.is_set():
            raise BuildStopped
        self.phase, self.done, self.total = phase, done, total

    @property
    def now(self) -> tuple[str, int, int]:
        """Phase, done, total."""
        return self.phase, self.done, self.total

    async def stop(self, building: asyncio.Task[Any]) -> None:
        """Every further step raises, and what may wait for long is interrupted, until the build has ended."""
        self.stopped.set()
        while not building.done():
            for interrupt in list(self._interruptions):
                await asyncio.to_thread(interrupt)
            # An interruption between two statements meets nobody: it is said again.
            await asyncio.wait({building}, timeout=INTERRUPT_AGAIN)

    @contextmanager
    def interruptible(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Inside, in the build's thread, a stop calls `interrupt`; what then fails ends as `BuildStopped`."""
        self._interruptions.append(interrupt)
        try:
            self.step(*self.now)
            yield
        except Exception as error:
            if self.stopped.is_set():
                raise BuildStopped from error
            raise
        finally:
            self._interruptions.remove(interrupt)
