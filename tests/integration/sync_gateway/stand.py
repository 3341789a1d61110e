"""Licensing, provisioning and the gateway in one process on real servers; the tests play the snapshot builder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import httpx
import psycopg
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr

from services.licensing import main as licensing
from services.licensing import settings as licensing_settings
from services.provisioning import main as provisioning
from services.provisioning import settings as provisioning_settings
from services.provisioning.tables import Workplace
from services.sync_gateway import main as gateway
from services.sync_gateway import settings as gateway_settings
from shared.contracts.envelope import Envelope, Event
from shared.contracts.provisioning import Package
from shared.contracts.snapshot_builder import PackageBuilt
from shared.messaging.bus import InProcessBus
from shared.replication.history import position_of
from shared.runtime.database import service_database_url
from shared.runtime.http import service_client
from shared.runtime.objects import Objects
from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TelemetrySettings,
)

SERVICE_TOKEN = "a-service-token-of-the-tests"
OPERATOR_TOKEN = "an-operator-token-of-the-tests"
OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
PASSWORD = "correct horse"
API = "/api/v1"
SERVICES = ("licensing", "provisioning", "sync-gateway")
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document, which must be a proper one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["type"] == f"urn:yurt:{document['code']}"
    assert document["status"] == answer.status_code
    return answer.status_code, document["code"]


@dataclass
class Stand:
    """`client` is the public door; `bus` carries the events of all; `databases` are those of the services."""

    client: httpx.AsyncClient
    app: FastAPI
    bus: InProcessBus
    objects: Objects
    application_url: str
    databases: list[str]
    tokens: dict[str, str] = field(default_factory=dict)

    async def sign_in(self, login: str) -> dict[str, str]:
        """Headers of a session of this person."""
        answer = await self.client.post(f"{API}/sessions", json={"login": login, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return bearer(answer.json()["token"])

    async def publish(self, event: Event) -> None:
        """The event reaches every subscriber."""
        await self.bus.publish(Envelope(name=event.wire_name, payload=event.model_dump(mode="json")), 1)

    async def create_workplace(
        self, headers: dict[str, str], application: str = "trade", login: str = "anna", **wishes: Any
    ) -> dict[str, Any]:
        """A workplace with its seat, waiting for its package."""
        path = f"{API}/applications/{application}/workplaces"
        answer = await self.client.post(path, json=wishes, headers=headers)
        assert answer.status_code == 202, answer.text
        workplace: dict[str, Any] = answer.json()
        return await self.reaching(workplace["id"], lambda document: document["state"] != "requested", login)

    async def reaching(
        self, workplace: str, condition: Callable[[dict[str, Any]], bool], login: str = "anna"
    ) -> dict[str, Any]:
        """The document once the condition holds: woken by the projection, never by the clock."""
        headers = bearer(self.tokens[login]) if login in self.tokens else await self.sign_in(login)
        self.tokens[login] = headers["Authorization"].removeprefix("Bearer ")
        feed = self.app.state.parts.feed
        with feed.watch(UUID(workplace)) as changed:
            while True:
                changed.clear()
                answer = await self.client.get(f"{API}/workplaces/{workplace}", headers=headers)
                document: dict[str, Any] = answer.json()
                if condition(document):
                    return document
                await changed.wait()

    async def build_package(
        self, workplace: str, content: bytes = b"a package of the tests", login: str = "anna", **other: Any
    ) -> Package:
        """Play the snapshot builder: the package lies in the store and is announced."""
        stored = await self.objects.put_stream(f"packages/{uuid4()}.zip", [content])
        with psycopg.connect(self.application_url) as connection:
            snapshot, generation = connection.execute(
                "SELECT pg_current_snapshot()::text, generation FROM yurt.applications LIMIT 1"
            ).fetchone() or ("", "")
        about = {
            "id": await self._awaited(workplace),
            "object": stored.name,
            "filename": "Автономная работа.zip",
            "size": stored.size,
            "sha256": stored.sha256,
            "position": position_of(generation, snapshot),
            "generation": generation,
            "scope_version": 1,
            "expires_at": datetime.now(UTC) + timedelta(days=1),
        }
        package = Package.model_validate(about | other)
        await self.publish(PackageBuilt(workplace=UUID(workplace), package=package, rows={}))
        await self.reaching(
            workplace, lambda document: (document["package"] or {}).get("sha256") == package.sha256, login
        )
        return package

    async def settled(self) -> None:
        """No event is on its way any more."""
        while any([await asyncio.to_thread(_holds_events, url) for url in self.databases]):
            pass

    awaited: Callable[[str], Awaitable[UUID]] | None = None

    async def _awaited(self, workplace: str) -> UUID:
        assert self.awaited is not None
        return await self.awaited(workplace)

    async def ready_workplace(self, headers: dict[str, str], **wishes: Any) -> dict[str, Any]:
        """A workplace with its package."""
        workplace = await self.create_workplace(headers, **wishes)
        assert workplace["state"] == "preparing", workplace
        await self.build_package(workplace["id"])
        return await self.reaching(workplace["id"], lambda document: document["state"] == "ready")

    async def activate(self, workplace: str, login: str = "anna", replica: str = "replica-1") -> dict[str, str]:
        """Headers of the replica."""
        body = {"login": login, "password": PASSWORD, "replica_id": replica, "program": "tests/1.0"}
        answer = await self.client.post(f"{API}/workplaces/{workplace}/activation", json=body)
        assert answer.status_code == 200, answer.text
        return bearer(answer.json()["token"])


def _holds_events(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("SELECT FROM outbox LIMIT 1").fetchall())


@asynccontextmanager
async def running_stand(
    postgres_url: str, s3_url: str, prefix: str, application_url: str, home: Any
) -> AsyncIterator[Stand]:
    """All three services with their lifespans, on databases of `prefix` and a bucket of that name."""
    postgres = PostgresSettings(postgres_url=postgres_url, database_prefix=prefix)
    service = ServiceSettings(service_token=SERVICE_TOKEN, home=home)
    bucket = ObjectSettings(s3_url=urlunsplit(urlsplit(s3_url)._replace(path=f"/{prefix.replace('_', '-')}")))
    connections = ConnectionSettings(connection={"trade": application_url})
    bus = InProcessBus(SERVICES)
    seats = licensing.create_app(
        licensing_settings.AllSettings(
            postgres, service, TelemetrySettings(), licensing_settings.LicensingSettings(lapse_interval=1)
        ),
        bus,
    )
    office = provisioning.create_app(
        provisioning_settings.AllSettings(
            postgres,
            service,
            TelemetrySettings(),
            provisioning_settings.LoginSettings(),
            provisioning_settings.WatchdogSettings(),
        ),
        bus,
        CHEAP,
    )
    settings = gateway_settings.AllSettings(
        postgres,
        bucket,
        service,
        TelemetrySettings(),
        connections,
        gateway_settings.PeerSettings(),
        gateway_settings.OperatorSettings(operator_token=SecretStr(OPERATOR_TOKEN)),
        gateway_settings.ExchangeSettings(delta_direct_limit=60_000),
        gateway_settings.DoorSettings(application_timeout=2, application_binds_for=0),
        gateway_settings.HistorySettings(),
    )
    async with AsyncExitStack() as running:
        clients = [
            await running.enter_async_context(
                service_client(f"http://{name}", SERVICE_TOKEN, httpx.ASGITransport(app, raise_app_exceptions=False))
            )
            for name, app in (("provisioning", office), ("licensing", seats))
        ]
        door = gateway.create_app(settings, bus, clients[0], clients[1])
        objects = Objects(bucket)
        await objects.ensure_bucket()
        for app in (seats, office, door):
            await running.enter_async_context(app.router.lifespan_context(app))
        await door.state.parts.feed.listening.wait()
        transport = httpx.ASGITransport(door, raise_app_exceptions=False)
        client = await running.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://yurt"))
        databases = [service_database_url(postgres_url, name, prefix) for name in SERVICES]
        stand = Stand(client, door, bus, objects, application_url, databases)

        async def awaited(workplace: str) -> UUID:
            async with office.state.sessions() as db:
                found = await db.get_one(Workplace, UUID(workplace))
            return UUID(str(found.awaited_package))

        stand.awaited = awaited
        yield stand
        async for found in objects.list():
            await objects.delete(found.name)
