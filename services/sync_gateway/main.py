"""The gateway, put together. `python -m services.sync_gateway.main` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import uvicorn
from anyio import CapacityLimiter
from fastapi import FastAPI

from services.sync_gateway.administration.workplace_feed import WorkplaceFeed
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases
from services.sync_gateway.consumers import SUBSCRIPTIONS
from services.sync_gateway.http.bodies import BoundedBodies
from services.sync_gateway.http.routes import public_routes
from services.sync_gateway.http.wiring import Parts
from services.sync_gateway.settings import AllSettings
from services.sync_gateway.shorten_histories import shorten_histories
from services.sync_gateway.tidy import sweep_deltas, tidy
from shared.messaging.bus import Bus
from shared.messaging.consumer import RetryPolicy
from shared.messaging.rabbit import RabbitBus
from shared.messaging.relay import Relay
from shared.runtime import database, problem, telemetry
from shared.runtime.health import health_routes
from shared.runtime.http import service_client
from shared.runtime.objects import Objects
from shared.runtime.repeated import repeated
from shared.runtime.settings import BrokerSettings, ServiceSettings, SettingsInvalid, load_all
from shared.runtime.silence import watched_at_both_ends, watched_broker

NAME = "sync-gateway"
TIDY_EVERY = 30.0
SWEEP_EVERY = 3600.0
SHUTDOWN_SECONDS = 10
HEAD_LIMIT = 128 * 1024  # bytes of a request before its body: room for a position of 100,000 characters


def create_app(
    settings: AllSettings, bus: Bus, provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient
) -> FastAPI:
    """The service; inside its lifespan the database is migrated, events are taken and given, the doors are open.

    The caller closes the clients of the other services, and the bus.
    """
    url = database.service_database_url(settings.postgres.postgres_url, NAME, settings.postgres.database_prefix)
    url = watched_at_both_ends(url, settings.postgres.silence)
    engine = database.create_engine(url)
    door = settings.door
    parts = Parts(
        sessions=database.sessions(engine),
        provisioning=provisioning,
        licensing=licensing,
        objects=Objects(settings.objects),
        catalogue=ApplicationCatalogue(provisioning),
        databases=ApplicationDatabases(
            settings.connections,
            calls=door.application_calls,
            size=door.application_connections,
            seconds=door.application_timeout,
            binds_for=door.application_binds_for,
        ),
        feed=WorkplaceFeed(database.conninfo(engine)),
        bus=bus,
        heavy=CapacityLimiter(door.heavy_messages),
        huge=CapacityLimiter(1),
        door=door,
        exchange=settings.exchange,
        operator_token=settings.operator.resolve(settings.service.home),
    )
    tracing = telemetry.setup(NAME, settings.telemetry)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await database.ensure_database(url)
        await database.migrate("services.sync_gateway", url)
        tidying = partial(tidy, parts.sessions, parts.catalogue, parts.databases, parts.objects)
        async with AsyncExitStack() as running:
            running.push_async_callback(asyncio.to_thread, tracing.close)
            running.push_async_callback(engine.dispose)
            running.push_async_callback(parts.databases.close)
            await bus.start(NAME, parts.sessions, SUBSCRIPTIONS)
            running.push_async_callback(bus.stop, NAME)
            await running.enter_async_context(Relay(NAME, engine, bus).running())
            await running.enter_async_context(repeated("tidy", TIDY_EVERY, tidying))
            sweeping = partial(sweep_deltas, parts.objects)
            await running.enter_async_context(repeated("sweep deltas", SWEEP_EVERY, sweeping))
            shortening = partial(shorten_histories, provisioning, parts.databases, settings.history)
            interval = settings.history.history_interval
            await running.enter_async_context(repeated("shorten histories", interval, shortening))
            await running.enter_async_context(repeated("listen for workplaces", 1, parts.feed.run))
            running.callback(parts.feed.close)
            yield

    app = FastAPI(title="Yurt", lifespan=life, redirect_slashes=False)
    app.state.parts = parts
    app.include_router(public_routes())
    app.include_router(health_routes(engine))
    app.add_middleware(BoundedBodies, limit=door.body_limit)
    problem.install(app)
    tracing.instrument(app)
    tracing.instrument_client(provisioning)
    tracing.instrument_client(licensing)
    return app


async def serve() -> None:
    """Run the service as a process of its own, which needs a broker, until it is told to stop."""
    settings = AllSettings.from_environment()
    (broker,) = load_all(BrokerSettings)
    if broker.amqp_url is None:
        raise SettingsInvalid(["YURT_AMQP_URL: needed by a service that runs in a process of its own"])
    policy = RetryPolicy(broker.retry_delays)
    url = watched_broker(broker.amqp_url, broker.silence)
    bus = RabbitBus(url, broker.amqp_prefix, policy=policy, prefetch=broker.prefetch)
    service = settings.service
    try:
        async with (
            service_client(settings.peers.provisioning_url, service.service_token) as provisioning,
            service_client(settings.peers.licensing_url, service.service_token) as licensing,
        ):
            app = create_app(settings, bus, provisioning, licensing)
            await uvicorn.Server(uvicorn_config(app, service)).serve()
    finally:
        await bus.close()


def uvicorn_config(app: FastAPI, service: ServiceSettings) -> uvicorn.Config:
    """How the public door is served: heads are bounded, watchers of events do not hold up the end of the process.

    By h11, because httptools takes in a head of any size.
    """
    return uvicorn.Config(
        app,
        host=service.host,
        port=service.port,
        http="h11",
        h11_max_incomplete_event_size=HEAD_LIMIT,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    asyncio.run(serve())
