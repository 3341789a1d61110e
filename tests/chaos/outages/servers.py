"""Servers of our own, which may be stopped, each reached through a line, which may be cut."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from deploy.servers.postgres import WheelPostgres
from deploy.servers.rabbit import PackageRabbit
from deploy.servers.rclone import RcloneStore
from deploy.servers.server import Server
from tests.chaos.outages.line import Line

Kind = Literal["stopped", "cut off"]
Name = Literal["broker", "databases", "services' databases", "application database", "object store"]


@dataclass(frozen=True)
class Place:
    """A server, how it is killed and started again over the same data at the same port, and the only way to it."""

    url: str
    line: Line
    kill: Callable[[], None]
    start: Callable[[], object]

    @property
    def through(self) -> str:
        """Its URL by way of the line."""
        return self.line.through(self.url)


@dataclass(frozen=True)
class Servers:
    """`databases` is the server of the services' own databases, `application` that of the application's."""

    broker: Place
    databases: Place
    application: Place
    store: Place

    def concerned(self, name: Name) -> Sequence[Place]:
        """When the databases are out, all of them are; either server can be out alone."""
        match name:
            case "broker":
                return [self.broker]
            case "databases":
                return [self.databases, self.application]
            case "services' databases":
                return [self.databases]
            case "application database":
                return [self.application]
            case "object store":
                return [self.store]

    @contextmanager
    def out(self, name: Name, kind: Kind) -> Iterator[None]:
        """Inside, the server is killed, or cut off. Afterwards it answers."""
        places = self.concerned(name)
        if kind == "cut off":
            for place in places:
                place.line.cut()
            yield
            for place in places:
                place.line.mend()
            return
        for place in places:
            place.line.refuse()
            place.kill()
        yield
        for place in places:
            place.start()
            place.line.answer()


@contextmanager
def own_servers(home: Path) -> Iterator[Servers]:
    """All four run inside; their state is in `home`, which other users must be able to pass through."""
    with ExitStack() as ending:

        def place(server: Server, kill: Callable[[], None], start: Callable[[], object]) -> Place:
            ending.callback(server.stop)
            return Place(server.url, ending.enter_context(Line(server.url).open()), kill, start)

        def database(name: str) -> Place:
            postgres = WheelPostgres(home / name)
            return place(postgres.start(), lambda: postgres.stop(signal.SIGQUIT), postgres.start)

        rabbit, store = PackageRabbit(home / "rabbitmq"), RcloneStore(home / "store")

        def kill_broker() -> None:
            for process in psutil.Process(rabbit.pid).children(recursive=True):
                process.kill()
            rabbit.stop()

        yield Servers(
            broker=place(rabbit.start(), kill_broker, rabbit.start),
            databases=database("databases"),
            application=database("application"),
            store=place(store.start(), lambda: store.stop(signal.SIGKILL), store.start),
        )
