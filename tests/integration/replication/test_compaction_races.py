"""Compaction at full speed, with nothing kept, while workplaces exchange and the application writes."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import psycopg

from shared.replication import retention
from shared.replication.digest import service_digests
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.replication.market import Market
from tests.integration.replication.test_convergence import History, content, fresh, held
from tests.integration.replication.test_restores import exchange, reopened
from tests.integration.replication.tiny_replica import TinyReplica

ROUNDS = 40
SCOPES: tuple[tuple[str, ...] | None, ...] = (("A",), ("A", "B"), None)


class Race:
    """Threads that run until the workplaces have made their rounds; the first mistake of any ends the test."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.wrong: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def run(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                self.wrong.append(error)
                self.over.set()

        thread = threading.Thread(target=guarded)
        self._threads.append(thread)
        thread.start()
        return thread

    def join(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
        if self.wrong:
            raise self.wrong[0]

    def forget(self) -> None:
        with connect(self.market.url) as conn:
            while not self.over.is_set():
                found = retention.forget(conn, keep=timedelta(0), retention=timedelta(days=1))
                assert found is not None
                self.done.update(forgotten=1, seen=found.seen, repeated=found.repeated)

    def write(self, seed: int) -> None:
        history = History(self.market, [], random.Random(seed))
        with connect(self.market.url) as conn:
            while not self.over.is_set():
                with conn.transaction():
                    for _ in range(history.rng.randrange(1, 4)):
                        history.cloud(conn)
                self.done["written"] += 1

    def work(self, one: TinyReplica, seed: int) -> None:
        with reopened(self.market.url) as market:
            history = History(market, [one], random.Random(seed))
            rounds = 0
            while rounds < ROUNDS and not self.over.is_set():
                history.edit(one)
                rounds += self.exchanged(market, one)

    def exchanged(self, market: Market, one: TinyReplica) -> bool:
        try:
            found = exchange(market, one)
        except ProtocolProblem as problem:
            assert problem.code == "exchange_over"  # noqa: PT017 - anything else is a mistake
            self.done["over"] += 1
        except psycopg.errors.DeadlockDetected:
            self.done["again"] += 1  # with the application's own writers; the message is still held
        else:
            self.done[found.resync or ("idle" if found.idle else "exchanged")] += 1
            return True
        return False


def test_copies_are_equal_in_the_end_however_fast_the_history_is_forgotten(
    quiet_postgres: str, record_property: Callable[[str, object], None]
) -> None:
    with fresh(quiet_postgres, "service_wins") as market, ExitStack() as opened:
        race = Race(market)
        replicas = [TinyReplica(market, f"w{number}", Scope(scope)) for number, scope in enumerate(SCOPES)]
        for one in replicas:
            one.pull()
        try:
            race.run(race.forget)
            for seed in (1, 2):
                race.run(lambda seed=seed: race.write(seed))  # type: ignore[misc]
            for seed, one in enumerate(replicas, 10):
                opened.callback(race.run(lambda one=one, seed=seed: race.work(one, seed)).join)  # type: ignore[misc]
            opened.close()
        finally:
            race.join()
        for one in replicas:
            one.market = market
            while one.outbox or one.changes:
                race.exchanged(market, one)
            race.exchanged(market, one)
            assert held(one) == content(market, one.scope)
            assert one.digests() == service_digests(market.conn, market.model, one.scope)
            assert one.lines()[1:-1] == []
        record_property("race", dict(race.done))
        assert race.done["seen"] > 0
        assert race.done["repeated"] > 0
        assert race.done["exchanged"] >= ROUNDS
