"""Licensing and provisioning together on one bus; the tests speak for the builder and the gateway."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest_asyncio
from argon2 import PasswordHasher
from sqlmodel.ext.asyncio.session import AsyncSession

import services.licensing.main as licensing
import services.licensing.settings as licensing_settings
import services.provisioning.main as provisioning
import services.provisioning.settings as provisioning_settings
from shared.contracts.envelope import Envelope, Event
from shared.contracts.licensing import SeatReleased
from shared.contracts.provisioning import Package, PackageRequested, WorkplaceChanged
from shared.contracts.snapshot_builder import BuildFailed, PackageBuilt
from shared.messaging.bus import InProcessBus
from shared.messaging.consumer import Subscription
from shared.messaging.tables import create_messaging_tables
from shared.runtime import database
from shared.runtime.settings import PostgresSettings, ServiceSettings, TelemetrySettings
from tests.integration.one_service import TOKEN, database_prefix, drop_databases
from tests.integration.provisioning.office import APPLICATION, Document

YESTERDAY = str(datetime.now(UTC).date() - timedelta(days=1))
PATIENCE = 20.0


@dataclass
class World:
    """Two services, and what the outside has heard from them."""

    bus: InProcessBus
    licensing: httpx.AsyncClient
    provisioning: httpx.AsyncClient
    licensing_url: str
    orders: dict[UUID, PackageRequested] = field(default_factory=dict)
    known: dict[UUID, WorkplaceChanged] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear_order(self, _: AsyncSession, event: PackageRequested) -> None:
        async with self.news:
            self.orders[event.workplace] = event
            self.news.notify_all()

    async def hear_change(self, _: AsyncSession, event: WorkplaceChanged) -> None:
        async with self.news:
            known = self.known.get(event.workplace)
            if known is None or known.revision < event.revision:
                self.known[event.workplace] = event
            self.news.notify_all()

    async def hear_release(self, _: AsyncSession, __: SeatReleased) -> None:
        async with self.news:
            self.news.notify_all()

    async def say(self, event: Event) -> None:
        await self.bus.publish(Envelope(name=event.wire_name, payload=event.model_dump(mode="json")), 1)

    async def until(self, workplaces: list[Document], *states: str) -> None:
        """Returns when each of the workplaces is known to be in one of the states."""
        ids = [UUID(workplace["workplace"]) for workplace in workplaces]
        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: all(w in self.known and self.known[w].state in states for w in ids))

    async def until_ordered(self, workplace: Document) -> PackageRequested:
        wanted = UUID(workplace["workplace"])
        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: wanted in self.orders)
            return self.orders[wanted]

    async def until_used(self, seats: int) -> None:
        """Returns when so many seats are held; every piece of news is a reason to look again."""
        async with asyncio.timeout(PATIENCE), self.news:
            while (await self.subscription())["used"] != seats:
                await self.news.wait()

    async def subscription(self) -> Document:
        document: Document = (await self.licensing.get("/subscriptions/acme")).json()
        return document

    async def subscribe(self, plan: str, **terms: Any) -> None:
        body = {"plan": plan, "extra_seats": 0, "valid_until": None, "local_licence": True} | terms
        answer = await self.licensing.put("/subscriptions/acme", json=body)
        assert answer.status_code in {200, 201}, answer.text

    async def let_the_grace_pass(self) -> None:
        """The clock of licensing does the rest."""
        async with await psycopg.AsyncConnection.connect(self.licensing_url) as connection:
            await connection.execute("UPDATE subscriptions SET grace_until = now() WHERE grace_until IS NOT NULL")

    async def until_reason(self, workplaces: list[Document], code: str | None) -> None:
        """Returns when each of the workplaces is known with this reason."""

        def told(workplace: Document) -> bool:
            reason = self.known[UUID(workplace["workplace"])].reason
            return (reason.code if reason else None) == code

        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: all(told(workplace) for workplace in workplaces))

    def states(self, workplaces: list[Document]) -> list[str]:
        return [self.known[UUID(workplace["workplace"])].state for workplace in workplaces]

    async def ready(self, count: int) -> list[Document]:
        """Workplaces with their packages, the oldest first."""
        made = []
        for _ in range(count):
            made.append(await self.create())
            await self.build(await self.until_ordered(made[-1]))
        await self.until(made, "ready")
        return made

    async def act(self, workplace: Document, what: str) -> None:
        answer = await self.provisioning.post(f"/workplaces/{workplace['workplace']}/{what}")
        assert answer.status_code == 200, answer.text

    async def create(self) -> Document:
        answer = await self.provisioning.post("/applications/books/workplaces", json={"created_by": "anna"})
        assert answer.status_code == 202, answer.text
        document: Document = answer.json()
        return document

    async def delete(self, workplace: Document) -> None:
        answer = await self.provisioning.delete(f"/workplaces/{workplace['workplace']}")
        assert answer.status_code == 200, answer.text

    async def build(self, order: PackageRequested) -> None:
        package = Package(
            id=order.package,
            object="o",
            filename="Автономная работа.zip",
            size=1,
            sha256="0" * 64,
            position="1:1:",
            generation="g1",
            scope_version=order.scope_version,
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )
        await self.say(PackageBuilt(workplace=order.workplace, package=package, rows={}))


class _Connection:
    """`alembic.op` as far as the messaging tables need it, on a plain connection."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, sqltext: str, /) -> None:
        self._connection.execute(sqltext.encode())


