"""Two subscribers whose books lie in the same tables, a workplace of each, and what these must hold by plain SQL."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from deploy.demo.computer import Computer
from deploy.demo.doors import Person
from deploy.demo.told_digests import service_digests
from deploy.stack.stack import Stack
from tests.e2e.cloud_office import PASSWORD, PLOT, CloudOffice, cloud_office
from tests.e2e.metered_line import MeteredLine, metered_line

NEIGHBOUR = "neighbour"
AREAS = {PLOT.code: 1, NEIGHBOUR: 2}

# Key and rows of each synchronised table, said anew and not read from the manifest.
_SHARED = "area_id = %(area)s"
_OWN = f"{_SHARED} AND organisation_id = ANY(%(organisations)s::uuid[])"
_ROWS = {
    "organisations": ("id", f"{_SHARED} AND id = ANY(%(organisations)s::uuid[])"),
    "closing_dates": ("organisation_id", _OWN),
    "units": ("id", _SHARED),
    "accounts": ("code", _SHARED),
    "items": ("id", _SHARED),
    "counterparties": ("id", _OWN),
    "invoices": ("id", _OWN),
    "invoice_lines": ("id", f"invoice_id IN (SELECT id FROM invoices WHERE {_OWN})"),
    "payments": ("id", _OWN),
    "journal_entries": ("id", _OWN),
    "journal_lines": ("entry_id || '/' || line_no", f"entry_id IN (SELECT id FROM journal_entries WHERE {_OWN})"),
}

_CHOSEN = """
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
SELECT i.id, (SELECT id FROM counterparties WHERE organisation_id = %(to)s ORDER BY id LIMIT 1) AS counterparty_id
FROM invoices AS i WHERE organisation_id = %(from)s ORDER BY md5(i.id::text) LIMIT %(count)s"""
_MOVED = """
UPDATE {table} AS document SET organisation_id = %(to)s, counterparty_id = moved.counterparty_id
FROM moved WHERE moved.id = document.{invoice}"""


@dataclass(frozen=True)
class Figures:
    """What one exchange of the workplace's own program took. Bytes are those on the line, headers included."""

    changed: int
    removed: int
    bytes_up: int
    bytes_down: int
    seconds: float

    @property
    def lines(self) -> int:
        """Of the delta."""
        return self.changed + self.removed


@dataclass(frozen=True)
class Held:
    """A table of a replica beside the database's rows of its scope, compared key by key."""

    rows: int
    missing: int
    foreign: int


@dataclass
class Books:
    """One subscriber's workplace, and the organisations that it has now."""

    stack: Stack
    person: Person
    line: MeteredLine
    cloud: psycopg.Connection[Any]
    area: int
    workplace: dict[str, Any]
    organisations: list[str]
    computer: Computer

    def synchronise(self) -> Figures:
        """One exchange by the package's own program, over the metered line."""
        up, down, began = self.line.up, self.line.down, time.perf_counter()
        sign_in = ("--login", f"admin@{self.workplace['application']}", "--password-stdin")
        said = self.computer.run("sync", *sign_in, "--service", self.line.url, typed=f"{PASSWORD}\n")
        seconds = time.perf_counter() - began
        changed, removed = _received(said)
        return Figures(changed, removed, self.line.up - up, self.line.down - down, seconds)

    def take(self, organisations: Sequence[str]) -> None:
        """From the next exchange on the workplace has these organisations."""
        self.person.call("PATCH", f"workplaces/{self.workplace['id']}", {"organisations": [*organisations]})
        self.organisations = [*organisations]

    def compared(self) -> dict[str, Held]:
        """Every synchronised table, key by key."""
        scope = {"area": self.area, "organisations": self.organisations}
        compared = {}
        with closing(sqlite3.connect(self.computer.replica)) as replica:
            for table, (key, condition) in _ROWS.items():
                here = {str(value) for (value,) in replica.execute(f"SELECT {key} FROM {table}")}
                query = f"SELECT ({key})::text FROM {table} WHERE {condition}"
                there = {value for (value,) in self.cloud.execute(query.encode(), scope)}
                compared[table] = Held(len(here), len(there - here), len(here - there))
        return compared

    def digests_are_equal(self) -> bool:
        """The service's statement of its rows beside the copy's own."""
        return service_digests(self.stack.url, self.computer) == self.computer.digests()


