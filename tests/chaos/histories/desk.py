"""A workplace on somebody's computer: the replica, the program's engine, edits of any SQL program, and accidents."""

import random
import shutil
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from shared.protocol.digest import table_digests
from tests.chaos.histories.bazaar import DATES, TEXTS, uid
from tests.chaos.histories.ledger import Edit, Ledger, Row, place_of, row_of, token, tokens
from workplace.engine import outbox, problems
from workplace.engine.activation import activate, usable_token
from workplace.engine.exchange import Outcome, fetch_problems, synchronise
from workplace.engine.failures import Failure, ServiceRefused
from workplace.engine.home import Home, InternetAccess
from workplace.engine.replica import Replica
from workplace.engine.service import Service
from workplace.engine.unsent import count_unsent

EDITED = ("partners", "items", "orders", "order_lines", "order_marks", "tasks", "rates")
WRITTEN_AT = {"past": "1999-01-01T00:00:00.000000Z", "future": "2099-01-01T00:00:00.000000Z"}


class Killed(BaseException):
    """The program is gone between two steps: nothing it does afterwards happens."""


class Hands:
    """Somebody goes on working while the program exchanges: what he does before a given request."""

    def __init__(self, request: int, work: Callable[[], object]) -> None:
        self.left = request
        self.work = work

    def request(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.work()


class Heart:
    """Beats between all steps of the program; stops at a given beat."""

    def __init__(self, beats: int | None) -> None:
        self.left = beats

    def beat(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class MortalReplica(Replica):
    """Dies before a transaction, before its commit, or after it. The computer does not: it waits for no disk."""

    heart = Heart(None)

    def _prepare(self) -> None:
        super()._prepare()
        self.connection.execute("PRAGMA synchronous = OFF")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        self.heart.beat()
        with super().writing() as connection:
            yield connection
            self.heart.beat()
        self.heart.beat()


class MortalService(Service):
    """Dies before a request, or when it was answered."""

    heart = Heart(None)
    hands: Hands | None = None

    @contextmanager
    def open(self, *arguments: Any, **named: Any) -> Iterator[HTTPResponse]:
        self.heart.beat()
        if self.hands:
            self.hands.request()
        with super().open(*arguments, **named) as response:
            self.heart.beat()
            yield response


@dataclass(frozen=True)
class State:
    """Digests of its tables, aggregates that are unsent, and problems that the service knows nothing of."""

    content: dict[str, Any]
    unsent: int
    local_problems: list[problems.Problem]


class Desk:
    """One workplace. `unanswered` are its edits that the service may not have answered yet.

    `befell` counts what its exchanges came to.
    """

    def __init__(self, workplace: str, area: int, login: str, folder: Path, url: str) -> None:
        self.workplace = workplace
        self.area = area
        self.login = login
        self.password = ""
        self.folder = folder
        self.url = url
        self.unanswered: set[int] = set()
        self._made: dict[Row, int] = {}  # rows by the edit that made them here
        self._service: MortalService | None = None
        self.befell: Counter[str] = Counter()
        self._backup: set[int] | None = None

    @property
    def replica_file(self) -> Path:
        return self.folder / "package" / "InfoBase" / "infobase.db"

    @property
    def home(self) -> Home:
        return Home(self.workplace, self.folder / "settings")

    def unzip(self, package: Path) -> None:
        """A package takes the place of whatever was there."""
        shutil.rmtree(self.folder / "package", ignore_errors=True)
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                if name.startswith("InfoBase/infobase"):
                    archive.extract(name, self.folder / "package")

    @contextmanager
    def opened(self, heart: Heart | None = None) -> Iterator[MortalReplica]:
        replica = MortalReplica(self.replica_file)
        replica.heart = heart or Heart(None)
        try:
            yield replica
        finally:
            replica.close()

    # Exchanges

    def exchange(self, *, beats: int | None = None, prove: bool = False, hands: Hands | None = None) -> Outcome | str:
        """One try, as a schedule makes it: what it did, or the code of what went wrong."""
        heart = Heart(beats)
        try:
            with self.opened(heart) as replica:
                return self._exchange(replica, heart, hands, prove=prove)
        except Killed:
            self.befell["killed"] += 1
            return "killed"
        except Failure as error:
            self.befell[error.code] += 1
            return error.code

    def _exchange(self, replica: MortalReplica, heart: Heart, hands: Hands | None, *, prove: bool) -> Outcome:
        begun = set(self.unanswered)
        service = self.service(replica)
        service.heart, service.hands = heart, hands
        if service.token is None:
            activate(replica, service, self.home, self.login, self.password)
        outcome = self._signed_in(replica, service, heart, prove=prove)
        # A repair would hide it.
        assert not outcome.differing, f"{self.workplace} differed: {outcome.differing}, {outcome.repair}"
        if outcome.idle or outcome.sent is not None:
            self.unanswered -= begun
        self.befell["idle" if outcome.idle else outcome.resync or "done"] += 1
        return outcome

    def _signed_in(self, replica: MortalReplica, service: MortalService, heart: Heart, *, prove: bool) -> Outcome:
        identity = self.home.credentials().replica_id

        def progress(step: str, done: int, total: int) -> None:
            heart.beat()

        try:
            return synchronise(replica, service, identity, progress, prove=prove)
        except ServiceRefused as error:
            if error.status != 401:
                raise
            activate(replica, service, self.home, self.login, self.password)
            return synchronise(replica, service, identity, progress, prove=prove)

    def service(self, replica: Replica) -> MortalService:
        """The service as the program reaches it, without pauses between its attempts."""
        if self._service is None:
            access = InternetAccess(proxy="none", service=self.url)
            self._service = MortalService(str(replica.get("service")), access, pause=lambda _: None)
        self._service.token = usable_token(replica, self.home.credentials())
        return self._service

    def fetch_problems(self) -> list[dict[str, Any]]:
        """The list of the service, as the program shows it."""
        with self.opened() as replica:
            return fetch_problems(replica, self.service(replica))

    # Accidents

    def back_up(self) -> None:
        """A copy of the folder, as a careful person makes it."""
        self._backup = set(self.unanswered)
        shutil.copyfile(self.replica_file, self.folder / "backup.db")

    def restore(self) -> set[int] | None:
        """The folder is as it was at the backup. Edits that are gone with it, None without a backup."""
        if self._backup is None:
            return None
        gone = self.unanswered - self._backup
        self.replica_file.with_name("infobase.db-journal").unlink(missing_ok=True)
        shutil.copyfile(self.folder / "backup.db", self.replica_file)
        self.unanswered = set(self._backup)
        return gone

    def forget_backup(self) -> None:
        """What was backed up is of another time."""
        self._backup = None

    def copied(self, folder: Path) -> "Desk":
        """The folder on another computer, where nobody has activated it."""
        other = Desk(self.workplace, self.area, self.login, folder, self.url)
        other.password = self.password
        other.replica_file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.replica_file, other.replica_file)
        return other

    def set_clock(self, to: str) -> None:
        """What is unsent was written by a clock that is wrong."""
        with self.opened() as replica, replica.writing() as connection:
            connection.execute("UPDATE yurt_changes SET edited_at = ?", (WRITTEN_AT[to],))

    # Edits

    def edit(self, ledger: Ledger, rng: random.Random, since: int) -> bool:
        """One transaction of a person; what the replica's own rules refuse did not happen."""
        number = ledger.number()
        with self.opened() as replica:
            connection = replica.connection
            before = _rows(connection)
            try:
                with replica.writing():
                    _edit(connection, rng, rng.choice(TEXTS).format(token(number)), before)
            except sqlite3.IntegrityError:
                return False
            after = _rows(connection)
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        if not changed:
            return False
        places = frozenset(place_of(key[0], (before.get(key) or after.get(key) or {})) for key in changed)
        saw = {n for key, row in before.items() if place_of(key[0], row) in places for n in tokens(row)}
        was = {n for row in before.values() for n in tokens(row)}
        now = {n for row in after.values() for n in tokens(row)}
        # What was made here and is gone before it was sent, the service never hears of.
        gone = frozenset(
            row_of(key[0], before[key], self.area)
            for key in changed
            if key not in after and self._made.get(key) not in self.unanswered
        )
        removed = frozenset(was - now)
        ledger.add(Edit(number, self.workplace, places, frozenset(saw), removed, gone, since, number in now))
        self.unanswered.add(number)
        self._made.update({key: number for key in changed if key not in before})
        return True

    # What is in it

    def is_activated(self) -> bool:
        """This computer has claimed the package."""
        with self.opened() as replica:
            return usable_token(replica, self.home.credentials()) is not None

    def state(self) -> State:
        """What is in it."""
        with self.opened() as replica:
            return State(
                table_digests(replica.connection),
                count_unsent(replica.connection),
                [problem for problem in problems.open_problems(replica.connection) if problem.kind == "local"],
            )

    def start_afresh(self) -> None:
        """Notes of former histories are gone."""
        self.unanswered.clear()
        self.forget_backup()
        with self.opened() as replica, replica.writing() as connection:
            assert not outbox.held(connection)
            connection.execute("DELETE FROM yurt_problems")


def _rows(connection: sqlite3.Connection) -> dict[Row, dict[str, Any]]:
    found: dict[Row, dict[str, Any]] = {}
    for table in EDITED:
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            found[row_of(table, row)] = row
    return found


def _edit(connection: sqlite3.Connection, rng: random.Random, text: str, rows: dict[Row, dict[str, Any]]) -> None:
    """One to two statements."""
    firms = [firm for (firm,) in connection.execute("SELECT id FROM firms ORDER BY id")]
    for _ in range(rng.choice([1, 1, 2])):
        table = rng.choice([*EDITED, "orders", "order_lines"])
        present = sorted(key for key in rows if key[0] == table)
        what = rng.random()
        row = rows[rng.choice(present)] if present else None
        if row is None or what < 0.3:
            _insert(connection, rng, table, text, firms)
        elif what < 0.45:
            _delete(connection, table, row)
        else:
            _update(connection, rng, table, row, text, firms)


def _insert(connection: sqlite3.Connection, rng: random.Random, table: str, text: str, firms: list[str]) -> None:
    values: dict[str, Any] = {"note": text}
    orders = [order for (order,) in connection.execute("SELECT id FROM orders ORDER BY id")]
    if table == "partners":
        values |= {"id": uid(rng.randrange(1, 6)), "firm": rng.choice(firms), "code": f"P{rng.randrange(1, 6)}"}
    elif table == "items":
        values |= {"id": uid(rng.randrange(1, 6)), "name": text, "price": f"{rng.randrange(9)}.50"}
    elif table == "orders":
        firm = rng.choice(firms)
        partners = connection.execute("SELECT id FROM partners WHERE firm = ? ORDER BY id", (firm,)).fetchall()
        partner = rng.choice([None, *(partner for (partner,) in partners)])
        values |= {"firm": firm, "ordered_on": rng.choice(DATES), "partner": partner}
    elif table == "tasks":
        values |= {"id": f"t{rng.randrange(1, 6)}", "firm": rng.choice(firms)}
    elif table == "rates":
        values |= {"id": rng.choice(["KZT", "USD"])}
    elif not orders:
        return
    elif table == "order_lines":
        items = [item for (item,) in connection.execute("SELECT id FROM items ORDER BY id")]
        values |= {"order_id": rng.choice(orders), "no": rng.randrange(1, 4), "quantity": f"{rng.randrange(5)}.000",
                   "item": rng.choice([*items, None])}  # fmt: skip
    else:
        values |= {"order_id": rng.choice(orders), "id": str(uuid5(NAMESPACE_OID, text))}
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


def _update(
    connection: sqlite3.Connection, rng: random.Random, table: str, row: dict[str, Any], text: str, firms: list[str]
) -> None:
    columns = {"partners": ["name", "note"], "items": ["name", "note"], "orders": ["name", "note"],
               "tasks": ["name", "note"]}.get(table, ["note"])  # fmt: skip
    values: dict[str, Any] = dict.fromkeys(rng.sample(columns, rng.randrange(1, len(columns) + 1)), text)
    more = rng.random()
    if more < 0.15 and "firm" in row:
        values["firm"] = rng.choice(firms)
        if table == "orders":
            values["partner"] = None
    elif more < 0.3 and table == "orders":
        values["ordered_on"] = rng.choice(DATES)
    elif more < 0.45 and table == "orders":
        partners = connection.execute("SELECT id FROM partners WHERE firm = ? ORDER BY id", (row["firm"],)).fetchall()
        values["partner"] = rng.choice(partners)[0] if partners else None
    elif more < 0.3 and table == "partners":
        values["code"] = f"P{rng.randrange(1, 6)}"
    elif more < 0.3 and table == "tasks":
        values["id"] = f"t{rng.randrange(1, 6)}"
    elif more < 0.3 and table == "order_lines":
        values["no"] = rng.randrange(1, 4)
    elif more < 0.5 and table == "order_lines":
        values["quantity"] = f"{rng.randrange(5)}.000"
    assignments = ", ".join(f"{name} = ?" for name in values)
    where, key = _where(table, row)
    connection.execute(f"UPDATE {table} SET {assignments} WHERE {where}", [*values.values(), *key])


def _delete(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    where, key = _where(table, row)
    connection.execute(f"DELETE FROM {table} WHERE {where}", key)


def _where(table: str, row: dict[str, Any]) -> tuple[str, list[Any]]:
    if table == "order_lines":
        return "order_id = ? AND no = ?", [row["order_id"], row["no"]]
    return "id = ?", [row["id"]]
