"""The gateway, put together. `python -m services.sync_gateway.main` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
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
from services.sync_gateway.tidy import tidy
from shared.messaging.bus import Bus
from shared.messaging.relay import Relay
from shared.runtime import database, problem, telemetry
from shared.runtime.health import health_routes
from shared.runtime.objects import Objects
from shared.runtime.repeated import repeated

NAME = "sync-gateway"
TIDY_EVERY = 30.0


def create_app(
    settings: AllSettings, bus: Bus, provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient
) -> FastAPI:
    """The service; inside its lifespan the database is migrated, events are taken and given, the doors are open.

    The caller closes the clients of the other services, and the bus.
    """
    url = database.service_database_url(settings.postgres.postgres_url, NAME, settings.postgres.database_prefix)
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
        ),
        feed=WorkplaceFeed(database.conninfo(engine)),
        bus=bus,
        heavy=CapacityLimiter(door.heavy_messages),
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
            await running.enter_async_context(repeated("listen for workplaces", 1, parts.feed.run))
            running.callback(parts.feed.close)
            yield

    app = FastAPI(title="Yurt", lifespan=life)
    app.state.parts = parts
    app.include_router(public_routes())
    app.include_router(health_routes(engine))
    app.add_middleware(BoundedBodies, limit=door.body_limit)
    problem.install(app)
    tracing.instrument(app)
    tracing.instrument_client(provisioning)
    tracing.instrument_client(licensing)
    return app
