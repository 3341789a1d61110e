"""How far a build is, between its thread, which tells, and its worker, which reports and may stop it."""

import asyncio


class BuildStopped(Exception):
    """The build is to end at once: cancelled, lost to another worker, or its process goes down."""


class BuildSteps:
    """Written by the build's thread, read by its worker. Counts are rows."""

    def __init__(self) -> None:
        self.phase = "waiting"
        self.done = 0
        self.total = 0
        self.stopped = asyncio.Event()

    def step(self, phase: str, done: int, total: int) -> None:
        """Note the progress, from any thread. Raises `BuildStopped` if the build is to end."""
        if self.stopped.is_set():
            raise BuildStopped
        self.phase, self.done, self.total = phase, done, total

    @property
    def now(self) -> tuple[str, int, int]:
        return self.phase, self.done, self.total
