"""Settings of licensing; what all services share is in shared.runtime.settings."""

from datetime import timedelta
from typing import NamedTuple, Self

from pydantic import Field

from shared.runtime.settings import PostgresSettings, ServiceSettings, Settings, TelemetrySettings, load_all


class LicensingSettings(Settings):
    """`lapse_interval`: seconds between two looks at what time brings about. A lapse must be known within a minute.

    `downgrade_grace`: days for which more workplaces than a reduced subscription allows go on; 0 suspends at once.
    """

    lapse_interval: float = Field(default=30, gt=0, le=60)
    downgrade_grace: float = Field(default=14, ge=0, le=3650)

    def grace(self) -> timedelta:
        """`downgrade_grace` as an interval."""
        return timedelta(days=self.downgrade_grace)


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
