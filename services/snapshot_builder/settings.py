"""Settings of the snapshot builder; what all services share is in shared.runtime.settings."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    Settings,
    TelemetrySettings,
    load_all,
)

Seconds = Annotated[float, Field(gt=0)]


class BuilderSettings(Settings):
    """Variables `YURT_BUILD_…` and the places beside. Durations are seconds, sizes bytes.

    `public_url` is the gateway as workplaces see it; `program_dir` the folder that `workplace.build_pyz` wrote.
    `build_patience`: how long a build waits for an application database or provisioning before it fails.
    `build_leftover_age`: an object or base image that nothing needs goes when it is this old.
    """

    public_url: str
    provisioning_url: str = "http://127.0.0.1:8081"
    program_dir: Path
    build_workers: int = Field(default=1, ge=0, le=64)
    build_lease: Seconds = 30
    build_progress_interval: Seconds = 1
    build_attempts: int = Field(default=3, ge=1)
    build_retry_first: Seconds = 2
    build_retry_longest: Seconds = 60
    build_patience: Seconds = 900
    build_cache_bytes: int = Field(default=4_000_000_000, ge=0)
    build_sweep_interval: Seconds = 300
    build_leftover_age: Seconds = 3600
    base_image_max_age: Seconds = 900
    package_life: Seconds = timedelta(days=7).total_seconds()


@dataclass(frozen=True)
class SnapshotBuilderSettings:
    """All that the service is told from outside, one part per concern."""

    postgres: PostgresSettings
    objects: ObjectSettings
    service: ServiceSettings
    telemetry: TelemetrySettings
    connections: ConnectionSettings
    builder: BuilderSettings

    @classmethod
    def load(cls) -> "SnapshotBuilderSettings":
        """From the environment. `SettingsInvalid` names every mistake at once."""
        shared = (PostgresSettings, ObjectSettings, ServiceSettings, TelemetrySettings, ConnectionSettings)
        return cls(*load_all(*shared, BuilderSettings))
