"""Everything a build works with."""

from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from services.snapshot_builder.image_cache import ImageCache
from services.snapshot_builder.settings import BuilderSettings, SnapshotBuilderSettings
from services.snapshot_builder.wake_up import WakeUps
from shared.runtime.database import Sessions, create_engine, service_database_url, sessions
from shared.runtime.objects import Objects
from shared.runtime.settings import ConnectionSettings
from shared.runtime.silence import watched_at_both_ends

SERVICE = "snapshot-builder"


@dataclass(frozen=True)
class Workshop:
    """`work` is the folder of builds under way, one folder per claim."""

    settings: BuilderSettings
    connections: ConnectionSettings
    engine: AsyncEngine
    sessions: Sessions
    objects: Objects
    provisioning: httpx.AsyncClient
    wake_ups: WakeUps
    cache: ImageCache
    work: Path


def open_workshop(settings: SnapshotBuilderSettings, provisioning: httpx.AsyncClient) -> Workshop:
    """Nothing is connected yet; the folders under `home` exist. The caller disposes of the engine."""
    postgres = settings.postgres
    url = service_database_url(postgres.postgres_url, SERVICE, postgres.database_prefix)
    engine = create_engine(watched_at_both_ends(url, postgres.silence))
    home = settings.service.home / SERVICE
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    return Workshop(
        settings=settings.builder,
        connections=settings.connections,
        engine=engine,
        sessions=sessions(engine),
        objects=Objects(settings.objects),
        provisioning=provisioning,
        wake_ups=WakeUps(),
        cache=ImageCache(home / "cache", settings.builder.build_cache_bytes),
        work=work,
    )
