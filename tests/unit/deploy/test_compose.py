"""docker-compose.yml and what lies beside it: what can be told without a container."""

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs: it comes with pre-commit and is used here only

from deploy.compose.first_env import ROOT, write
from services.licensing.settings import AllSettings as LicensingSettings
from services.provisioning.settings import AllSettings as ProvisioningSettings
from shared.contracts.services import SERVICES
from shared.runtime.settings import BrokerSettings

JOBS = {"migrate"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_bytes())["services"]
    return described


def test_every_part_of_yurt_is_there(services: dict[str, Any]) -> None:
    assert services.keys() == {*SERVICES, "postgres", "rabbitmq", "minio", "proxy", *JOBS}


def test_every_service_has_a_health_check_and_comes_back_after_a_crash(services: dict[str, Any]) -> None:
    lasting = {name: said for name, said in services.items() if name not in JOBS}
    assert [name for name, said in lasting.items() if not said.get("healthcheck", {}).get("test")] == []
    assert [name for name, said in lasting.items() if said.get("restart") != "unless-stopped"] == []


def test_only_the_proxy_is_reached_from_outside(services: dict[str, Any]) -> None:
    assert [name for name, said in services.items() if "ports" in said or "network_mode" in said] == ["proxy"]


def test_no_service_of_ours_starts_before_the_migrations_are_done(services: dict[str, Any]) -> None:
    awaited = {name: services[name]["depends_on"]["migrate"]["condition"] for name in SERVICES}
    assert awaited == dict.fromkeys(SERVICES, "service_completed_successfully")


def test_settings_reach_the_services_that_do_not_read_all_of_env(services: dict[str, Any]) -> None:
    read = {"licensing": LicensingSettings, "provisioning": ProvisioningSettings}
    for name, settings in read.items():
        concerns = [BrokerSettings, *settings.__annotations__.values()]
        variables = {f"YURT_{field}".upper() for concern in concerns for field in concern.model_fields}
        assert variables - {"YURT_HOME"} <= services[name]["environment"].keys(), name


def test_no_secret_stands_in_the_file_and_each_has_a_place_in_the_example(services: dict[str, Any]) -> None:
    secret = {
        value.partition(":?")[0].removeprefix("${")
        for said in services.values()
        for name, value in said.get("environment", {}).items()
        if name.endswith(("PASSWORD", "PASS", "TOKEN"))
    }
    empty = {line.removesuffix("=") for line in _example().splitlines() if line.endswith("=")}
    assert secret <= empty
    assert empty == {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "S3_SECRET", "YURT_SERVICE_TOKEN", "YURT_OPERATOR_TOKEN"}


def test_the_first_env_has_secrets_of_its_own_and_is_never_replaced(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    write(ROOT / ".env.example", env)
    said = dict(line.split("=", 1) for line in env.read_text().splitlines() if "=" in line and not line.startswith("#"))
    assert all(said.values())
    assert said["YURT_SERVICE_TOKEN"] != said["YURT_OPERATOR_TOKEN"]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write(ROOT / ".env.example", env)


def _example() -> str:
    return (ROOT / ".env.example").read_text(encoding="utf-8")
