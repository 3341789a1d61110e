"""Northwind as it is: the replica equals the database after random edits on both sides, with exchanges between."""

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from deploy.demo.cloud import DataMissing, fill, sources
from deploy.demo.computer import Computer
from deploy.demo.doors import Operator, Person
from deploy.demo.narrator import Narrator
from deploy.demo.plot import read_plot
from deploy.demo.story import PASSWORD, attach
from deploy.demo.told_digests import service_digests
from deploy.stack.stack import Stack

PLOT = read_plot("northwind")
EDITS = 200
EXCHANGE_EVERY = 20
SEED = 20261123


@dataclass
class Office:
    """Northwind attached on a running stack, one workplace on a computer, and the application's own connection."""

    stack: Stack
    person: Person
    computer: Computer
    cloud: psycopg.Connection[Any]

    def synchronise(self) -> str:
        """One exchange by the package's own program. Problems coming back are a result, not a failure (exit code 3)."""
        sign_in = ("--login", f"admin@{PLOT.code}", "--password-stdin")
        return self.computer.run("sync", *sign_in, typed=f"{PASSWORD}\n", expect=(0, 3))

    def create(self) -> dict[str, Any]:
        """A new workplace, ready."""
        workplace = self.person.call("POST", f"applications/{PLOT.code}/workplaces", {})
        for state in self.person.follow(workplace["id"]):
            workplace = state
        assert workplace["state"] == "ready", workplace["reason"]
        return workplace

    def unzipped(self, workplace: dict[str, Any], folder: Path) -> Computer:
        """The package of a workplace on a computer of its own."""
        folder.mkdir(parents=True)
        self.person.download_part(workplace["id"], folder / "package.zip")
        computer = Computer(folder / "workplace", folder / "computer")
        computer.unzip(folder / "package.zip")
        return computer

    def rows_in_the_database(self) -> dict[str, int]:
        tables = [name for (name,) in self.cloud.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        return {name: self._count(name) for name in tables}

    def _count(self, table: str) -> int:
        row = self.cloud.execute(f'SELECT count(*) FROM public."{table}"'.encode()).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def office(embedded_stack: Stack, tmp_path: Path) -> Iterator[Office]:
    with opened(embedded_stack, tmp_path) as office:
        yield office


@contextmanager
def opened(stack: Stack, folder: Path) -> Iterator[Office]:
    try:
        sources(PLOT)
    except DataMissing as missing:
        pytest.skip(str(missing))  # not a server that cannot be had: data of another licence, named
    fill(stack, PLOT)
    nobody = Narrator(Console(file=StringIO()))
    url = stack.database_url(stack.demo_database("northwind"))
    with (
        Operator(stack.url, stack.operator_token) as operator,
        attach(nobody, stack, PLOT, operator) as person,
        psycopg.connect(url, autocommit=True) as cloud,
    ):
        operator.put(f"subscribers/{PLOT.code}", {**terms(), "extra_seats": 5})
        office = Office(stack, person, Computer(folder, folder), cloud)
        office.computer = office.unzipped(office.create(), folder / "first")
        yield office


def terms() -> dict[str, Any]:
    return {"name": PLOT.subscriber, "plan": "starter", "valid_until": "2099-12-31", "local_licence": True}


def test_rows_and_digests_are_equal_after_random_edits_on_both_sides(office: Office) -> None:
    assert {table: said["rows"] for table, said in office.computer.digests().items()} == office.rows_in_the_database()
    dice = random.Random(SEED)
    for number in range(EDITS):
        edit_somewhere(office, dice, number)
        if number % EXCHANGE_EVERY == EXCHANGE_EVERY - 1:
            office.synchronise()
            assert not office.computer.changes()
    office.synchronise()
    there, here = service_digests(office.stack.url, office.computer), office.computer.digests()
    assert there == here
    assert {table: said["rows"] for table, said in here.items()} == office.rows_in_the_database()
    assert office.cloud.execute("SELECT count(*) FROM yurt.messages").fetchone() == (EDITS // EXCHANGE_EVERY,)


def test_a_transaction_left_open_during_an_exchange_arrives_with_the_next_one(office: Office) -> None:
    url = office.stack.database_url(office.stack.demo_database("northwind"))
    office.synchronise()
    with psycopg.connect(url) as slow:
        slow.execute("UPDATE customers SET city = 'Slow' WHERE customer_id = 'ALFKI'")
        office.cloud.execute("UPDATE customers SET city = 'Quick' WHERE customer_id = 'ANATR'")
        office.synchronise()
        assert cities(office.computer) == {"ALFKI": "Berlin", "ANATR": "Quick"}
        slow.commit()
    office.synchronise()
    assert cities(office.computer) == {"ALFKI": "Slow", "ANATR": "Quick"}
    assert service_digests(office.stack.url, office.computer) == office.computer.digests()


def test_a_writer_during_a_build_loses_nothing(office: Office, tmp_path: Path) -> None:
    url = office.stack.database_url(office.stack.demo_database("northwind"))
    # One writer is open from before the build to after it, another commits all the way through.
    with psycopg.connect(url) as slow, hammering(url) as commits:
        slow.execute("INSERT INTO customers (customer_id, company_name) VALUES ('SLOW1', 'Committed after the build')")
        workplace = office.create()
        slow.commit()
    assert commits
    office.computer = office.unzipped(workplace, tmp_path / "second")
    office.synchronise()
    assert office.computer.asked("SELECT company_name FROM customers WHERE customer_id = 'SLOW1'", {})
    assert service_digests(office.stack.url, office.computer) == office.computer.digests()


@contextmanager
def hammering(url: str) -> Iterator[list[int]]:
    """A writer that commits without a pause; the list grows by one per commit."""
    commits: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as writer:
            while not enough.is_set():
                writer.execute(
                    "UPDATE orders SET freight = freight + 1 WHERE mod(order_id, 7) = %s", [len(commits) % 7]
                )
                commits.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield commits
    finally:
        enough.set()
        thread.join()


def cities(computer: Computer) -> dict[str, str]:
    with closing(sqlite3.connect(computer.replica)) as replica:
        query = "SELECT customer_id, city FROM customers WHERE customer_id IN ('ALFKI', 'ANATR')"
        return dict(replica.execute(query).fetchall())


def edit_somewhere(office: Office, dice: random.Random, number: int) -> None:
    """One edit, as often offline as in the cloud; now and then of the same object."""
    if dice.random() < 0.5:
        with closing(sqlite3.connect(office.computer.replica)) as replica, replica:
            replica.execute("PRAGMA foreign_keys = ON")
            statement, arguments = dice.choice(OFFLINE)(dice, number, replica.execute(LINES).fetchall())
            replica.execute(statement, arguments)
    else:
        statement, arguments = dice.choice(BOTH)(dice, number, office.cloud.execute(LINES).fetchall())
        office.cloud.execute(statement.replace("?", "%s").encode(), arguments)


# Few orders, so that both sides meet.
LINES = "SELECT order_id, product_id FROM order_details WHERE order_id < 10270 ORDER BY order_id, product_id"


def ship_name(dice: random.Random, number: int, lines: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "UPDATE orders SET ship_name = ? WHERE order_id = ?", [f"name {number}", dice.choice(lines)[0]]


def ship_city(dice: random.Random, number: int, lines: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "UPDATE orders SET ship_city = ? WHERE order_id = ?", [f"city {number}", dice.choice(lines)[0]]


def quantity(dice: random.Random, number: int, lines: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    order, product = dice.choice(lines)
    changed = "UPDATE order_details SET quantity = ?, discount = 0.15 WHERE order_id = ? AND product_id = ?"
    return changed, [number + 1, order, product]


def line_removed(dice: random.Random, _: int, lines: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "DELETE FROM order_details WHERE order_id = ? AND product_id = ?", list(dice.choice(lines))


def line_added(dice: random.Random, number: int, lines: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    order, product = dice.choice(lines)[0], dice.randint(1, 77)
    added = (
        "INSERT INTO order_details (order_id, product_id, unit_price, quantity, discount)"
        " SELECT ?, ?, 1.1, ?, 0.05"
        " WHERE NOT EXISTS (SELECT 1 FROM order_details WHERE order_id = ? AND product_id = ?)"
    )
    return added, [order, product, number + 1, order, product]


def order_entered(_: random.Random, number: int, __: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "INSERT INTO orders (customer_id, ship_name, freight) VALUES ('ALFKI', ?, 1.5)", [f"new {number}"]


def product_price(dice: random.Random, number: int, _: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "UPDATE products SET unit_price = ? WHERE product_id = ?", [number + 0.1, dice.randint(1, 77)]


def customer_entered(_: random.Random, number: int, __: list[tuple[int, int]]) -> tuple[str, list[Any]]:
    return "INSERT INTO customers (customer_id, company_name) VALUES (?, ?)", [f"Z{number:04}", f"company {number}"]


BOTH = [ship_name, ship_city, quantity, line_removed, line_added, product_price, customer_entered]
OFFLINE = [*BOTH, order_entered]  # the public Northwind has no sequence: only a workplace numbers by itself
