"""The moment of an outage: exchanges wait at one of their steps until it has begun, so that it meets every step."""

import threading
from collections.abc import Callable
from typing import Self

PATIENCE = 150.0  # seconds within which whatever is waited for has to happen

Progress = Callable[[str, int, int], None]

_STEPS: dict[str, Callable[[str, int], bool]] = {
    "open": lambda step, _: step == "open",
    "push": lambda step, _: step == "push",
    "download": lambda step, done: step == "download" and done == 0,
    "in a download": lambda step, done: step == "download" and done > 0,
    "complete": lambda step, done: step == "complete" and done == 0,
}
UNDER_WAY = "under way"  # not held: the outage begins while several run
STEPS = (*_STEPS, *[UNDER_WAY] * 3)


class Moment:
    """`began` is set when the outage is there. Whatever ends the block, nobody is held after it."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._changed = threading.Condition()
        self._there = 0
        self._running = threading.Event()
        self._go = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self.began.set()

    def held_at(self, place: str) -> Progress:
        """What an exchange tells its progress to: at `place` it waits, once, until the outage has begun."""
        arrived = False

        def tell(step: str, done: int, _: int) -> None:
            nonlocal arrived
            if place == UNDER_WAY:
                if step == "push":
                    self._running.set()
            elif not arrived and _STEPS[place](step, done):
                arrived = True
                with self._changed:
                    self._there += 1
                    self._changed.notify_all()
                assert self.began.wait(PATIENCE), "the outage never began"

        return tell

    def wait_for_go(self) -> None:
        """Where exchanges that are not held wait until all the others are at their places."""
        assert self._go.wait(PATIENCE), "the others never came to their places"

    def wait_until_held(self, count: int) -> None:
        """Returns when so many wait at their places."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._there >= count, PATIENCE), f"{self._there} of {count} are held"

    def go(self) -> None:
        """The others begin; returns when one of them sends."""
        self._go.set()
        assert self._running.wait(PATIENCE), "no exchange is under way"
