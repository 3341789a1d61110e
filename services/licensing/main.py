"""Licensing, put together. `python -m services.licensing.main` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from fastapi import Depends, FastAPI

from services.licensing.consumers import SUBSCRIPTIONS
from services.licensing.http import router
from services.licensing.settings import AllSettings
from services.licensing.settle_due import settle_due
from shared.messaging.bus import Bus
from shared.messaging.consumer import RetryPolicy
from shared.messaging.rabbit import RabbitBus
from shared.messaging.relay import Relay
from shared.runtime import database, problem, telemetry
from shared.runtime.health import health_routes
from shared.runtime.http import require_service_token
from shared.runtime.repeated import repeated
from shared.runtime.settings import BrokerSettings, SettingsInvalid, load_all
from shared.runtime.silence import watched_at_both_ends, watched_broker

NAME = "licensing"


def create_app(settings: AllSettings, bus: Bus) -> FastAPI:
    """The service; inside its lifespan the database is migrated, events are taken and given, lapses noticed."""
    url = database.service_database_url(settings.postgres.postgres_url, NAME, settings.postgres.database_prefix)
    url = watched_at_both_ends(url, settings.postgres.silence)
    engine = database.create_engine(url)
    sessions = database.sessions(engine)
    tracing = telemetry.setup(NAME, settings.telemetry)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await database.ensure_database(url)
        await database.migrate("services.licensing", url)
        await bus.start(NAME, sessions, SUBSCRIPTIONS)
        try:
            async with (
                Relay(NAME, engine, bus).running(),
                repeated("look at the clock", settings.licensing.lapse_interval, partial(settle_due, sessions)),
            ):
                yield
        finally:
            await bus.stop(NAME)
            await engine.dispose()
            await asyncio.to_thread(tracing.close)

    app = FastAPI(title="Yurt licensing", lifespan=life)
    app.state.sessions = sessions
    app.state.downgrade_grace = settings.licensing.grace()
    app.include_router(router, dependencies=[Depends(require_service_token(settings.service.service_token))])
    app.include_router(health_routes(engine))
    problem.install(app)
    tracing.instrument(app)
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
    try:
        app = create_app(settings, bus)
        await uvicorn.Server(uvicorn.Config(app, host=settings.service.host, port=settings.service.port)).serve()
    finally:
        await bus.close()


if __name__ == "__main__":
    asyncio.run(serve())
