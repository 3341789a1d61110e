"""The snapshot builder as a service: `python -m services.snapshot_builder.main`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from services.snapshot_builder.consumers import SUBSCRIPTIONS
from services.snapshot_builder.http import internal_routes
from services.snapshot_builder.jobs import jobs_running
from services.snapshot_builder.settings import SnapshotBuilderSettings
from services.snapshot_builder.workshop import SERVICE, open_workshop
from shared.messaging.bus import Bus
from shared.messaging.consumer import RetryPolicy
from shared.messaging.rabbit import RabbitBus
from shared.messaging.relay import Relay
from shared.runtime.database import conninfo, ensure_database, migrate
from shared.runtime.health import health_routes
from shared.runtime.http import service_client
from shared.runtime.problem import install
from shared.runtime.settings import BrokerSettings, SettingsInvalid, load_all
from shared.runtime.silence import watched_broker
from shared.runtime.telemetry import setup


def create_app(settings: SnapshotBuilderSettings, bus: Bus, provisioning: httpx.AsyncClient) -> FastAPI:
    """The service as an application; while its lifespan is open it takes events and builds packages.

    `provisioning` is the client of that service; the caller closes it, and the bus.
    """
    workshop = open_workshop(settings, provisioning)
    telemetry = setup(SERVICE, settings.telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        url = conninfo(workshop.engine)
        await ensure_database(url)
        await migrate("services.snapshot_builder", url)
        async with AsyncExitStack() as running:
            running.callback(telemetry.close)
            running.push_async_callback(workshop.engine.dispose)
            await running.enter_async_context(Relay(SERVICE, workshop.engine, bus).running())
            await running.enter_async_context(jobs_running(workshop))
            await bus.start(SERVICE, workshop.sessions, SUBSCRIPTIONS)
            running.push_async_callback(bus.stop, SERVICE)
            yield

    app = FastAPI(title="Yurt snapshot builder", lifespan=lifespan)
    install(app)
    app.include_router(health_routes(workshop.engine))
    app.include_router(internal_routes(workshop.sessions, settings.service.service_token))
    telemetry.instrument(app)
    telemetry.instrument_client(provisioning)
    return app


async def serve() -> None:
    """Run the service until it is told to stop."""
    settings = SnapshotBuilderSettings.load()
    (broker,) = load_all(BrokerSettings)
    if broker.amqp_url is None:
        raise SettingsInvalid(["YURT_AMQP_URL: needed by a service that runs in a process of its own"])
    policy = RetryPolicy(broker.retry_delays)
    url = watched_broker(broker.amqp_url, broker.silence)
    bus = RabbitBus(url, broker.amqp_prefix, policy=policy, prefetch=broker.prefetch)
    service = settings.service
    try:
        async with service_client(settings.builder.provisioning_url, service.service_token) as provisioning:
            app = create_app(settings, bus, provisioning)
            await uvicorn.Server(uvicorn.Config(app, host=service.host, port=service.port)).serve()
    finally:
        await bus.close()


if __name__ == "__main__":
    asyncio.run(serve())