@pytest_asyncio.fixture
async def world(postgres_url: str) -> AsyncIterator[World]:
    prefix = database_prefix()
    postgres = PostgresSettings(postgres_url=postgres_url, database_prefix=prefix)
    common = (postgres, ServiceSettings(service_token=TOKEN), TelemetrySettings())
    bus = InProcessBus([licensing.NAME, provisioning.NAME, "outside"])
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    seats = licensing_settings.AllSettings(*common, licensing_settings.LicensingSettings(lapse_interval=0.2))
    life = provisioning_settings.AllSettings(
        *common, provisioning_settings.LoginSettings(), provisioning_settings.WatchdogSettings()
    )
    apps = licensing.create_app(seats, bus), provisioning.create_app(life, bus, hasher)
    outside = database.service_database_url(postgres_url, "outside", prefix)
    await database.ensure_database(outside)
    with psycopg.connect(outside) as connection:
        create_messaging_tables(_Connection(connection))
    engine = database.create_engine(outside)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with AsyncExitStack() as stack:
        stack.callback(drop_databases, postgres_url, prefix)
        stack.push_async_callback(engine.dispose)
        clients = []
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)
            clients.append(await stack.enter_async_context(client))
        seats_url = database.service_database_url(postgres_url, licensing.NAME, prefix)
        world = World(bus, clients[0], clients[1], seats_url.replace("postgresql+psycopg://", "postgresql://"))
        listening = (
            Subscription("hear_order", PackageRequested, world.hear_order),
            Subscription("hear_change", WorkplaceChanged, world.hear_change),
            Subscription("hear_release", SeatReleased, world.hear_release),
        )
        await bus.start("outside", database.sessions(engine), listening)
        stack.push_async_callback(bus.stop, "outside")
        await clients[1].put("/subscribers/acme", json={"name": "Acme"})
        await clients[1].put("/applications/books", json=APPLICATION)
        person = {"full_name": "Анна", "role": "administrator"}
        await clients[1].put("/applications/books/users/anna", json=person)
        yield world


async def test_fifty_parallel_creations_for_the_last_seat_give_one_workplace(world: World) -> None:
    await world.subscribe("starter")
    made = await asyncio.gather(*(world.create() for _ in range(50)))
    await world.until(made, "preparing", "refused")
    assert Counter(event.state for event in world.known.values()) == {"preparing": 1, "refused": 49}
    assert {event.reason.code for event in world.known.values() if event.reason} == {"seat_limit_reached"}
    assert (await world.subscription())["used"] == 1
    assert len(world.orders) == 1


async def test_a_workplace_becomes_ready_and_its_end_frees_the_seat(world: World) -> None:
    await world.subscribe("starter")
    workplace = await world.create()
    await world.build(await world.until_ordered(workplace))
    await world.until([workplace], "ready")
    assert (await world.subscription())["used"] == 1
    await world.delete(workplace)
    await world.until_used(0)
    again = await world.create()
    await world.until([again], "preparing")


async def test_a_failed_build_gives_the_seat_back(world: World) -> None:
    await world.subscribe("starter")
    workplace = await world.create()
    order = await world.until_ordered(workplace)
    await world.say(BuildFailed(workplace=order.workplace, package_id=order.package, code="build_failed", text="No."))
    await world.until([workplace], "failed")
    await world.until_used(0)


async def test_fifty_workplaces_deleted_at_once_while_under_way_leave_no_seat_taken(world: World) -> None:
    await world.subscribe("prof", extra_seats=45)

    async def create_and_delete() -> Document:
        workplace = await world.create()
        await world.delete(workplace)
        return workplace

    made = await asyncio.gather(*(create_and_delete() for _ in range(50)))
    await world.until(made, "deleted")
    survivor = await world.create()
    await world.until([survivor], "preparing")
    await world.until_used(1)


