"""Random histories: two workplaces with different scopes, the application's own writers, and an oracle in SQL."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.protocol.values import canonical_json
from shared.replication import opening, retention
from shared.replication.digest import service_digests
from shared.replication.expressions import json_object
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope, parameters, source
from tests.integration.replication.market import APPLICATION, Market, attached
from tests.integration.replication.test_apply import order, uid
from tests.integration.replication.tiny_replica import Document, TinyReplica

HISTORIES = int(os.environ.get("YURT_HISTORIES", "50"))
# Both tests in one process: the second asks what the first counted.
pytestmark = pytest.mark.xdist_group("convergence")

COUNTED: Counter[str] = Counter()  # over all histories: what became of the changes pushed
STEPS = (
    *("cloud", "cloud", "open", "commit", "abort", "truncate"),
    *("acknowledge", "forget"),
    *("edit", "edit", "edit", "freeze", "push", "pull", "exchange", "scope"),
)
SCOPES: tuple[tuple[str, ...] | None, ...] = (("A",), ("A", "B"), ("B", "C"), None)


@dataclass
class History:
    """What a history acts on. Every edit has a note of its own."""

    market: Market
    replicas: list[TinyReplica]
    rng: random.Random
    writers: list[psycopg.Connection[Any]] = field(default_factory=list)
    count: int = 0

    def note(self) -> str:
        self.count += 1
        return f"e{self.count}."

    def cloud(self, conn: psycopg.Connection[Any]) -> None:
        """One statement of the application's own; what its constraints or locks refuse did not happen."""
        rng, firm, number = self.rng, self.rng.choice("ABC"), self.rng.randrange(1, 5)
        key, note = uid(number), self.note()
        choices: list[tuple[str, list[Any]]] = [
            ("INSERT INTO partners (id, firm, note) VALUES (%s, %s, %s)", [key, firm, note]),
            ("UPDATE partners SET note = %s WHERE id = %s", [note, key]),
            ("UPDATE partners SET name = %s WHERE id = %s", [note, key]),
            ("UPDATE partners SET firm = %s WHERE id = %s", [firm, key]),
            ("UPDATE partners SET note = %s", [note]),
            ("DELETE FROM partners WHERE id = %s", [key]),
            ("INSERT INTO items (id, name) VALUES (%s, %s)", [key, note]),
            ("UPDATE items SET name = %s WHERE id = %s", [note, key]),
            ("DELETE FROM items WHERE id = %s", [key]),
            (
                "INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE"
                " VALUES (%s, %s, %s, '2024-05-01')",
                [number, firm, note],
            ),
            ("UPDATE orders SET firm = %s, number = number || '+' WHERE id = %s", [firm, number]),
            (
                "INSERT INTO order_lines VALUES (%s, %s, %s, 2, 3)",
                [number, rng.randrange(3), uid(rng.randrange(1, 5))],
            ),
            (
                "UPDATE order_lines SET qty = %s, no = no + %s WHERE order_id = %s",
                [number, rng.choice([0, 5]), number],
            ),
            ("UPDATE order_lines SET order_id = %s WHERE order_id = %s", [rng.randrange(1, 5), number]),
            ("DELETE FROM order_lines WHERE no = %s", [rng.randrange(3)]),
        ]
        statement, arguments = rng.choice(choices)
        try:
            with conn.transaction():
                conn.execute("SET LOCAL lock_timeout = '20ms'")
                conn.execute(statement.encode(), arguments)
        except (psycopg.errors.IntegrityError, psycopg.errors.LockNotAvailable):
            pass  # refused by the application's own rules, or another writer has it
        except psycopg.errors.DeadlockDetected:
            conn.rollback()

    def edit(self, one: TinyReplica) -> None:
        """One edit at a workplace; its `note` (or name) names it."""
        rng, number, note = self.rng, self.rng.randrange(1, 6), self.note()
        firm = rng.choice(one.scope.organisations or ("A", "B", "C"))
        table = rng.choice(["partners", "partners", "items", "orders", "offers"])
        key = number if table == "orders" else uid(number)
        old = one.at(table, id=key)
        if old and rng.random() < 0.25:
            one.delete(table, id=key)
            return
        row: dict[str, Any] = {"id": key}
        if table == "items":
            row |= {"name": note} if old else {"name": note, "sold": "0"}
        elif table == "orders" and not old:
            row |= order(number, firm=firm, number=f"{one.name}-{note}", note=note)
        else:
            row |= {"note": note} if old else {"firm": firm, "note": note}
        if old and table != "items" and rng.random() < 0.2:
            row["firm"] = rng.choice("ABC")
        if old and table == "partners" and rng.random() < 0.5:
            row["name"] = row.pop("note")
        parts = None
        if table == "orders" and rng.random() < 0.7:
            parts = {"order_lines": [
                {"order_id": number, "no": no, "item": uid(rng.randrange(1, 5)) if rng.random() < 0.3 else None,
                 "qty": f"{rng.randrange(1, 4)}.000", "price": "1.50", "note": note}
                for no in rng.sample(range(3), rng.randrange(3))]}  # fmt: skip
        one.put(table, row, parts)

    def open(self) -> None:
        conn = psycopg.connect(self.market.url)
        conn.execute("SELECT")  # a statement begins the transaction: what follows are its savepoints
        self.writers.append(conn)
        for _ in range(3):
            self.cloud(conn)

    def push(self, one: TinyReplica) -> None:
        if self.writers:  # a row lock of theirs would make the message wait for this very thread
            self.release(commit=self.rng.random() < 0.5)
        if one.outbox is None:
            one.freeze()
        number, body = one.outbox or (0, b"")
        answer = one.push()
        assert sum(answer["counts"].values()) == body.count(b"\n")
        assert one.send(number, body) == answer
        problems = {result["seq"]: result["problem"] for result in answer["results"] if result["problem"]}
        for line in map(json.loads, body.splitlines()):
            self.account(line, problems.get(line["seq"]))
        COUNTED.update(answer["counts"])

    def account(self, line: Document, problem: str | None) -> None:
        """What was pushed is in force, or it is in the problem list with its content."""
        table = line["table"]
        if problem:
            pushed = self.market.value("SELECT pushed FROM yurt.problems WHERE id = %s", problem)
            assert pushed == ({"row": line["row"], "parts": line["parts"]} if line["op"] == "put" else None)
            return
        key = line["key"]["id"]
        found = self.market.sql(f"SELECT to_jsonb(t) FROM {table} t WHERE id = %s", key)
        if line["op"] == "delete":
            assert found == []
            return
        new = line["base"] is None
        edited = {
            name: line["row"][name]
            for name in {"note", "name", "firm"} & (line["row"] if new else line["before"]).keys()
        }
        assert {name: found[0][0].get(name) for name in edited} == edited
        before = {was["no"]: was for was in line["parts_before"].get("order_lines", [])}
        mine = {now["no"]: now["note"] for now in line["parts"].get("order_lines", []) if now != before.get(now["no"])}
        stored = dict(self.market.sql("SELECT no, note FROM order_lines WHERE order_id::text = %s", str(key)))
        assert {no: stored.get(no) for no in mine} == mine

    def acknowledge(self, one: TinyReplica) -> None:
        assert one.position is not None
        opening.acknowledge(self.market.conn, APPLICATION, one.name, one.position)

    def forget(self) -> None:
        """Sometimes one that has been away for too long is not waited for."""
        away = timedelta(0) if self.rng.random() < 0.05 else timedelta(days=1)
        forgotten = retention.forget(self.market.conn, keep=timedelta(0), retention=away)
        assert forgotten is not None
        COUNTED.update(seen=forgotten.seen, repeated=forgotten.repeated)

    def release(self, *, commit: bool) -> None:
        for conn in self.writers:
            if commit:
                conn.commit()
            else:
                conn.rollback()
            conn.close()
        self.writers.clear()

    def step(self, what: str) -> None:  # noqa: C901 – a list of what can happen
        one = self.rng.choice(self.replicas)
        if what == "cloud":
            self.cloud(self.market.conn)
        elif what == "open" and len(self.writers) < 2:
            self.open()
        elif what in {"commit", "abort"}:
            self.release(commit=what == "commit")
        elif what == "edit":
            self.edit(one)
        elif what == "freeze" and one.outbox is None:
            one.freeze()
        elif what in {"push", "exchange"}:
            self.push(one)
            if what == "exchange":
                pull(one)
                self.acknowledge(one)
        elif what == "pull" and one.outbox is None:
            pull(one)  # its completion was lost
        elif what == "acknowledge":
            self.acknowledge(one)
        elif what == "forget":
            self.forget()
        elif what == "scope":
            one.scope = Scope(self.rng.choice(SCOPES), one.scope.version + 1)
        elif what == "truncate" and self.rng.random() < 0.2:
            self.release(commit=True)
            self.market.sql("TRUNCATE " + self.rng.choice(["order_lines", "order_marks", "offers CASCADE"]))


