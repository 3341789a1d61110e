"""The snapshot builder as a whole, with a witness for what it says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.snapshot_builder.main import create_app
from services.snapshot_builder.settings import SnapshotBuilderSettings
from services.snapshot_builder.tables import BaseImage, Job, StoredPackage
from services.snapshot_builder.workshop import SERVICE
from shared.contracts.envelope import Envelope, Event
from shared.contracts.provisioning import PackageRequested, WorkplaceEnded
from shared.contracts.snapshot_builder import BuildFailed, BuildProgressed, PackageBuilt
from shared.messaging.bus import InProcessBus
from shared.messaging.consumer import Subscription
from shared.runtime.database import Sessions, create_engine, service_database_url, sessions
from shared.runtime.http import service_client
from shared.runtime.objects import Objects
from shared.runtime.problem import Problem, install
from tests.integration.snapshot_builder.application import Application

E = TypeVar("E", bound=Event)
WAIT = 30.0


def provisioning_of(*applications: Application) -> httpx.AsyncClient:
    """What the builder needs of provisioning: its answer about an application."""
    app = FastAPI()
    install(app)

    @app.get("/applications/{code}")
    async def read(code: str) -> dict[str, object]:
        for application in applications:
            if application.code == code:
                return application.described
        raise Problem("not_found", f"There is no application {code}.")

    return service_client("http://provisioning", "token-of-these-tests", httpx.ASGITransport(app))


class Witness:
    """Hears the builder's events in the order they arrive."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Event] = asyncio.Queue()
        self.all: list[Event] = []

    async def hear(self, _: AsyncSession, event: Event) -> None:
        self.all.append(event)
        await self._heard.put(event)

    async def next(self, kind: type[E]) -> E:
        """The next event of a kind; others before it are passed over."""
        async with asyncio.timeout(WAIT):
            while True:
                event = await self._heard.get()
                if isinstance(event, kind):
                    return event
                if isinstance(event, BuildFailed) or (isinstance(event, PackageBuilt) and kind is BuildFailed):
                    raise AssertionError(f"instead of {kind.__name__}: {event!r}")

    def subscriptions(self) -> list[Subscription[Event]]:
        """One consumer for each kind."""
        kinds: tuple[type[Event], ...] = (BuildProgressed, PackageBuilt, BuildFailed)
        return [Subscription(f"witness-{kind.__name__}", kind, self.hear) for kind in kinds]


@dataclass
class Stand:
    """`settings` may be changed before the builder runs."""

    settings: SnapshotBuilderSettings
    application: Application
    objects: Objects
    sessions: Sessions

    def having(self, **builder: object) -> None:
        """Change settings of the builder."""
        changed = self.settings.builder.model_copy(update=builder)
        self.settings = replace(self.settings, builder=changed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Running"]:
        """The builder at work inside; stopped in order afterwards."""
        bus, witness = InProcessBus([SERVICE, "witness"]), Witness()
        async with provisioning_of(self.application) as provisioning:
            app = create_app(self.settings, bus, provisioning)
            async with app.router.lifespan_context(app):
                await bus.start("witness", self.sessions, witness.subscriptions())
                token = self.settings.service.service_token
                async with service_client("http://builder", token, httpx.ASGITransport(app)) as client:
                    yield Running(bus, witness, client)
                await bus.stop("witness")

    async def until_running(self, package: UUID) -> None:
        """Returns once a worker has taken the job."""

        async def taken() -> bool:
            job = (await self.jobs()).get(package)
            return job is not None and job.state == "running"

        await until(taken)

    async def jobs(self) -> dict[UUID, Job]:
        async with self.sessions() as session:
            return {job.package: job for job in (await session.exec(select(Job))).all()}

    async def packages(self) -> dict[UUID, StoredPackage]:
        async with self.sessions() as session:
            return {package.id: package for package in (await session.exec(select(StoredPackage))).all()}

    async def base_images(self) -> list[BaseImage]:
        async with self.sessions() as session:
            return list((await session.exec(select(BaseImage))).all())

    async def stored(self, prefix: str) -> list[str]:
        """Names of the objects in the bucket."""
        return [found.name async for found in self.objects.list(prefix)]

    async def download(self, name: str, target: Path) -> Path:
        with target.open("wb") as file:
            async for chunk in self.objects.open(name):
                file.write(chunk)
        return target


@dataclass
class Running:
    bus: InProcessBus
    witness: Witness
    client: httpx.AsyncClient

    async def send(self, event: Event) -> None:
        """Deliver an event as its service would; returns when its handlers have committed."""
        await self.bus.publish(Envelope(name=event.wire_name, payload=event.model_dump(mode="json")), attempt=1)

    async def request(self, organisations: list[str] | None = None, workplace: UUID | None = None) -> PackageRequested:
        request = requested(organisations, workplace)
        await self.send(request)
        return request

    async def end(self, workplace: UUID) -> None:
        await self.send(ended(workplace))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds. For what nobody announces: rows of a job under way, objects in the store."""
    async with asyncio.timeout(WAIT):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


def requested(organisations: list[str] | None = None, workplace: UUID | None = None) -> PackageRequested:
    """A request for a new package."""
    return PackageRequested(
        package=uuid4(),
        workplace=workplace or uuid4(),
        application="stall",
        name="Прилавок 1",
        prefix="A",
        organisations=organisations,
        scope_version=1,
    )


def ended(workplace: UUID) -> WorkplaceEnded:
    """The end of a workplace."""
    return WorkplaceEnded(workplace=workplace, subscriber="somebody", outcome="deleted")


def database_of(settings: SnapshotBuilderSettings) -> str:
    """The builder's database URL."""
    return service_database_url(settings.postgres.postgres_url, SERVICE, settings.postgres.database_prefix)


@asynccontextmanager
async def opened(settings: SnapshotBuilderSettings) -> AsyncIterator[Sessions]:
    """Sessions in the builder's database."""
    engine = create_engine(database_of(settings))
    yield sessions(engine)
    await engine.dispose()
