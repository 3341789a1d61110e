"""Where the tests' servers come from: each way in its turn, and a named server is never replaced by another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.processes import free_port
from deploy.servers import found, rabbit
from deploy.servers.found import find_amqp, find_postgres, find_s3
from deploy.servers.named import NamedServerSilent
from deploy.servers.server import Server, ServerMissing

SETTINGS = ("YURT_TEST_POSTGRES_URL", "YURT_TEST_AMQP_URL", "YURT_TEST_S3_URL")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting, raising=False)


@pytest.mark.parametrize(("setting", "find", "scheme"), [
    ("YURT_TEST_POSTGRES_URL", find_postgres, "postgresql"),
    ("YURT_TEST_AMQP_URL", find_amqp, "amqp"),
])  # fmt: skip
def test_a_named_server_that_is_silent_ends_the_search(
    setting: str, find: Callable[[Path], Server], scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(setting, f"{scheme}://nobody@127.0.0.1:{free_port()}/none")

    with pytest.raises(NamedServerSilent, match=setting):
        find(tmp_path)


def test_a_named_server_is_taken_first(postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YURT_TEST_POSTGRES_URL", postgres_url)
    assert find_postgres(tmp_path).origin == "YURT_TEST_POSTGRES_URL"


def test_without_a_local_postgresql_the_wheel_serves(passable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "LOCAL_POSTGRES", f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")
    server = find_postgres(passable_folder)
    try:
        assert str(server).startswith("PostgreSQL 18")
        assert server.origin == "from the wheel"
    finally:
        server.stop()


def test_what_cannot_be_had_is_told_with_everything_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "LOCAL_AMQP", f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    monkeypatch.setattr(rabbit, "_installed", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=r"RabbitMQ cannot be had: .*no local server.*apt-get.*no docker"):
        find_amqp(tmp_path)


def test_a_broker_of_the_package_runs_beside_the_systems_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if rabbit._installed() is None:
        pytest.skip("Debian's package rabbitmq-server is not installed here; the broker comes from elsewhere")
    monkeypatch.setattr(found, "LOCAL_AMQP", f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    server = find_amqp(tmp_path)
    assert server.origin == "started from the package rabbitmq-server"
    server.stop()
    with pytest.raises(OSError, match="refused"):
        rabbit.version_of(server.url)


def test_the_s3_endpoint_comes_from_the_wheel(tmp_path: Path) -> None:
    server = find_s3(tmp_path)
    assert server.origin == "from the wheel"
    server.stop()
