"""RabbitMQ: asked for its version, or run as an instance of our own from the distribution's package."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.processes import OwnProcess, ProcessFailed, free_port
from deploy.servers.server import Server, ServerMissing

_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


def version_of(url: str, timeout: float = 5) -> str:
    """Version the broker announces in its first frame; raises OSError when nobody, or something else, answers.

    Whether user and virtual host of `url` are right shows only when a service connects.
    """
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "127.0.0.1", place.port or 5672), timeout) as line:
        line.sendall(_AMQP_HEADER)
        line.settimeout(timeout)
        frame = b""
        while len(frame) < 7 or len(frame) < 7 + int.from_bytes(frame[3:7], "big"):
            piece = line.recv(65536)
            if not piece:
                break
            frame += piece
    # connection.start: a table of server properties; `version` is a long string in it
    _, found, rest = frame.partition(b"\x07versionS")
    if not found:
        raise OSError(f"{place.hostname}:{place.port} answers, but not as an AMQP 0-9-1 broker")
    length = int.from_bytes(rest[:4], "big")
    return rest[4 : 4 + length].decode()


class PackageRabbit:
    """RabbitMQ of Debian's package `rabbitmq-server`, run over the folder `home` on ports of its own.

    Installs the package when it is absent and we are root; the system's own instance is neither used nor touched.
    Started again after a stop, it answers at the same port, with all that it kept.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports: tuple[int, int, int] | None = None
        self._processes: list[OwnProcess] = []

    @property
    def pid(self) -> int:
        """Of the package's script, whose child is the broker itself."""
        assert self._processes, "only of a started broker"
        return self._processes[-1].pid

    def start(self) -> Server:
        """Afterwards it answers at a free port to guest/guest."""
        program = _installed() or _install()
        self._home.mkdir(parents=True, exist_ok=True)
        self._ports = self._ports or (free_port(), free_port(), free_port())
        port, mapper, distribution = self._ports
        env = {
            **os.environ,
            "HOME": str(self._home),  # where Erlang keeps its cookie
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_NODENAME": f"yurt-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "none"),
        }
        (self._home / "plugins").write_text("[].\n")
        (self._home / "rabbitmq.conf").write_text("log.console.level = info\n")
        epmd = shutil.which("epmd") or "epmd"
        steps = (
            ([epmd, "-port", str(mapper), "-address", "127.0.0.1", "-d"], "epmd running"),
            ([program], "Server startup complete"),
        )
        try:
            for command, ready in steps:
                self._processes.append(OwnProcess(command, log=self._home / "rabbitmq.log", ready=ready, env=env))
                self._processes[-1].wait_until_ready(timeout=120)
        except (OSError, ProcessFailed) as failure:
            self.stop()
            raise ServerMissing(f"RabbitMQ of the package does not start. {failure}") from failure
        url = f"amqp://guest:guest@127.0.0.1:{port}/"
        return Server("RabbitMQ", version_of(url), url, "started from the package rabbitmq-server", self.stop)

    def stop(self) -> None:
        """Afterwards the instance and its port mapper are gone."""
        while self._processes:
            self._processes.pop().stop(timeout=30)


def vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path[1:]) or "/"


def _installed() -> str | None:
    brewed = Path("/opt/homebrew/opt").glob("rabbitmq/sbin/rabbitmq-server")
    for place in (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), *brewed):
        if place.exists():
            return str(place)  # the script itself: the one in the path changes to the system's own user and folders
    return None


def _install() -> str:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise ServerMissing("RabbitMQ is not installed, and installing Debian's package needs apt-get and root")
    print("Installing Debian's package rabbitmq-server …", file=sys.stderr, flush=True)
    # The package would start an instance of its own; exit code 101 of this script forbids that for the installation.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "rabbitmq-server"]):
            done = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ServerMissing(f"apt-get {command[0]} failed: {done.stderr[-500:] or done.stdout[-500:]}")
    finally:
        if ours:
            policy.unlink()
    return _installed() or "rabbitmq-server"
