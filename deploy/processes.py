"""Processes that we start: ready when they say so, ended by their own id, remembered across a crash of ours."""

import json
import pwd
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

import psutil


class ProcessFailed(Exception):
    """A process of ours ended, or said nothing, before it was ready. The text holds its last words."""


class OwnProcess:
    """A child process whose output goes line by line to `log` and is watched for the line that says it is ready.

    `ready`: text that stands in one of its lines once it serves. `user`: name of the system user to run as (root only).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        ready: str,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.command = list(command)
        self._ready = ready
        self._on_line = on_line
        self._serves = False
        self._decided = threading.Event()  # it serves, or it ended
        self._last_words: deque[str] = deque(maxlen=15)
        self._log = log.open("a", encoding="utf-8")
        self._child = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            **as_user(user),
            start_new_session=True,  # Ctrl+C on the terminal is ours to pass on, in order
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {self.command[0]}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def running(self) -> bool:
        return self._child.poll() is None

    def wait_until_ready(self, timeout: float) -> None:
        """Returns once the ready line was seen; else `ProcessFailed`, and the process is ended."""
        if not self._decided.wait(timeout) or not self._serves:
            self.stop()
            words = "\n  ".join(self._last_words) or "(it said nothing)"
            raise ProcessFailed(f"{Path(self.command[0]).name} {' '.join(self.command[1:3])} did not start:\n  {words}")

    def wait(self) -> int:
        """Blocks until the process ends by itself; its exit code."""
        return self._child.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 15) -> None:
        """Afterwards the process and the reader of its log are gone; asked with `number`, killed after `timeout` s."""
        if self._child.poll() is None:
            self._child.send_signal(number)
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._reader.join(timeout=5)
        if not self._log.closed:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._last_words.append(line.rstrip())
                self._log.write(line)
                self._log.flush()
                if self._on_line is not None:
                    self._on_line(line)
                if self._ready in line:
                    self._serves = True
                    self._decided.set()
        self._decided.set()


class UserArguments(TypedDict, total=False):
    """Arguments of `subprocess` to run as another user, in that user's group only."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(name: str | None) -> UserArguments:
    """None: as ourselves. A change of user is for root only."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def remember(file: Path, pid: int) -> None:
    """Notes a started process in `file`, so that the next start can end it should we be killed."""
    file.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}))


def end_leftover(file: Path, number: signal.Signals = signal.SIGTERM, timeout: float = 15) -> None:
    """Ends the process noted in `file` if it still is that very one, and removes the note."""
    try:
        note = json.loads(file.read_text())
        process = psutil.Process(note["pid"])
        if abs(process.create_time() - note["started"]) < 1:
            end(process, number, timeout)
    except (FileNotFoundError, json.JSONDecodeError, KeyError, psutil.NoSuchProcess):
        # no note, a note cut off by the crash, or long gone: nothing is left to end
        file.unlink(missing_ok=True)
        return
    file.unlink(missing_ok=True)


def end(process: psutil.Process, number: signal.Signals = signal.SIGTERM, timeout: float = 15) -> None:
    """Ends a process that is not our child: asked with `number`, killed after `timeout` seconds."""
    process.send_signal(number)
    try:
        process.wait(timeout)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
