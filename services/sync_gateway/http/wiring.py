"""The parts a door needs, handed to it by the composition root."""

from dataclasses import dataclass
from typing import Annotated

import httpx
from anyio import CapacityLimiter
from fastapi import Depends, Request

from services.sync_gateway.administration.workplace_feed import WorkplaceFeed
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases
from services.sync_gateway.settings import DoorSettings, ExchangeSettings
from shared.messaging.bus import Bus
from shared.runtime.database import Sessions
from shared.runtime.objects import Objects


@dataclass(frozen=True)
class Parts:
    """Everything the doors of one gateway work with."""

    sessions: Sessions
    provisioning: httpx.AsyncClient
    licensing: httpx.AsyncClient
    objects: Objects
    catalogue: ApplicationCatalogue
    databases: ApplicationDatabases
    feed: WorkplaceFeed
    bus: Bus
    heavy: CapacityLimiter
    huge: CapacityLimiter
    door: DoorSettings
    exchange: ExchangeSettings
    operator_token: str


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Wired = Annotated[Parts, Depends(_parts)]
