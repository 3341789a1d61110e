"""What a computer keeps outside the folder."""

import stat
import sys
from pathlib import Path

import pytest

from tests.unit.workplace.scripted_gateway import Gateway
from workplace.engine.activation import activate, usable_token
from workplace.engine.failures import Failure, ServiceRefused
from workplace.engine.home import Home, config_home
from workplace.engine.replica import Replica
from workplace.engine.service import Service


def test_the_replica_id_is_made_once(home: Home) -> None:
    assert home.credentials() == home.credentials()
    assert Home("another").credentials().replica_id != home.credentials().replica_id


@pytest.mark.skipif(sys.platform == "win32", reason="a profile folder is private there by itself")
def test_only_the_owner_can_read(home: Home, replica: Replica, service: Service) -> None:
    activate(replica, service, home, "aigul", "secret")
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in home.folder.iterdir()} == {0o600}


def test_nothing_secret_is_written_into_the_folder(
    home: Home, replica: Replica, service: Service, gateway: Gateway
) -> None:
    activate(replica, service, home, "aigul", "secret")
    content = replica.path.read_bytes()
    assert gateway.token.encode() not in content
    assert b"secret" not in content
    assert home.credentials().replica_id.encode() not in content
    assert replica.get("user") == "aigul"


def test_a_token_counts_for_the_package_it_was_given_to(home: Home, replica: Replica, service: Service) -> None:
    activate(replica, service, home, "aigul", "secret")
    assert usable_token(replica, home.credentials()) is not None
    replica.put("created_at", "2026-05-05T00:00:00.000000Z")
    assert usable_token(replica, home.credentials()) is None


def test_a_wrong_password_stores_nothing(home: Home, replica: Replica, service: Service) -> None:
    with pytest.raises(ServiceRefused) as refused:
        activate(replica, service, home, "aigul", "wrong")
    assert refused.value.code == "wrong_credentials"
    assert home.credentials().token is None


def test_damaged_settings_are_not_replaced_by_another_identity(home: Home) -> None:
    home.credentials()
    (home.folder / "credentials.json").write_text("{")
    with pytest.raises(Failure) as raised:
        home.credentials()
    assert raised.value.code == "damaged_settings"


def test_an_id_cannot_lead_out_of_the_folder() -> None:
    assert Home("../../etc").folder.parent == config_home()


def test_the_place_follows_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YURT_CONFIG_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere/config")
    monkeypatch.setattr(sys, "platform", "linux")
    assert config_home() == Path("/somewhere/config/yurt")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/profile/local")
    assert config_home() == Path("/profile/local/Yurt")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert config_home().parts[-3:] == ("Library", "Application Support", "Yurt")
