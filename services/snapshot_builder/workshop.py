"""Everything a build works with, put together in main.py."""

from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from services.snapshot_builder.image_cache import ImageCache
from services.snapshot_builder.settings import BuilderSettings
from services.snapshot_builder.wake_up import WakeUps
from shared.runtime.database import Sessions
from shared.runtime.objects import Objects
from shared.runtime.settings import ConnectionSettings


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
