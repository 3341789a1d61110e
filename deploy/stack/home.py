"""The folder that holds the state of a stack: used by one stack at a time, its secrets made once."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HomeInUse(Exception):
    """Another stack runs over this folder; the text says which."""


@contextmanager
def held(home: Path) -> Iterator[None]:
    """The folder is ours inside; raises `HomeInUse`. The system lets go of it however our process ends."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "in-use").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise HomeInUse(f"Yurt already runs over {home.resolve()} (process {file.read().strip()}).") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def kept_secret(file: Path) -> str:
    """What stands in `file`, made at the first call; readable by its owner only."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text().strip()