async def test_a_lapse_suspends_and_a_renewal_resumes_within_the_minute(world: World) -> None:
    await world.subscribe("optimal")
    ready, preparing = await world.create(), await world.create()
    await world.build(await world.until_ordered(ready))
    order = await world.until_ordered(preparing)
    await world.until([ready], "ready")
    await world.subscribe("optimal", valid_until=YESTERDAY)
    await world.until([ready], "suspended")
    refused = await world.create()
    await world.until([refused], "refused")
    await world.build(order)
    await world.until([preparing], "suspended")
    assert (await world.subscription())["used"] == 2
    await world.subscribe("optimal")
    await world.until([ready, preparing], "ready")


async def test_a_downgrade_suspends_the_newest_after_its_grace_and_gives_them_back_as_seats_allow(world: World) -> None:
    await world.subscribe("prof")
    made = await world.ready(4)
    await world.subscribe("optimal")
    document = await world.subscription()
    assert (document["limit"], document["used"], document["over"]) == (2, 4, 2)
    assert datetime.fromisoformat(document["grace_until"]) > datetime.now(UTC) + timedelta(days=13)
    more = await world.create()
    await world.until([more], "refused")
    assert world.states(made) == ["ready"] * 4
    await world.let_the_grace_pass()
    await world.until(made[2:], "suspended")
    await world.until_reason(made[2:], "seats_reduced")
    more = await world.create()
    await world.until([more], "refused")
    assert world.states(made) == ["ready", "ready", "suspended", "suspended"]
    await world.delete(made[0])
    await world.until([made[2]], "ready")
    assert world.states(made) == ["deleted", "ready", "ready", "suspended"]
    await world.subscribe("prof")
    await world.until(made[1:], "ready")
    again = await world.create()
    await world.until([again], "preparing")


async def test_an_administrators_suspension_survives_a_reduction_and_its_end(world: World) -> None:
    await world.subscribe("prof")
    made = await world.ready(3)
    await world.act(made[2], "suspend")
    await world.subscribe("starter")
    await world.let_the_grace_pass()
    await world.until_reason(made[1:], "seats_reduced")
    await world.subscribe("prof")
    await world.until([made[1]], "ready")
    await world.until_reason([made[2]], "suspended_by_administrator")
    await world.act(made[2], "resume")
    await world.until(made, "ready")


async def test_a_lapse_in_the_grace_is_renewed_for_those_that_have_a_seat(world: World) -> None:
    await world.subscribe("prof")
    made = await world.ready(3)
    await world.subscribe("optimal")
    await world.subscribe("optimal", valid_until=YESTERDAY)
    await world.until_reason(made, "subscription_lapsed")
    await world.let_the_grace_pass()
    async with asyncio.timeout(PATIENCE), world.news:
        while (await world.subscription())["grace_until"] is not None:
            await world.news.wait()
    await world.subscribe("optimal")
    await world.until(made[:2], "ready")
    await world.until_reason([made[2]], "seats_reduced")
    await world.subscribe("prof")
    await world.until(made, "ready")


async def test_a_withdrawn_local_licence_suspends_all_after_the_grace_and_comes_back_for_all(world: World) -> None:
    await world.subscribe("prof")
    made = await world.ready(2)
    await world.subscribe("prof", local_licence=False)
    refused = await world.create()
    await world.until([refused], "refused")
    assert world.states(made) == ["ready", "ready"]
    await world.let_the_grace_pass()
    await world.until_reason(made, "local_licence_required")
    assert world.states(made) == ["suspended", "suspended"]
    await world.subscribe("prof")
    await world.until(made, "ready")


async def test_terms_changed_while_workplaces_end_leave_both_services_of_one_mind(world: World) -> None:
    await world.subscribe("prof")
    made = await world.ready(5)
    await world.subscribe("starter")
    await world.let_the_grace_pass()
    await world.until(made[1:], "suspended")
    await asyncio.gather(
        *(world.subscribe(plan) for plan in ("optimal", "starter", "prof", "starter", "optimal")),
        *(world.delete(workplace) for workplace in made[:3:2]),
    )
    await world.subscribe("optimal")
    await world.until_used(3)
    await world.until([made[1], made[3]], "ready")
    await world.let_the_grace_pass()
    await world.until([made[4]], "suspended")
    await world.subscribe("prof")
    await world.until([made[1], *made[3:]], "ready")
    assert world.states(made) == ["deleted", "ready", "deleted", "ready", "ready"]
