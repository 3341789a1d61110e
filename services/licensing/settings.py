"""Settings of licensing; what all services share is in shared.runtime.settings."""

from typing import NamedTuple, Self

from pydantic import Field

from shared.runtime.settings import PostgresSettings, ServiceSettings, Settings, TelemetrySettings, load_all


class LicensingSettings(Settings):
    """`lapse_interval`: seconds between two looks at the validity of subscriptions.

    A lapse must be known within a minute.
    """

    lapse_interval: float = Field(default=30, gt=0, le=60)


class AllSettings(NamedTuple):
    """Everything licensing is told from outside."""

    postgres: PostgresSettings
    service: ServiceSettings
    telemetry: TelemetrySettings
    licensing: LicensingSettings

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsInvalid` with every mistake at once."""
        return cls(*load_all(PostgresSettings, ServiceSettings, TelemetrySettings, LicensingSettings))
