"""Workplaces on computers: edited by plain SQLite, synchronised by the engine of their own program until it is done."""

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from uuid import uuid4

from tests.chaos.outages.application import organisation_of
from tests.chaos.outages.moment import PATIENCE, Progress
from workplace.engine.activation import activate
from workplace.engine.exchange import Outcome, synchronise
from workplace.engine.failures import Failure
from workplace.engine.home import Home, InternetAccess
from workplace.engine.replica import Replica
from workplace.engine.service import Service

PAUSE = 1.0  # seconds after which the schedule tries again

_pausing = threading.Event()


@dataclass(frozen=True)
class Workplace:
    """The `number`-th, unzipped into `folder`."""

    number: int
    identity: str
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "InfoBase" / "infobase.db"

    @property
    def organisation(self) -> str:
        return organisation_of(self.number)

    def activate(self, login: str, password: str) -> None:
        """Claims it for this computer."""
        with Replica(self.file) as replica:
            activate(replica, self._service(replica), self._home, login, password)

    def edit(self, mark: str) -> list[str]:
        """Edits one order, another with its line, a new one with two lines, and the one that all contest.

        The notes by which the edits are known again.
        """
        own, lines, new, contested = (f"edit {mark} {self.number} {kind}" for kind in ("own", "lines", "new", "all"))
        order = str(uuid4())
        with closing(sqlite3.connect(self.file)) as replica, replica:
            execute = replica.execute
            execute("UPDATE orders SET note = ? WHERE number = ?", [own, f"own-{self.number}"])
            execute("UPDATE orders SET note = ? WHERE number = ?", [lines, f"lines-{self.number}"])
            execute(
                "UPDATE order_lines SET amount = amount + 1 WHERE order_id = (SELECT id FROM orders WHERE number = ?)",
                [f"lines-{self.number}"],
            )
            execute(
                "INSERT INTO orders (id, organisation_id, note, total) VALUES (?, ?, ?, '0.00')",
                [order, self.organisation, new],
            )
            for _ in range(2):
                execute("INSERT INTO order_lines VALUES (?, ?, 1, 7)", [str(uuid4()), order])
            execute("UPDATE orders SET note = ? WHERE number = ?", [contested, f"contested-{self.organisation}"])
        return [own, lines, new, contested]

    def exchange_until_done(self, progress: Progress) -> Counter[str]:
        """Synchronises, again and again while it fails; the codes of the failed attempts."""
        failed: Counter[str] = Counter()
        limit = monotonic() + PATIENCE
        while True:
            try:
                self.exchange(progress)
            except Failure as failure:
                failed[failure.code] += 1
                if monotonic() > limit:
                    raise
                _pausing.wait(PAUSE)
            else:
                return failed

    def exchange(self, progress: Progress = lambda *_: None, *, prove: bool = False) -> Outcome:
        """One attempt."""
        with Replica(self.file) as replica:
            credentials = self._home.credentials()
            service = self._service(replica, credentials.token)
            return synchronise(replica, service, credentials.replica_id, progress, prove=prove)

    def rows(self, query: str) -> set[tuple[object, ...]]:
        """What its replica answers."""
        with closing(sqlite3.connect(self.file)) as replica:
            return set(replica.execute(query))

    @property
    def _home(self) -> Home:
        return Home(self.identity, self.folder.parent / "computer")

    @staticmethod
    def _service(replica: Replica, token: str | None = None) -> Service:
        return Service(str(replica.get("service")), InternetAccess(proxy="none"), token)
