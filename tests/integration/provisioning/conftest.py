"""Provisioning on a database of its own, with one application and three people."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from argon2 import PasswordHasher

from services.provisioning.consumers import SUBSCRIPTIONS
from services.provisioning.main import NAME, create_app
from services.provisioning.settings import AllSettings, LoginSettings, WatchdogSettings
from shared.messaging.bus import InProcessBus
from shared.runtime.database import service_database_url
from shared.runtime.settings import PostgresSettings, ServiceSettings, TelemetrySettings
from tests.integration.one_service import TOKEN, OneService, database_prefix, drop_databases, one_service
from tests.integration.provisioning.office import APPLICATION, PEOPLE

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest_asyncio.fixture
async def empty(postgres_url: str) -> AsyncIterator[OneService]:
    """The service without any data."""
    prefix = database_prefix()
    settings = AllSettings(
        PostgresSettings(postgres_url=postgres_url, database_prefix=prefix),
        ServiceSettings(service_token=TOKEN),
        TelemetrySettings(),
        LoginSettings(),
        WatchdogSettings(),
    )
    app = create_app(settings, InProcessBus([NAME]), CHEAP)
    url = service_database_url(postgres_url, NAME, prefix)
    try:
        async with one_service(NAME, url, app, SUBSCRIPTIONS) as service:
            yield service
    finally:
        drop_databases(postgres_url, prefix)


@pytest_asyncio.fixture
async def provisioning(empty: OneService) -> OneService:
    """The service with subscriber acme, application books, and anna, boris and robot in it."""
    await put(empty, "/subscribers/acme", {"name": "Acme"})
    await put(empty, "/applications/books", APPLICATION)
    for login, person in PEOPLE.items():
        await put(empty, f"/applications/books/users/{login}", person)
    return empty


async def put(service: OneService, path: str, body: dict[str, Any]) -> None:
    answer = await service.client.put(path, json=body)
    assert answer.status_code == 201, answer.text
