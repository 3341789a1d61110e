"""One supervised service process: started, watched, started again when it dies."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.processes import OwnProcess, ProcessFailed, end_leftover, remember

READY = "Uvicorn running on"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_CALM = 30.0  # seconds of life after which the next death counts as the first again


class SupervisedService:
    """`module` run by `python -m` with `env`. A process left behind by a killed stack is ended before the first start.

    `say` gets a sentence for every death and every new start.
    """

    def __init__(
        self, name: str, python: str, module: str, env: Mapping[str, str], home: Path, say: Callable[[str], None]
    ) -> None:
        self.name = name
        self._command = [python, "-m", module]
        self._env = env
        self._log = home / "log" / f"{name}.log"
        self._note = home / "run" / f"{name}.pid"
        self._say = say
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._process: OwnProcess | None = None
        self._starts = 0
        self._watcher = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        for file in (self._log, self._note):
            file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        assert self._process is not None, "only of a started service"
        return self._process.pid

    @property
    def starts(self) -> int:
        """How often it became ready."""
        return self._starts

    def start(self) -> None:
        """Launches it; `wait_until_ready` tells when it serves. Several can be launched side by side."""
        end_leftover(self._note)
        self._launch()

    def wait_until_ready(self, timeout: float) -> None:
        """Returns once it serves; from here on it is watched. Raises `ProcessFailed`."""
        assert self._process is not None, "only of a started service"
        self._process.wait_until_ready(timeout)
        self._count()
        self._watcher.start()

    def wait_for_start(self, number: int, timeout: float) -> None:
        """Returns once it has become ready for the `number`-th time; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._starts >= number, timeout):
                raise TimeoutError(f"{self.name} was not ready for the {number}. time within {timeout:.0f} s")

    def stop(self) -> None:
        """Afterwards the process is gone and is not started again."""
        self._stopping.set()
        if self._process is not None:
            self._process.stop(timeout=20)
        if self._watcher.is_alive():
            self._watcher.join(timeout=30)
        self._note.unlink(missing_ok=True)

    def _launch(self) -> OwnProcess:
        self._process = OwnProcess(self._command, log=self._log, ready=READY, env=self._env)
        remember(self._note, self._process.pid)
        return self._process

    def _count(self) -> None:
        with self._changed:
            self._starts += 1
            self._changed.notify_all()

    def _watch(self) -> None:
        pause = _FIRST_PAUSE
        assert self._process is not None
        process = self._process
        while True:
            since = time.monotonic()
            code = process.wait()
            process.stop()  # its log is closed
            if time.monotonic() - since > _CALM:
                pause = _FIRST_PAUSE
            if self._stopping.wait(pause):
                return
            self._say(f"{self.name} ended with code {code}; it is started again.")
            pause = min(pause * 2, _LONGEST_PAUSE)
            process = self._launch()
            if self._stopping.is_set():  # stop() may have looked before the launch
                process.stop()
                return
            try:
                process.wait_until_ready(timeout=120)
                self._count()
            except ProcessFailed as failure:
                self._say(str(failure))
