"""One service on its real database, with nobody around: what it records stays in the outbox and can be looked at."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psycopg
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.envelope import Envelope, Event
from shared.messaging.consumer import Subscription, consume
from shared.runtime import database

TOKEN = "a-service-token-of-the-tests"
E = TypeVar("E", bound=Event)


@dataclass
class OneService:
    """`client` calls its door, `take` hands it events, `recorded` shows what it wants to tell others."""

    sessions: database.Sessions
    engine: AsyncEngine
    client: httpx.AsyncClient
    subscriptions: Sequence[Subscription[Any]]
    app: FastAPI

    async def take(self, event: Event, event_id: Any = None) -> None:
        """The event arrives at each consumer that listens to it, in the transaction of the real wrapper."""
        listening = [s for s in self.subscriptions if s.event.wire_name == event.wire_name]
        assert listening, f"nobody listens to {event.wire_name}"
        identity = {"id": event_id} if event_id else {}
        envelope = Envelope(name=event.wire_name, payload=event.model_dump(mode="json"), **identity)
        for subscription in listening:
            await consume(envelope, subscription, self.sessions)

    async def recorded(self, kind: type[E]) -> list[E]:
        """Events of this kind in the outbox, oldest first."""
        query = text("SELECT payload FROM outbox WHERE name = :name ORDER BY occurred_at")
        async with self.engine.connect() as connection:
            payloads = (await connection.execute(query, {"name": kind.wire_name})).scalars().all()
        return [kind.model_validate(payload) for payload in payloads]

    async def forget_recorded(self) -> None:
        """The outbox is empty afterwards."""
        async with self.engine.begin() as connection:
            await connection.execute(text("DELETE FROM outbox"))

    async def execute(self, statement: str, **values: Any) -> None:
        """Lay hands on the database, to bring about what would take too long."""
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), values)


@asynccontextmanager
async def one_service(
    name: str, url: str, app: FastAPI, subscriptions: Sequence[Subscription[Any]]
) -> AsyncIterator[OneService]:
    """The service of `app` with the database at `url`, migrated; relay, bus and jobs do not run."""
    await database.ensure_database(url)
    await database.migrate(f"services.{name}", url)
    engine = database.create_engine(url)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        yield OneService(app.state.sessions, engine, client, subscriptions, app)
    await app.state.sessions.kw["bind"].dispose()
    await engine.dispose()


def database_prefix() -> str:
    """A prefix for the databases of one test alone."""
    return f"yurt_test_{uuid4().hex[:12]}"


def drop_databases(postgres_url: str, prefix: str) -> None:
    """Afterwards there is no database of that prefix."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
        for (name,) in names:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
