"""Settings of the snapshot builder, prefix `YURT_BUILDER_`; what all services share is in shared.runtime.settings."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


class BuildSettings(BaseSettings):
    """How builds run. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="YURT_BUILDER_", extra="ignore")

    workers: Annotated[int, Field(ge=0, le=64)] = 1
    lease: Seconds = 30
    progress_interval: Seconds = 1
    max_attempts: Annotated[int, Field(ge=1)] = 3
    retry_first: Seconds = 2
    retry_longest: Seconds = 60
    # How long a build waits for the application's database or for provisioning before it fails.
    patience: Seconds = 900
    base_image_max_age: Seconds = 900
    cache_bytes: Annotated[int, Field(ge=0)] = 4_000_000_000


class KeepSettings(BaseSettings):
    """How long things stay in object storage, in seconds."""

    model_config = SettingsConfigDict(env_prefix="YURT_BUILDER_", extra="ignore")

    package_life: Seconds = timedelta(days=7).total_seconds()
    base_image_life: Seconds = timedelta(hours=6).total_seconds()
    # An object that no row knows is a crash's leftover once it is this old.
    leftover_age: Seconds = timedelta(hours=1).total_seconds()
    sweep_interval: Seconds = 300


class PlaceSettings(BaseSettings):
    """Where things are: the gateway's public URL, provisioning's URL, the folder that `workplace.build_pyz` wrote."""

    model_config = SettingsConfigDict(env_prefix="YURT_", extra="ignore")

    public_url: str
    program_dir: Path
    provisioning_url: str
