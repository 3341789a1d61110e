"""Settings of provisioning; what all services share is in shared.runtime.settings."""

from datetime import timedelta
from typing import Annotated, NamedTuple, Self

from pydantic import Field

from services.provisioning.attempts import AttemptRules
from shared.runtime.settings import PostgresSettings, ServiceSettings, Settings, TelemetrySettings, load_all

Seconds = Annotated[float, Field(gt=0)]


class LoginSettings(Settings):
    """How guessing passwords is slowed down, then locked.

    `login_free_failures` in a row cost no waiting, `login_lock_failures` lock the login for `login_lock` seconds.
    """

    login_free_failures: int = Field(default=3, ge=0, le=100)
    login_lock_failures: int = Field(default=10, ge=1, le=1000)
    login_lock: Seconds = 900

    def rules(self) -> AttemptRules:
        """The rules these settings describe."""
        return AttemptRules(self.login_free_failures, self.login_lock_failures, timedelta(seconds=self.login_lock))


class WatchdogSettings(Settings):
    """A preparation without a sign of life for `preparation_patience` seconds has failed.

    One is looked for every `watch_interval` seconds.
    """

    preparation_patience: Seconds = 1800
    watch_interval: Seconds = 30

    def patience(self) -> timedelta:
        """As an interval."""
        return timedelta(seconds=self.preparation_patience)


class AllSettings(NamedTuple):
    """Everything provisioning is told from outside."""

    postgres: PostgresSettings
    service: ServiceSettings
    telemetry: TelemetrySettings
    login: LoginSettings
    watchdog: WatchdogSettings

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `SettingsInvalid` with every mistake at once."""
        return cls(*load_all(PostgresSettings, ServiceSettings, TelemetrySettings, LoginSettings, WatchdogSettings))
