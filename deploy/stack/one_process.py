"""The four services in one process, with the bus in process. The stack runs it by its module name.

Only the gateway listens; it and the builder reach their neighbours without a socket.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from services.licensing import main as licensing
from services.licensing.settings import AllSettings as LicensingSettings
from services.provisioning import main as provisioning
from services.provisioning.settings import AllSettings as ProvisioningSettings
from services.snapshot_builder import main as snapshot_builder
from services.snapshot_builder.settings import SnapshotBuilderSettings
from services.sync_gateway import main as sync_gateway
from services.sync_gateway.settings import AllSettings as GatewaySettings
from shared.contracts.services import SERVICES
from shared.messaging.bus import InProcessBus
from shared.runtime.http import service_client
from shared.runtime.settings import ServiceSettings, load_all


@asynccontextmanager
async def public_door() -> AsyncIterator[uvicorn.Server]:
    """The gateway, ready to be served while one is inside; the other services run."""
    (service,) = load_all(ServiceSettings)
    bus = InProcessBus(SERVICES)
    async with AsyncExitStack() as running:
        running.push_async_callback(bus.close)

        async def client_of(app: FastAPI) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = service_client("http://in-process", service.service_token, transport)
            return await running.enter_async_context(client)

        seats = licensing.create_app(LicensingSettings.from_environment(), bus)
        workplaces = provisioning.create_app(ProvisioningSettings.from_environment(), bus)
        builder = snapshot_builder.create_app(SnapshotBuilderSettings.load(), bus, await client_of(workplaces))
        gateway = sync_gateway.create_app(
            GatewaySettings.from_environment(),
            bus,
            provisioning=await client_of(workplaces),
            licensing=await client_of(seats),
        )
        for app in (seats, workplaces, builder):
            await running.enter_async_context(app.router.lifespan_context(app))
        yield uvicorn.Server(sync_gateway.uvicorn_config(gateway, service))


async def serve() -> None:
    """Runs until it is told to stop; the gateway stops first."""
    async with public_door() as server:
        await server.serve()


if __name__ == "__main__":
    asyncio.run(serve())
