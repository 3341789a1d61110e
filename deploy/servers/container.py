"""Servers from container images: the last resort of the tests."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from deploy.servers.server import Server, ServerMissing


@dataclass(frozen=True)
class Image:
    """What to run and which of its lines says that it serves; `{port}` in `url` becomes the published one."""

    part: str
    name: str
    port: int
    ready: str
    url: str
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


POSTGRES = Image(
    "PostgreSQL",
    "postgres:17",
    5432,
    "listening on IPv4",  # its first, preparing start listens on no address
    "postgresql://postgres@127.0.0.1:{port}/postgres",
    ("-e", "POSTGRES_HOST_AUTH_METHOD=trust"),
)
RABBIT = Image("RabbitMQ", "rabbitmq:4", 5672, "Server startup complete", "amqp://guest:guest@127.0.0.1:{port}/")
STORE = Image(
    "S3",
    "rclone/rclone:1",
    8080,
    "Starting s3 server",
    "http://yurt:yurt-secret@127.0.0.1:{port}/yurt",
    ("-e", 'RCLONE_AUTH_KEY="yurt,yurt-secret"'),
    ("serve", "s3", "/data", "--addr", ":8080"),
)


def start(image: Image, version_of: Callable[[str], str], timeout: float = 300) -> Server:
    """Runs the image with Docker or Podman until `stop`; raises `ServerMissing` where neither can."""
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        raise ServerMissing("no docker, no podman")
    publish = ["-p", f"127.0.0.1::{image.port}"]
    identity = _said([engine, "run", "-d", "--rm", *publish, *image.options, image.name, *image.command], timeout)

    def stop() -> None:
        subprocess.run([engine, "rm", "-f", identity], capture_output=True, check=False)

    try:
        _wait_for(image.ready, [engine, "logs", "-f", identity], timeout)
        port = _said([engine, "port", identity, str(image.port)], 30).splitlines()[0].rpartition(":")[2]
        url = image.url.format(port=port)
        return Server(image.part, version_of(url), url, f"container of {image.name}", stop)
    except Exception:
        stop()
        raise


def _said(command: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServerMissing(f"{command[0]} {command[1]} took longer than {timeout:.0f} s") from error
    if done.returncode:
        raise ServerMissing(f"{command[0]} {command[1]}: {done.stderr.strip()[:300]}")
    return done.stdout.strip()


def _wait_for(ready: str, command: list[str], timeout: float) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as follow:
        assert follow.stdout is not None
        for line in follow.stdout:
            if ready in line:
                follow.terminate()
                return
    raise ServerMissing(f"the container ended before it said {ready!r} (waited at most {timeout:.0f} s)")