def pull(one: TinyReplica) -> None:
    """From where it is or, when the history does not reach back so far, anew."""
    try:
        one.pull()
    except ProtocolProblem:
        COUNTED["resync"] += 1
        one.pull(reset=True)


def content(market: Market, scope: Scope) -> dict[str, list[str]]:
    """The oracle: the rows of a scope by plain SQL."""
    return {
        table.name: sorted(
            line
            for (line,) in market.conn.execute(
                f"SELECT {json_object(table.columns, 't')} {source(market.model, root, table, scope)}".encode(),
                parameters(market.model, scope),
            )
        )
        for root in market.model.roots
        for table in root.tables
    }


def held(one: TinyReplica) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {table.name: [] for table in one.model.tables}
    for (table, _), document in one.rows.items():
        found[table].append(canonical_json(document["row"]))
        for part, lines in document["parts"].items():
            found[part] += [canonical_json(line) for line in lines]
    return {table: sorted(lines) for table, lines in found.items()}


@contextmanager
def fresh(postgres_url: str, policy: str) -> Iterator[Market]:
    name = f"yurt_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            with attached(urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}")), policy) as market:
                yield market
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def market_of(quiet_postgres: str) -> Iterator[Callable[[str], Market]]:
    """The market of a policy."""
    with ExitStack() as stack:
        made = {
            policy: stack.enter_context(fresh(quiet_postgres, policy))
            for policy in ("service_wins", "workplace_wins", "manual")
        }

        def of(policy: str) -> Market:
            return made[policy]

        yield of


