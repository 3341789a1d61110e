"""A workplace in use: edits with notes that nobody else writes, and exchanges until one goes through."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

from deploy.demo.computer import Computer
from tests.chaos.crash_points.bazaar import SHARED, TOO_MUCH
from tests.chaos.crash_points.service import PATIENCE, CrashingService
from workplace.engine.activation import activate, usable_token
from workplace.engine.exchange import Outcome, synchronise
from workplace.engine.failures import Failure
from workplace.engine.home import Home
from workplace.engine.replica import Replica
from workplace.engine.service import Service


@dataclass(frozen=True)
class Edit:
    """A note that the workplace gave the object `key` in its `turn`. `kind` says what must become of it.

    `own`: nobody else edits the object, the note comes in force. `shared`: others do, it may be a problem instead.
    `bad`: the application refuses it.
    """

    turn: int
    key: str
    note: str
    kind: str


@dataclass
class Branch:
    """One workplace on a computer of its own; `firms` None: all. `former`: problems of the computer before this one."""

    identity: str
    name: str
    firms: tuple[str, ...] | None
    login: str
    password: str
    computer: Computer
    service: CrashingService
    turn: int = 0
    edits: list[Edit] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    former: set[str] = field(default_factory=set)

    def work(self) -> None:
        """A turn of edits in several transactions: new, changed, deleted, in dispute and refused ones."""
        self.turn += 1
        firm = random.choice(self.firms or tuple(SHARED))
        with self.opened() as replica:
            self._new_order(replica, firm, "bad", TOO_MUCH)
            order = self._new_order(replica, firm, "own", 10)
            self._note(replica, order, "own")
            self._new_item(replica)
            self._note(replica, SHARED[firm], "shared")
            if self.orders:
                self._note(replica, self.orders[-1], "own")
                with replica:
                    replica.execute("UPDATE lines SET amount = amount + 1 WHERE order_id = ?", (self.orders[-1],))
            self.orders.append(order)
            if len(self.orders) > 4:
                self._delete(replica, self.orders.pop(0))

    def note_again(self) -> None:
        """What was edited last is edited once more, wherever the edit before may be by now."""
        with self.opened() as replica:
            self._note(replica, self.orders[-1], "own")

    def use_up_keys(self) -> None:
        """The leased keys are spent: the next opening brings others."""
        with self.opened() as replica, replica:
            replica.execute("DELETE FROM yurt_ranges")

    def damage(self) -> None:
        """A disk lost a row and made up another: nothing that anybody edited."""
        with self.opened() as replica, replica:
            replica.execute("INSERT INTO yurt_paused VALUES (1)")
            replica.execute("DELETE FROM lines WHERE id IN (SELECT id FROM lines ORDER BY id LIMIT 1)")
            replica.execute(
                "INSERT INTO orders (id, firm, number, note) SELECT ?, firm, ?, '' FROM orders LIMIT 1",
                (str(uuid4()), str(uuid4())),
            )
            replica.execute("DELETE FROM yurt_paused")

    def forget_token(self) -> None:
        """The next exchange has to sign in."""
        home = self._home()
        known = home.credentials()
        home.store_credentials(type(known)(replica_id=known.replica_id, login=known.login))

    def exchange(self, *, prove: bool = False) -> Outcome:
        """One exchange of the program's engine, tried again until it goes through."""
        until = monotonic() + PATIENCE
        while True:
            try:
                return self._once(prove=prove)
            except Failure as failure:
                if monotonic() > until:
                    raise AssertionError(f"{self.name} does not get through any more") from failure
            self.service.wait_until_serving()

    def program(self) -> tuple[str, ...]:
        """Words of the program's command line for an exchange."""
        return ("sync", "--login", self.login, "--password-stdin")

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The replica, as any program opens it."""
        with closing(sqlite3.connect(self.computer.replica, timeout=PATIENCE)) as replica:
            replica.execute("PRAGMA foreign_keys = ON")
            yield replica

    def asked(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of the replica."""
        with self.opened() as replica:
            return replica.execute(query, arguments).fetchall()

    def _once(self, *, prove: bool) -> Outcome:
        home = self._home()
        with Replica(self.computer.replica) as replica:
            token = usable_token(replica, home.credentials())
            service = Service(str(replica.get("service")), token=token, pause=self.service.pause)
            if service.token is None:
                activate(replica, service, home, self.login, self.password)
            replica_id = home.credentials().replica_id
            return synchronise(replica, service, replica_id, lambda *_: None, prove=prove)

    def _home(self) -> Home:
        return Home(self.identity, self.computer.settings)

    def _remember(self, key: str, kind: str) -> str:
        note = self._next_note()
        self.edits.append(Edit(self.turn, key, note, kind))
        return note

    def _next_note(self) -> str:
        return f"{self.name} {self.turn}.{len(self.edits)}"

    def _new_order(self, replica: sqlite3.Connection, firm: str, kind: str, amount: int) -> str:
        order = str(uuid4())
        with replica:
            replica.execute(
                "INSERT INTO orders (id, firm, number, note) VALUES (?, ?, '', ?)",
                (order, firm, self._remember(order, kind)),
            )
            replica.executemany(
                "INSERT INTO lines (id, order_id, item, amount) VALUES (?, ?, ?, ?)",
                [(str(uuid4()), order, item, amount) for item in (1, 2)],
            )
        return order

    def _new_item(self, replica: sqlite3.Connection) -> None:
        note = self._next_note()
        with replica:
            replica.execute("INSERT INTO items (name, price) VALUES (?, '1.00')", (note,))
        [key] = replica.execute("SELECT id FROM items WHERE name = ?", (note,)).fetchone()
        self.edits.append(Edit(self.turn, str(key), note, "own"))

    def _note(self, replica: sqlite3.Connection, order: str, kind: str) -> None:
        with replica:
            replica.execute("UPDATE orders SET note = ? WHERE id = ?", (self._remember(order, kind), order))

    def _delete(self, replica: sqlite3.Connection, order: str) -> None:
        with replica:
            replica.execute("DELETE FROM orders WHERE id = ?", (order,))
        self.edits.append(Edit(self.turn, order, f"deleted {order}", "own"))
