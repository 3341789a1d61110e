"""Licensing on a database of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from services.licensing.consumers import SUBSCRIPTIONS
from services.licensing.main import NAME, create_app
from services.licensing.settings import AllSettings, LicensingSettings
from shared.messaging.bus import InProcessBus
from shared.runtime.database import service_database_url
from shared.runtime.settings import PostgresSettings, ServiceSettings, TelemetrySettings
from tests.integration.one_service import TOKEN, OneService, database_prefix, drop_databases, one_service


@pytest_asyncio.fixture
async def licensing(postgres_url: str) -> AsyncIterator[OneService]:
    prefix = database_prefix()
    settings = AllSettings(
        PostgresSettings(postgres_url=postgres_url, database_prefix=prefix),
        ServiceSettings(service_token=TOKEN),
        TelemetrySettings(),
        LicensingSettings(),
    )
    app = create_app(settings, InProcessBus([NAME]))
    url = service_database_url(postgres_url, NAME, prefix)
    try:
        async with one_service(NAME, url, app, SUBSCRIPTIONS) as service:
            yield service
    finally:
        drop_databases(postgres_url, prefix)
