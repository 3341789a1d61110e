"""Settings of the gateway, by concern. All have the prefix `YURT_`."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import Field, SecretStr

from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    Settings,
    TelemetrySettings,
    load_all,
)


class PeerSettings(Settings):
    """Where the other services are."""

    provisioning_url: str = "http://127.0.0.1:8081"
    licensing_url: str = "http://127.0.0.1:8082"


class OperatorSettings(Settings):
    """The operator's token: given, or kept in a file that is made at the first start."""

    operator_token: SecretStr | None = None
    operator_token_file: Path | None = None

    def resolve(self, home: Path) -> str:
        """The token; not in the settings: from the file (default `<home>/operator-token`), made when missing."""
        if self.operator_token is not None:
            return self.operator_token.get_secret_value()
        path = self.operator_token_file or home / "operator-token"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return path.read_text("utf-8").strip()
        path.write_text(secrets.token_urlsafe(32), "utf-8")
        return path.read_text("utf-8").strip()


class ExchangeSettings(Settings):
    """How exchanges run. Sizes in bytes (MB = 1,000,000), times in seconds."""

    exchange_expires: float = Field(default=600, gt=0)
    next_exchange_in: int = Field(default=300, ge=0)
    message_limit: int = 16_000_000
    aggregate_limit: int = 64_000_000
    message_aggregates: int = 20_000
    message_values: int = 2_000_000  # JSON values, also of a single aggregate
    message_containers: int = 500_000  # lists and objects among them
    delta_direct_limit: int = 8_000_000
    maintenance: bool = False
    minimal_program: str | None = None  # name/version: an older program of that name is told to update

    @property
    def lifetime(self) -> timedelta:
        """How long an exchange lives after its last request."""
        return timedelta(seconds=self.exchange_expires)


class DoorSettings(Settings):
    """Limits of the public door and of the calls behind it. `public_url`: where workplaces reach it, when they are told
    an address; not given, it is the address they asked.
    """

    public_url: str | None = None
    token_days: int = Field(default=90, gt=0)
    body_limit: int = 1_000_000
    secure_cookie: bool = False
    application_calls: int = Field(default=8, gt=0)  # calls into application databases at one time
    application_connections: int = Field(default=8, gt=0)  # per named connection
    application_timeout: float = 5
    application_binds_for: float = Field(default=5, ge=0)  # an altered table is noticed after so many seconds
    heavy_messages: int = Field(default=4, gt=0)  # messages in memory at one time, beside one large one


class HistorySettings(Settings):
    """What application databases remember of changes. Marks younger than `history_keep` seconds stay; a workplace that
    was silent for `history_retention` days is not waited for and has to resync. A round is made every
    `history_interval` seconds.
    """

    history_keep: float = Field(default=86_400, ge=0)
    history_retention: float = Field(default=90, gt=0)
    history_interval: float = Field(default=3_600, gt=0)

    @property
    def keep(self) -> timedelta:
        """The age below which no mark goes."""
        return timedelta(seconds=self.history_keep)

    @property
    def retention(self) -> timedelta:
        """How long a silent workplace holds back what it has not seen."""
        return timedelta(days=self.history_retention)


class AllSettings(NamedTuple):
    """Everything the gateway is told from outside."""

    postgres: PostgresSettings
    objects: ObjectSettings
    service: ServiceSettings
    telemetry: TelemetrySettings
    connections: ConnectionSettings
    peers: PeerSettings
    operator: OperatorSettings
    exchange: ExchangeSettings
    door: DoorSettings
    history: HistorySettings

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsInvalid` with every mistake at once."""
        return cls._make(load_all(*cls.__annotations__.values()))
