"""Provisioning, put together. `python -m services.provisioning.main` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from argon2 import PasswordHasher
from fastapi import Depends, FastAPI

from services.provisioning.consumers import SUBSCRIPTIONS
from services.provisioning.http import router
from services.provisioning.look_after import look_after
from services.provisioning.passwords import Passwords
from services.provisioning.settings import AllSettings
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

NAME = "provisioning"


def create_app(settings: AllSettings, bus: Bus, hasher: PasswordHasher | None = None) -> FastAPI:
    """The service; in its lifespan the database is migrated, events taken and given, stuck preparations given up."""
    url = database.service_database_url(settings.postgres.postgres_url, NAME, settings.postgres.database_prefix)
    url = watched_at_both_ends(url, settings.postgres.silence)
    engine = database.create_engine(url)
    sessions = database.sessions(engine)
    tracing = telemetry.setup(NAME, settings.telemetry)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await database.ensure_database(url)
        await database.migrate("services.provisioning", url)
        await bus.start(NAME, sessions, SUBSCRIPTIONS)
        looking = partial(look_after, sessions, settings.watchdog.patience(), settings.login.rules())
        try:
            async with (
                Relay(NAME, engine, bus).running(),
                repeated("look after preparations", settings.watchdog.watch_interval, looking),
            ):
                yield
        finally:
            await bus.stop(NAME)
            await engine.dispose()
            await asyncio.to_thread(tracing.close)

    app = FastAPI(title="Yurt provisioning", lifespan=life)
    app.state.sessions = sessions
    app.state.passwords = Passwords(hasher or PasswordHasher())
    app.state.attempt_rules = settings.login.rules()
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
