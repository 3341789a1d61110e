"""A replica, a gateway that speaks the protocol over real HTTP, and a computer of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.workplace.scripted_gateway import Gateway, running
from tests.unit.workplace.small_replica import make_replica
from workplace.engine.home import Home, InternetAccess
from workplace.engine.replica import Replica
from workplace.engine.service import Service


@pytest.fixture(autouse=True)
def own_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of this test alone; English."""
    home = tmp_path / "computer"
    monkeypatch.setenv("YURT_CONFIG_HOME", str(home))
    monkeypatch.setenv("YURT_LANG", "en")
    monkeypatch.delenv("YURT_PASSWORD", raising=False)
    return home


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running(Gateway()) as started:
        yield started


@pytest.fixture
def path(tmp_path: Path, gateway: Gateway) -> Path:
    return make_replica(tmp_path / "workplace", gateway.url)


@pytest.fixture
def replica(path: Path) -> Iterator[Replica]:
    with Replica(path) as opened:
        yield opened


@pytest.fixture
def home(replica: Replica) -> Home:
    return Home(str(replica.get("workplace")))


@pytest.fixture
def service(gateway: Gateway) -> Service:
    """Signed in; waits nowhere."""
    return Service(gateway.url, InternetAccess(proxy="none"), gateway.token, pause=lambda seconds: None)
