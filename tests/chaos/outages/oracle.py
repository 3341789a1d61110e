"""What must hold when all is over, asked of the databases in plain SQL."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.contracts.services import SERVICES
from shared.runtime.database import service_database_url
from tests.chaos.outages.workplaces import Workplace

_HANGING = {
    "outbox": ("SELECT count(*) FROM outbox", SERVICES),
    "dead letters": ("SELECT count(*) FROM dead_letters", SERVICES),
    "exchanges": ("SELECT count(*) FROM exchanges WHERE finished_at IS NULL", ["sync-gateway"]),
    "jobs": ("SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'failed', 'cancelled')", ["snapshot-builder"]),
    "preparations": (
        "SELECT count(*) FROM workplaces WHERE state IN ('requested', 'preparing')",
        ["provisioning", "sync-gateway"],
    ),
}
_OPEN_TRANSACTIONS = """
SELECT format('%s in %s: %s', state, datname, left(query, 100)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'
"""
# Tables of a scope as both sides print them.
_ROWS = {
    "orders": "SELECT id{t}, number, note FROM orders WHERE organisation_id = '{organisation}'",
    "order_lines": "SELECT l.id{t}, l.order_id{t}, l.amount FROM order_lines AS l JOIN orders AS o ON o.id = l.order_id"
    " WHERE o.organisation_id = '{organisation}'",
    "items": "SELECT id, name FROM items",
}


@dataclass(frozen=True)
class Edits:
    """What became of the edits that were made."""

    made: int
    in_force: int
    problems: int


class Oracle:
    """Reads the databases by the direct way."""

    def __init__(self, services_url: str, prefix: str, application_url: str) -> None:
        self._services = {service: service_database_url(services_url, service, prefix) for service in SERVICES}
        self._servers = (services_url, application_url)
        self._application = application_url

    def edits(self, notes: Iterable[str]) -> Edits:
        """Each was written once, or stands once in the problem list with what was edited; none both, none twice."""
        made = list(notes)
        written = Counter(note for (note,) in self._asked("SELECT note FROM booked"))
        stand = {note for (note,) in self._asked("SELECT note FROM orders")}
        problems = Counter(note for (note,) in self._asked("SELECT pushed->'row'->>'note' FROM yurt.problems"))
        wrong = {note: (written[note], problems[note]) for note in made if written[note] + problems[note] != 1}
        assert not wrong, f"(written, in the problem list) {wrong}"
        overwritten = [note for note in made if written[note] and note not in stand]
        assert not overwritten, f"written and not in force {overwritten}"
        return Edits(len(made), sum(written[note] for note in made), sum(problems[note] for note in made))

    def require_equal(self, workplace: Workplace) -> None:
        """The replica holds the rows of its scope and no others."""
        for table, query in _ROWS.items():
            here = workplace.rows(query.format(t="", organisation=workplace.organisation))
            there = set(self._asked(query.format(t="::text", organisation=workplace.organisation)))
            assert here == there, f"{table} of workplace {workplace.number}: {len(here ^ there)} rows differ"

    def hanging(self) -> Mapping[str, int]:
        """What is under way; empty when everything has ended."""
        counts: Counter[str] = Counter()
        for name, (query, services) in _HANGING.items():
            for service in services:
                counts[f"{name} of {service}"] = self._count(self._services[service], query)
        for server in self._servers:
            with psycopg.connect(server) as connection:
                counts.update(told for (told,) in connection.execute(_OPEN_TRANSACTIONS))
        return {name: count for name, count in counts.items() if count}

    def seats_held(self) -> int:
        """As licensing counts them."""
        return self._count(self._services["licensing"], "SELECT count(*) FROM seats WHERE state = 'held'")

    def _asked(self, query: str) -> list[Any]:
        with psycopg.connect(self._application) as connection:
            return connection.execute(query.encode()).fetchall()

    @staticmethod
    def _count(url: str, query: str) -> int:
        with psycopg.connect(url) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return int(row[0])