@contextmanager
def neighbours(stack: Stack, folder: Path, invoices: int) -> Iterator[tuple[Books, Books]]:
    """Each of two has `invoices` in three organisations and a workplace of the first two, synchronised once."""
    plot = replace(PLOT, after_load=f"SELECT generate({2 * invoices}, 3, 1, 2)")
    with ExitStack() as opened:
        office = opened.enter_context(cloud_office(stack, plot))
        office.sell_seats(2)
        _attach_the_neighbour(office)
        line = opened.enter_context(metered_line(stack.url))
        url = stack.database_url(stack.demo_database(PLOT.application))
        cloud = opened.enter_context(psycopg.connect(url, autocommit=True))
        people = [office.person, opened.enter_context(Person(stack.url, f"admin@{NEIGHBOUR}", PASSWORD))]
        mine, theirs = (
            _workplace(stack, person, line, cloud, application, folder / application)
            for person, application in zip(people, AREAS, strict=True)
        )
        yield mine, theirs


def _attach_the_neighbour(office: CloudOffice) -> None:
    attached = office.operator.call("GET", f"/operator/v1/applications/{PLOT.code}")
    terms = {"name": "The neighbour", "plan": "starter", "valid_until": "2099-12-31", "local_licence": True}
    office.operator.put(f"subscribers/{NEIGHBOUR}", terms)
    kept = {name: attached[name] for name in ("title", "manifest", "connection")}
    area = str(AREAS[NEIGHBOUR])
    office.operator.put(f"applications/{NEIGHBOUR}", {**kept, "subscriber": NEIGHBOUR, "area": area})
    user = {"full_name": "Somebody else", "role": "administrator", "password": PASSWORD}
    office.operator.put(f"applications/{NEIGHBOUR}/users/admin@{NEIGHBOUR}", user)


def _workplace(
    stack: Stack, person: Person, line: MeteredLine, cloud: psycopg.Connection[Any], application: str, folder: Path
) -> Books:
    area = AREAS[application]
    two = three_organisations(cloud, area)[:2]
    workplace = person.call("POST", f"applications/{application}/workplaces", {"organisations": two})
    for state in person.follow(workplace["id"]):
        workplace = state
    assert workplace["state"] == "ready", workplace["reason"]
    folder.mkdir()
    person.download_part(workplace["id"], folder / "package.zip")
    computer = Computer(folder / "workplace", folder / "computer")
    computer.unzip(folder / "package.zip")
    books = Books(stack, person, line, cloud, area, workplace, two, computer)
    books.synchronise()
    return books


def three_organisations(cloud: psycopg.Connection[Any], area: int) -> list[str]:
    """Of an area, in the order of their numbers."""
    query = "SELECT id::text FROM organisations WHERE area_id = %s ORDER BY bin"
    return [key for (key,) in cloud.execute(query, [area])]


def move(cloud: psycopg.Connection[Any], source: str, target: str, count: int) -> None:
    """So many invoices, with their payments, from one organisation to another; their entries follow by themselves."""
    way = {"from": source, "to": target, "count": count}
    with cloud.transaction():
        cloud.execute("SET CONSTRAINTS ALL DEFERRED")
        cloud.execute(_CHOSEN, way)
        for table, invoice in (("invoices", "id"), ("payments", "invoice_id")):
            cloud.execute(_MOVED.format(table=table, invoice=invoice).encode(), way)


def _received(said: str) -> tuple[int, int]:
    """What the program says of an exchange: `Received: 12 changed, 3 removed`; nothing when it was idle."""
    words = [line.split() for line in said.splitlines() if line.startswith("Received:")]
    return (int(words[0][1]), int(words[0][3])) if words else (0, 0)


__all__ = ["Books", "Figures", "Held", "move", "neighbours", "three_organisations"]