def clear(market: Market) -> None:
    market.sql("DELETE FROM order_lines; DELETE FROM order_marks; DELETE FROM orders; DELETE FROM partners;"
               "DELETE FROM items; DELETE FROM offers; DELETE FROM deals; TRUNCATE yurt.problems")  # fmt: skip


@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(
    seed=st.integers(0, 2**32),
    policy=st.sampled_from(["service_wins", "workplace_wins", "manual"]),
    steps=st.lists(st.sampled_from(STEPS), min_size=30, max_size=90),
)
def test_every_history_ends_with_equal_copies(
    market_of: Callable[[str], Market], seed: int, policy: str, steps: list[str]
) -> None:
    market = market_of(policy)
    clear(market)
    run = uuid4().hex[:8]
    replicas = [TinyReplica(market, f"{run}-1", Scope(("A",))), TinyReplica(market, f"{run}-2", Scope(("A", "B")))]
    for one in replicas:
        one.pull()
    history = History(market, replicas, random.Random(seed))
    for what in steps:
        history.step(what)
    history.release(commit=True)
    for one in replicas:
        while one.outbox or one.changes:
            history.push(one)
            pull(one)
    for one in replicas:
        pull(one)
        assert held(one) == content(market, one.scope)
        assert one.digests() == service_digests(market.conn, market.model, one.scope)
        assert one.lines()[1:-1] == []


def test_the_histories_were_no_idle_ones() -> None:
    wanted = {"applied", "merged", "conflict", "rejected", "seen", "repeated", "resync"}
    assert {name for name, count in COUNTED.items() if count} == wanted, COUNTED
