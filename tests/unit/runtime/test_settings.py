import os
from pathlib import Path

import pytest

from shared.runtime.problem import Problem
from shared.runtime.settings import (
    BrokerSettings,
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    Settings,
    SettingsInvalid,
    TelemetrySettings,
    load_all,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("YURT_")]:
        monkeypatch.delenv(name)


def test_all_mistakes_of_all_classes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_AMQP_URL", "http://guest:hidden@broker")
    monkeypatch.setenv("YURT_SERVICE_TOKEN", "hidden")
    monkeypatch.setenv("YURT_PORT", "a lot")
    with pytest.raises(SettingsInvalid) as raised:
        load_all(PostgresSettings, BrokerSettings, ServiceSettings, TelemetrySettings)
    assert [mistake.partition(":")[0] for mistake in raised.value.mistakes] == [
        "YURT_POSTGRES_URL",
        "YURT_AMQP_URL",
        "YURT_SERVICE_TOKEN",
        "YURT_PORT",
    ]
    assert "hidden" not in str(raised.value), "no values in messages"
    assert "hidden" not in "".join(f"{error!r}" for error in (raised.value, raised.value.__context__))


def test_settings_come_in_the_order_of_their_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_POSTGRES_URL", "postgresql://postgres@127.0.0.1/postgres")
    monkeypatch.setenv("YURT_TRACE_FILE", "spans.jsonl")
    telemetry, postgres = load_all(TelemetrySettings, PostgresSettings)
    assert telemetry.trace_file == Path("spans.jsonl")
    assert postgres.postgres_url == "postgresql://postgres@127.0.0.1/postgres"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_POSTGRES_URL", "postgresql://u:hidden@h/d")
    monkeypatch.setenv("YURT_AMQP_URL", "amqp://u:hidden@h")
    monkeypatch.setenv("YURT_S3_URL", "http://key:hidden@h/b")
    monkeypatch.setenv("YURT_SERVICE_TOKEN", "hidden-hidden-hidden")
    monkeypatch.setenv("YURT_CONNECTION_BOOKS", "postgresql://u:hidden@h/d")
    loaded = load_all(PostgresSettings, BrokerSettings, ObjectSettings, ServiceSettings, ConnectionSettings)
    assert "hidden" not in repr(loaded)


def test_without_a_broker_events_stay_in_the_process() -> None:
    assert BrokerSettings().amqp_url is None


def test_retry_delays_are_a_list_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_RETRY_DELAYS", "0.5, 2,8")
    assert BrokerSettings().retry_delays == (0.5, 2, 8)


@pytest.mark.parametrize(
    ("url", "endpoint", "secure", "key", "secret", "bucket"),
    [
        ("http://k:s@127.0.0.1:9000/packages", "127.0.0.1:9000", False, "k", "s", "packages"),
        ("https://k:a%2Fb%40c@s3.example.com", "s3.example.com", True, "k", "a/b@c", "yurt"),
    ],
)
def test_an_object_url_holds_endpoint_keys_and_bucket(
    url: str, endpoint: str, secure: bool, key: str, secret: str, bucket: str
) -> None:
    objects = ObjectSettings(s3_url=url)
    assert (objects.endpoint, objects.secure, objects.bucket) == (endpoint, secure, bucket)
    assert (objects.access_key, objects.secret_key) == (key, secret)


def test_a_named_bucket_goes_before_that_of_the_url() -> None:
    assert ObjectSettings(s3_url="http://k:s@h/of-url", s3_bucket="named").bucket == "named"


def test_a_connection_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_CONNECTION_NORTH_WIND_2", "postgresql://u@h/north")
    connections = ConnectionSettings()
    assert connections.resolve("north-wind-2") == "postgresql://u@h/north"
    assert connections.resolve("North_Wind_2") == "postgresql://u@h/north"


@pytest.mark.parametrize("name", ["books", "postgresql://u:hidden@h/d", "", "../books"])
def test_an_unknown_connection_is_a_problem_that_shows_no_secret(name: str) -> None:
    with pytest.raises(Problem) as raised:
        ConnectionSettings().resolve(name)
    assert raised.value.code == "unknown_connection"
    assert "hidden" not in str(raised.value)


def test_a_url_is_a_connection_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_ALLOW_DSN", "1")
    connections = ConnectionSettings()
    assert connections.resolve("postgresql://u@h/d") == "postgresql://u@h/d"
    with pytest.raises(Problem):
        connections.resolve("mysql://u@h/d")


def test_a_connection_that_is_no_postgresql_url_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YURT_CONNECTION_BOOKS", "mysql://u@h/d")
    with pytest.raises(SettingsInvalid) as raised:
        load_all(ConnectionSettings)
    assert [mistake.partition(":")[0] for mistake in raised.value.mistakes] == ["YURT_CONNECTION"]


def test_a_services_own_settings_use_the_same_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    class LampSettings(Settings):
        lamp_hours: int = 10

    monkeypatch.setenv("YURT_LAMP_HOURS", "20")
    assert load_all(LampSettings)[0].lamp_hours == 20
