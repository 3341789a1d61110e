"""Two subscribers: acme has the application trade with anna (administrator), boris (user) and robot (synchronisation);
other has the application foreign with its administrator olga.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.integration.one_service import database_prefix, drop_databases
from tests.integration.sync_gateway import application
from tests.integration.sync_gateway.stand import OPERATOR, PASSWORD, Stand, running_stand

SUBSCRIPTION = {"plan": "optimal", "extra_seats": 0, "valid_until": None, "local_licence": True}
PEOPLE = {
    "trade": {"anna": "administrator", "boris": "user", "robot": "synchronisation"},
    "foreign": {"olga": "administrator"},
}


@pytest_asyncio.fixture
async def empty(postgres_url: str, s3_url: str, fresh_database: str, tmp_path: Path) -> AsyncIterator[Stand]:
    """The services without any data; the application's database is there."""
    prefix = database_prefix()
    application.create(fresh_database)
    try:
        async with running_stand(postgres_url, s3_url, prefix, fresh_database, tmp_path) as stand:
            yield stand
    finally:
        drop_databases(postgres_url, prefix)


@pytest_asyncio.fixture
async def stand(empty: Stand) -> Stand:
    """With both subscribers, their applications (in one database) and people."""
    for subscriber, code in (("acme", "trade"), ("other", "foreign")):
        await operate(empty, f"subscribers/{subscriber}", {"name": subscriber.title(), **SUBSCRIPTION})
        await operate(empty, f"applications/{code}", application.attachment("trade", subscriber))
        for login, role in PEOPLE[code].items():
            person = {"full_name": login.title(), "role": role, "password": PASSWORD}
            await operate(empty, f"applications/{code}/users/{login}", person)
    return empty


async def operate(stand: Stand, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await stand.client.put(f"/operator/v1/{path}", json=body, headers=OPERATOR)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created
