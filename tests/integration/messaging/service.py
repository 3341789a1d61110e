"""A small service with a database of its own, as the suites of messaging need it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.contracts.envelope import Event
from shared.messaging.bus import Bus
from shared.messaging.consumer import Subscription
from shared.messaging.outbox import record
from shared.messaging.relay import Pace, Relay
from shared.messaging.tables import create_messaging_tables
from shared.runtime.database import Sessions, conninfo, create_engine, sessions

PATIENCE = 20
QUICK = Pace(pause_first=0.01, pause_longest=0.05, unexpected=0.05, idle=1)

Handler = Callable[[AsyncSession, Any], Awaitable[None]]


@dataclass
class Service:
    """`effects` is a table its handlers write to: what stands there was committed."""

    name: str
    url: str
    engine: AsyncEngine
    sessions: Sessions
    calls: Counter[str] = field(default_factory=Counter)
    called: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def record(self, *events: Event) -> None:
        async with self.sessions() as session, session.begin():
            for event in events:
                await record(session, event)

    async def outbox(self) -> int:
        return await self.count("outbox")

    async def count(self, table: str) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())

    async def effects(self) -> list[str]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("SELECT consumer || ' ' || lamp FROM effects ORDER BY 1"))
            return list(rows.scalars())

    def subscribe(self, consumer: str, event: type[Event], handler: Handler | None = None) -> Subscription[Any]:
        """A subscription whose handler is counted, writes an effect, and then does what `handler` does."""

        async def handle(session: AsyncSession, lamp: Any) -> None:
            await (await session.connection()).execute(
                text("INSERT INTO effects VALUES (:consumer, :lamp)"), {"consumer": consumer, "lamp": lamp.lamp}
            )
            async with self.called:
                self.calls[consumer] += 1
                self.called.notify_all()
            if handler is not None:
                await handler(session, lamp)

        return Subscription(consumer, event, handle)

    async def until_called(self, consumer: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE), self.called:
            await self.called.wait_for(lambda: self.calls[consumer] >= times)

    async def until(self, statement: str, expected: object) -> None:
        """Until the first column of the statement's row is what is expected. Woken by commits of the watched tables."""
        async with asyncio.timeout(PATIENCE):
            connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
            async with connection:
                await connection.execute("LISTEN changed")
                while True:
                    row = await (await connection.execute(statement)).fetchone()
                    if row is not None and row[0] == expected:
                        return
                    async for _ in connection.notifies(stop_after=1, timeout=1):
                        pass

    async def until_effects(self, count: int) -> None:
        await self.until("SELECT count(*) FROM effects", count)

    async def until_published(self) -> None:
        await self.until("SELECT count(*) FROM outbox", 0)

    def relay(self, bus: Bus, pace: Pace = QUICK) -> Relay:
        return Relay(self.name, self.engine, bus, pace)


class _Operations:
    """What `alembic.op` is to a migration."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sqltext: str, /) -> None:
        self._connection.execute(text(sqltext))


def make_tables(url: str) -> None:
    """The tables of messaging, `effects`, and triggers that tell of changes (for waiting without polling)."""
    engine = create_sync_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        create_messaging_tables(_Operations(connection))
        connection.execute(text("CREATE TABLE effects (consumer text NOT NULL, lamp text NOT NULL)"))
        connection.execute(
            text(
                "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_notify('changed', ''); RETURN NULL; END $$"
            )
        )
        for table in ("outbox", "inbox", "effects", "dead_letters"):
            connection.execute(
                text(
                    f"CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON {table} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION tell()"
                )
            )
    engine.dispose()


@asynccontextmanager
async def opened(name: str, url: str) -> AsyncIterator[Service]:
    """A service on a database with the tables of `make_tables`."""
    engine = create_engine(url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        yield Service(name, conninfo(engine), engine, sessions(engine))
