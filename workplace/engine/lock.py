"""One exchange at a time per replica. The operating system holds the lock, so a crash leaves none behind."""

import os
import sys
from pathlib import Path
from typing import Self

from workplace.engine.failures import Busy

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ExchangeLock:
    """Held while an exchange runs, on a file beside the replica. Entering raises Busy when somebody holds it."""

    def __init__(self, replica: Path) -> None:
        self.path = replica.with_name(replica.name + ".lock")
        self._handle = -1

    def __enter__(self) -> Self:
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(self._handle)
        except OSError as error:
            os.close(self._handle)
            raise Busy("already_running") from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)  # closing releases
