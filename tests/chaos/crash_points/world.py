"""Everything around the points: the stack, the application with its users in the cloud, three workplaces."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg

from deploy.demo.computer import Computer
from deploy.demo.doors import Operator, Person
from deploy.stack.settings import StackSettings
from tests.chaos.crash_points import bazaar
from tests.chaos.crash_points.branch import Branch
from tests.chaos.crash_points.service import PATIENCE, CrashingStack

PASSWORD = "felt-and-lattice-42"
LOGIN = "admin@bazaar"
FINAL = {"ready", "failed", "refused", "deleted"}
SETTINGS = {
    "YURT_BASE_IMAGE_MAX_AGE": "0.001",  # every package is built from the application's database
    "YURT_BUILD_LEASE": "1",
    "YURT_BUILD_SWEEP_INTERVAL": "2",
    "YURT_BUILD_LEFTOVER_AGE": "10",
    "YURT_DELTA_DIRECT_LIMIT": "3000",  # a turn's delta is a file, a single change is not
    "YURT_MESSAGE_AGGREGATES": "3",  # a turn's message is refused and goes in halves
    "YURT_HISTORY_INTERVAL": "1",
    "YURT_HISTORY_KEEP": "1",
    "YURT_APPLICATION_BINDS_FOR": "0",
}
BURST = 15  # orders that the cloud writes at once: enough for a delta that is offered as a file


@dataclass
class World:
    """Inside `world()`. `number` is the version of the application, 1.`number`."""

    stack: CrashingStack
    operator: Operator
    person: Person
    home: Path
    prefix: str
    store_url: str
    cloud: psycopg.Connection[Any]
    pool: ThreadPoolExecutor
    number: int = 0
    branches: list[Branch] = field(default_factory=list)

    def sql(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of the application's database."""
        cursor = self.cloud.execute(statement.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []

    def service_sql(self, service: str, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of the database of a service."""
        url = self.stack.database_url(f"{self.prefix}_{service}")
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(statement.encode(), arguments or None).fetchall()

    def attach(self) -> None:
        """The application is attached in its present version, however often that takes."""
        terms = {"name": "Bazaar", "plan": "prof", "extra_seats": 5, "valid_until": "2099-12-31", "local_licence": True}
        self.insist(self.operator.http, "PUT", f"/operator/v1/subscribers/{bazaar.CODE}", terms)
        described = {"subscriber": bazaar.CODE, "title": "Bazaar", "connection": bazaar.CODE}
        document = {**described, "manifest": bazaar.manifest(self.number)}
        self.insist(self.operator.http, "PUT", f"/operator/v1/applications/{bazaar.CODE}", document)

    def insist(
        self,
        http: httpx.Client,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        done: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The answer of a request, sent again as long as nobody is there; `done`: codes that mean it was done."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            try:
                answer = http.request(method, path, json=body, headers={"Idempotency-Key": key} if key else {})
            except httpx.TransportError:
                self.stack.service.wait_until_serving()
                continue
            document: dict[str, Any] = answer.json() if answer.content else {}
            if answer.is_success or document.get("code") in done:
                return document
            assert answer.status_code >= 500 or document.get("code") == "request_in_progress", answer.text
            self.stack.service.pause(0.1)
        raise AssertionError(f"{method} {path} does not get through any more")

    def create(self, name: str, firms: tuple[str, ...] | None) -> dict[str, Any]:
        """A workplace in its final state, whoever dies meanwhile."""
        wish = {"name": name, "organisations": firms and list(firms)}
        path = f"applications/{bazaar.CODE}/workplaces"
        made = self.insist(self.person.http, "POST", path, wish, key=uuid4().hex)
        return self.followed(made["id"])

    def followed(self, identity: str) -> dict[str, Any]:
        """The last state of a creation."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            try:
                for state in self.person.follow(identity):
                    if state["state"] in FINAL:
                        return state
            except (httpx.TransportError, httpx.HTTPStatusError):
                self.stack.service.wait_until_serving()
        raise AssertionError(f"workplace {identity} comes to no end: {self.workplace(identity)}")

    def workplace(self, identity: str) -> dict[str, Any]:
        """As the service shows it."""
        return self.insist(self.person.http, "GET", f"workplaces/{identity}")

    def seats(self) -> int:
        """How many are used."""
        return int(self.insist(self.person.http, "GET", f"applications/{bazaar.CODE}")["seats"]["used"])

    def packaged(self, identity: str) -> dict[str, Any]:
        """The workplace, once it has a package."""
        until = monotonic() + PATIENCE
        while (workplace := self.workplace(identity))["package"] is None:
            assert monotonic() < until, workplace
            sleep(0.05)
        return workplace

    def wait_until_deleted(self, identity: str) -> None:
        """Returns when the gateway shows it so: when it died over the deletion, provisioning's event tells it."""
        until = monotonic() + PATIENCE
        while (workplace := self.workplace(identity))["state"] != "deleted":
            assert monotonic() < until, workplace
            sleep(0.05)

    def download(self, workplace: dict[str, Any]) -> Computer:
        """The workplace's package, whole, unzipped on a computer of its own."""
        assert workplace["package"], workplace["reason"]
        folder = self.home / uuid4().hex
        folder.mkdir()
        file = folder / "package.zip"
        self.person.download_part(workplace["id"], file)
        computer = Computer(folder / "workplace", folder / "computer")
        computer.unzip(file)
        assert not computer.damaged()
        return computer

    def install(self, workplace: dict[str, Any]) -> Branch:
        """The workplace in use for the first time."""
        computer = self.download(workplace)
        firms = tuple(workplace["organisations"]) if workplace["organisations"] is not None else None
        service = self.stack.service
        return Branch(workplace["id"], workplace["name"], firms, LOGIN, PASSWORD, computer, service)

    def exchange(self, branches: Sequence[Branch] | None = None, *, prove: bool = False) -> list[Any]:
        """Exchanges of the workplaces at the same time, each until it goes through."""
        branches = self.branches if branches is None else branches
        return list(self.pool.map(lambda branch: branch.exchange(prove=prove), branches))

    @contextmanager
    def busy_cloud(self) -> Iterator[None]:
        """Inside, people in the cloud write without a pause, and first of all a good deal at once."""
        self._burst()
        ending = threading.Event()
        writing = self.pool.submit(self._write_until, ending)
        try:
            yield
        finally:
            ending.set()
            writing.result(PATIENCE)

    def _burst(self) -> None:
        with self.cloud.transaction():
            self.cloud.execute("DELETE FROM orders WHERE note LIKE 'burst%'")
            self.cloud.execute(_NEW_ORDERS, {"kind": "burst", "count": BURST})

    def _write_until(self, ending: threading.Event) -> None:
        with closing(psycopg.connect(self.stack.database_url(f"{self.prefix}_bazaar"), autocommit=True)) as cloud:
            writes: Sequence[Callable[[], object]] = [
                lambda: cloud.execute(_NEW_ORDERS, {"kind": "cloud", "count": 1}),
                lambda: cloud.execute(_EDIT_SHARED, [random.choice(tuple(bazaar.SHARED.values()))]),
                lambda: cloud.execute("UPDATE items SET price = price + 1 WHERE id <= 5"),
                lambda: cloud.execute(_MOVE),
                lambda: cloud.execute(_FORGET_OLD),
            ]
            while not ending.wait(0.02):
                # Somebody else's lines were booked in the other order: people would press again.
                with suppress(psycopg.errors.DeadlockDetected):
                    random.choice(writes)()


# `uuid` of the note makes it one that nobody else writes; numbers as workplaces would not make them.
_NEW_ORDERS = """
WITH made AS (
    INSERT INTO orders (id, firm, number, note)
    SELECT id, CASE WHEN random() < 0.5 THEN 'A' ELSE 'B' END, 'C:' || id, %(kind)s || ' ' || id
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %(count)s)) AS wanted RETURNING id
)
INSERT INTO lines (id, order_id, item, amount) SELECT gen_random_uuid(), id, 1 + n, 10 * n
FROM made, generate_series(1, 2) AS n"""
_EDIT_SHARED = "UPDATE orders SET note = 'cloud ' || gen_random_uuid() WHERE id = %s"
_MOVE = """
UPDATE orders SET firm = CASE firm WHEN 'A' THEN 'B' ELSE 'A' END
WHERE id = (SELECT id FROM orders WHERE note LIKE 'cloud%' AND number LIKE 'C:%' ORDER BY random() LIMIT 1)"""
_FORGET_OLD = """
DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE note LIKE 'cloud%' AND number LIKE 'C:%' ORDER BY random()
LIMIT greatest(0, (SELECT count(*) - 30 FROM orders WHERE note LIKE 'cloud%')))"""


@contextmanager
def world(home: Path, postgres_url: str, s3_url: str, environment: dict[str, str]) -> Iterator[World]:
    """A stack of its own, one application attached, three workplaces that have exchanged once."""
    prefix = f"crash_{uuid4().hex[:10]}"
    store_url = urlunsplit(urlsplit(s3_url)._replace(path=f"/{prefix.replace('_', '-')}"))
    settings = StackSettings(
        home=home / "stack",
        port=0,
        postgres_url=postgres_url,
        database_prefix=prefix,
        s3_url=store_url,
        amqp_url=None,
    )
    database = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{prefix}_bazaar"))
    with ExitStack() as opened:
        server = opened.enter_context(psycopg.connect(postgres_url, autocommit=True))
        server.execute(f'CREATE DATABASE "{prefix}_bazaar"'.encode())
        opened.callback(_drop_databases, server, prefix)
        cloud = opened.enter_context(psycopg.connect(database, autocommit=True))
        cloud.execute(bazaar.SCHEMA.encode())
        for firm, order in bazaar.SHARED.items():
            cloud.execute("INSERT INTO orders VALUES (%s, %s, %s, 'shared')", [order, firm, f"S-{firm}"])
        connection = {f"YURT_CONNECTION_{bazaar.CODE.upper()}": database}
        stack = opened.enter_context(CrashingStack(settings, environment={**environment, **SETTINGS, **connection}))
        operator = opened.enter_context(Operator(stack.url, stack.operator_token))
        pool = opened.enter_context(ThreadPoolExecutor(8))
        person: Any = None
        made = World(stack, operator, person, home, prefix, store_url, cloud, pool)
        made.attach()
        user = {"full_name": "Somebody", "role": "administrator", "password": PASSWORD}
        operator.put(f"applications/{bazaar.CODE}/users/{LOGIN}", user)
        made.person = opened.enter_context(Person(stack.url, LOGIN, PASSWORD))
        for name, firms in (("all", None), ("of A", ("A",)), ("of B", ("B",))):
            made.branches.append(made.install(made.create(name, firms)))
        made.exchange()
        yield made


def _drop_databases(server: psycopg.Connection[Any], prefix: str) -> None:
    names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
    for (name,) in names:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
