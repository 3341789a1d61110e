"""The embedded stack over a service that is killed at armed points and comes again at once."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from deploy.processes import OwnProcess
from deploy.stack.service import READY
from deploy.stack.stack import Stack
from tests.chaos.crash_points import nursery, strikes
from tests.chaos.crash_points.strikes import Point

PATIENCE = 60.0


class CrashingService:
    """The nursery as a process; what it says is heard here."""

    def __init__(self, env: Mapping[str, str], home: Path) -> None:
        self._arm = home / "crash.arm"
        self._told = threading.Condition()
        self._serves = False
        self._starts = 0
        self.deaths = 0
        self.armed_at_death = 0
        command = [sys.executable, "-m", nursery.__name__]
        env = {**env, "YURT_CRASH_ARM": str(self._arm)}
        (home / "log").mkdir(parents=True, exist_ok=True)
        log = home / "log" / "yurt.log"
        self._process = OwnProcess(command, log=log, ready=READY, env=env, on_line=self._hear)
        self._process.wait_until_ready(PATIENCE)

    def arm(self, point: Point) -> None:
        """The service dies when it comes to the point next."""
        self.armed_at_death = self.deaths
        strikes.arm(self._arm, point, uuid4().hex)

    def disarm(self) -> None:
        """It does not die there any more."""
        self._arm.unlink(missing_ok=True)

    def struck(self) -> bool:
        """Whether the armed point was reached; it is not armed any more then."""
        return strikes.reached(self._arm).exists()

    def wait_until_serving(self, seconds: float = PATIENCE) -> None:
        """Returns once it serves (again); AssertionError when it does not in time."""
        with self._told:
            assert self._told.wait_for(lambda: self._serves, seconds), "the service did not come again"

    def pause(self, seconds: float) -> None:
        """Returns after so many seconds, or as soon as it was started again: its death may not be noticed yet."""
        with self._told:
            before = self._starts
            self._told.wait_for(lambda: self._starts > before, seconds)

    def wait_for_death(self, number: int, seconds: float = PATIENCE) -> bool:
        """True once it was killed for the `number`-th time; False when that did not happen in time."""
        with self._told:
            return self._told.wait_for(lambda: self.deaths >= number, seconds)

    def stop(self) -> None:
        """Afterwards nothing runs."""
        self._process.stop(timeout=20)

    def _hear(self, line: str) -> None:
        with self._told:
            if READY in line:
                self._serves = True
                self._starts += 1
            elif nursery.KILLED in line:
                self._serves = False
                self.deaths += 1
            self._told.notify_all()


class CrashingStack(Stack):
    """As `Stack`, with the service under the nursery."""

    service: CrashingService

    def _launch(self, wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        [(module, env)] = wanted.values()
        assert module == nursery.SERVICE
        self.service = CrashingService(env, self.home)
        self._ending.callback(self.service.stop)
