"""The cloud side of the tests: an application's database and those who work in it, by public calls alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Caller, Json, good, sign_in

HERE = Path(__file__).parent
MANIFEST = (HERE / "steppe.toml").read_text("utf-8")
SCHEMA = (HERE / "steppe.sql").read_text("utf-8")
PASSWORD = "пароль-of-theirs-1"


def days(n: int) -> str:
    return (datetime.now(UTC) + timedelta(days=n)).date().isoformat()


def subscription(**change: Any) -> Json:
    return {
        "name": "Subscriber",
        "plan": "prof",
        "extra_seats": 1000,
        "valid_until": days(30),
        "local_licence": True,
        **change,
    }


def create_database(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


class Office:
    """One subscriber with one application `steppe` in a database of its own, and its people."""

    def __init__(self, url: str, operator: Caller, server: str, folder: Path, code: str) -> None:
        self.url = url
        self.operator = operator
        self._server = server
        self._second: str | None = None
        self.folder = folder
        self.code = code
        self.subscriber = f"{code}-subscriber"
        self.dsn = create_database(server, code.replace("-", "_"))
        self.db: psycopg.Connection[DictRow] = psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row)
        self.db.execute(SCHEMA)
        self.db.execute("INSERT INTO units VALUES ('kg', 'килограмм'), ('pc', 'piece')")
        self.db.execute("INSERT INTO items (unit_code, sku, title, price) SELECT 'kg', 'sku-' || n, 'Item ' || n, n"
                        " FROM generate_series(1, 5) n")  # fmt: skip
        self.first = self.organisation("Первая")
        self.second = self.organisation("Second")
        good(operator.operate("PUT", f"/subscribers/{self.subscriber}", subscription()), 201)
        good(operator.operate("PUT", f"/applications/{code}", self.attachment()), 201)
        self.admin_login = self.person("administrator")
        self.user_login = self.person("user")
        self.robot_login = self.person("synchronisation")
        self.admin = self.session(self.admin_login)
        self.user = self.session(self.user_login)
        self.robot = self.session(self.robot_login)
        self._open: list[Workplace] = []

    def attachment(self, **change: Any) -> Json:
        about = {"subscriber": self.subscriber, "title": "Степной учёт", "manifest": MANIFEST, "connection": self.dsn}
        return {**about, **change}

    def close(self) -> None:
        for workplace in self._open:
            workplace.close()
        for caller in (self.admin, self.user, self.robot):
            caller.http.close()
        self.db.close()

    def second_database(self) -> str:
        """The same application once more, empty, in a database of its own."""
        if self._second is None:
            self._second = self.database("second")
        return self._second

    def database(self, name: str) -> str:
        """The same application, empty, in a new database."""
        dsn = self.empty_database(name)
        self.execute(dsn, SCHEMA)
        return dsn

    def empty_database(self, name: str) -> str:
        return create_database(self._server, f"{self.code}-{name}".replace("-", "_"))

    @staticmethod
    def fetch(dsn: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn) as db:
            return db.execute(query.encode()).fetchall()

    @staticmethod
    def execute(dsn: str, *statements: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            for statement in statements:
                db.execute(statement.encode())

    @contextmanager
    def away(self, dsn: str) -> Iterator[None]:
        """Inside, nobody can connect to this database."""
        name = sql.Identifier(urlsplit(dsn).path[1:])
        with psycopg.connect(self._server, autocommit=True) as server:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [urlsplit(dsn).path[1:]]
            )
            try:
                yield
            finally:
                server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    @staticmethod
    def triggers(dsn: str) -> int:
        """How many triggers stand on the application's tables beside its own one."""
        with psycopg.connect(dsn) as db:
            query = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname <> 'tidy_order'"
            row = db.execute(query).fetchone()
            assert row
            return int(row[0])

    # -- people

    def person(self, role: str, name: str | None = None) -> str:
        login = name or f"{role[:5]}-{uuid4().hex[:8]}@steppe.kz"
        body = {"full_name": f"Имя {role}", "role": role, "password": PASSWORD}
        good(self.operator.operate("PUT", f"/applications/{self.code}/users/{login}", body), 200, 201)
        return login

    def session(self, login: str) -> Caller:
        return sign_in(self.url, login, PASSWORD)

    # -- rows

    def sql(self, query: str, *values: Any) -> list[DictRow]:
        cursor = self.db.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def one(self, query: str, *values: Any) -> DictRow:
        (row,) = self.sql(query, *values)
        return row

    def organisation(self, name: str = "Org") -> str:
        organisation = str(uuid4())
        self.sql("INSERT INTO organisations VALUES (%s, %s)", organisation, name)
        return organisation

    def customer(self, organisation: str, name: str = "Customer", code: str | None = None, **more: Any) -> str:
        customer = str(uuid4())
        values = {"id": customer, "organisation_id": organisation, "name": name, "code": code, **more}
        self.insert("customers", values)
        return customer

    def order(self, organisation: str, customer: str | None = None, lines: int = 2, **more: Any) -> str:
        order = str(uuid4())
        values = {
            "id": order,
            "organisation_id": organisation,
            "ordered_on": "2026-05-05",
            "customer_id": customer or self.customer(organisation),
            **more,
        }
        with self.db.transaction():
            self.insert("orders", values)
            for n in range(1, lines + 1):
                line = {"id": str(uuid4()), "order_id": order, "position": n, "item_id": n, "quantity": n, "price": 10}
                self.insert("order_lines", line)
        return order

    def insert(self, table: str, values: Json) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(values))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, marks)
        self.db.execute(statement, list(values.values()))

    # -- workplaces

    def create(self, **body: Any) -> Json:
        created: Json = good(self.admin.post(f"/applications/{self.code}/workplaces", body), 202)
        return created

    def ready(self, **body: Any) -> Json:
        return self.admin.wait_until(self.create(**body)["id"], "ready")

    def package(self, workplace: str) -> bytes:
        answer = self.admin.get(f"/workplaces/{workplace}/package")
        assert answer.status_code == 200, answer.text
        return answer.content

    def reissue(self, workplace: str) -> bytes:
        """The package of a reissue, known from the old one by its hash: the state does not change meanwhile."""
        was = good(self.admin.get(f"/workplaces/{workplace}"))["package"]["sha256"]
        good(self.admin.post(f"/workplaces/{workplace}/reissue"), 200, 202)
        for document in self.admin.events(workplace):
            if document["package"] and document["package"]["sha256"] != was:
                break
        return self.package(workplace)

    def unpack(self, package: bytes) -> Workplace:
        folder = self.folder / uuid4().hex
        folder.mkdir()
        workplace = Workplace(self.url, package, folder)
        self._open.append(workplace)
        return workplace

    def workplace(self, *organisations: str, synchronised: bool = False, **body: Any) -> Workplace:
        """A workplace of these organisations (none: all), activated by the administrator."""
        if organisations:
            body["organisations"] = list(organisations)
        workplace = self.unpack(self.package(self.ready(**body)["id"]))
        good(workplace.activate(self.admin_login, PASSWORD), 200)
        if synchronised:
            workplace.exchange()
        return workplace

    def active(self, *organisations: str) -> Workplace:
        """One whose state is `active`, which it becomes a moment after its activation was answered."""
        workplace = self.workplace(*organisations)
        until = time.monotonic() + 10
        while self.seen(workplace)["state"] != "active":
            assert time.monotonic() < until
        return workplace

    def seen(self, workplace: Workplace) -> Json:
        document: Json = good(self.admin.get(f"/workplaces/{workplace.id}"))
        return document

