"""The real parts that tests need, in the order they are looked for. `python -m deploy.servers.found` says which."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from deploy.servers import container, postgres, rabbit
from deploy.servers.named import NamedServerSilent, named_server
from deploy.servers.postgres import WheelPostgres
from deploy.servers.rabbit import PackageRabbit
from deploy.servers.rclone import RcloneStore
from deploy.servers.server import Server, ServerMissing

LOCAL_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
LOCAL_AMQP = "amqp://guest:guest@127.0.0.1:5672/"


def find_postgres(home: Path) -> Server:
    """`YURT_TEST_POSTGRES_URL`, the local server, the wheel over `home`/postgres, a container."""
    return _first(
        "PostgreSQL",
        [
            lambda: _given("PostgreSQL", "YURT_TEST_POSTGRES_URL", postgres.version_of),
            lambda: _local("PostgreSQL", LOCAL_POSTGRES, postgres.version_of),
            lambda: WheelPostgres(home / "postgres", forgetful=True).start(),
            lambda: container.start(container.POSTGRES, postgres.version_of),
        ],
    )


def find_amqp(home: Path) -> Server:
    """`YURT_TEST_AMQP_URL`, the local server, Debian's package over `home`/rabbitmq, a container."""
    return _first(
        "RabbitMQ",
        [
            lambda: _given("RabbitMQ", "YURT_TEST_AMQP_URL", rabbit.version_of),
            lambda: _local("RabbitMQ", LOCAL_AMQP, rabbit.version_of),
            lambda: PackageRabbit(home / "rabbitmq").start(),
            lambda: container.start(container.RABBIT, rabbit.version_of),
        ],
    )


def find_s3(home: Path) -> Server:
    """`YURT_TEST_S3_URL`, rclone of the wheel over `home`/s3, a container."""
    return _first(
        "S3",
        [
            lambda: _given("S3", "YURT_TEST_S3_URL", lambda _: "endpoint"),
            lambda: RcloneStore(home / "s3").start(),
            lambda: container.start(container.STORE, lambda _: "rclone"),
        ],
    )


def _first(part: str, ways: Sequence[Callable[[], Server | None]]) -> Server:
    """The first way that gives a server; a server that was named but does not answer ends the search at once."""
    tried: list[str] = []
    for way in ways:
        try:
            server = way()
        except ServerMissing as missing:
            tried.append(str(missing))
        else:
            if server is not None:
                return server
    raise ServerMissing(f"{part} cannot be had: " + " · ".join(tried))


def _given(part: str, setting: str, version_of: Callable[[str], str]) -> Server | None:
    url = os.environ.get(setting)
    return named_server(part, setting, url, version_of) if url else None


def _local(part: str, url: str, version_of: Callable[[str], str]) -> Server | None:
    try:
        return Server(part, version_of(url), url, "local server")
    except (OSError, psycopg.Error) as error:
        raise ServerMissing(f"no local server ({str(error).splitlines()[0]})") from error


def main() -> int:
    """Finds or starts each part, says which, ends what it started; 1 when one cannot be had."""
    missing = 0
    with tempfile.TemporaryDirectory() as home:
        for find in (find_postgres, find_amqp, find_s3):
            try:
                server = find(Path(home))
                print(server)
                server.stop()
            except (ServerMissing, NamedServerSilent) as error:
                print(error, file=sys.stderr)
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
