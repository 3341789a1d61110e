"""The trading application of the gateway's tests, with more orders, and a book of every edit that was ever written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import psycopg

from tests.chaos.outages.moment import PATIENCE
from tests.integration.sync_gateway import application

CODE = "trade"
SUBSCRIBER = "acme"
ORGANISATIONS = ("north", "south")
MANY = 2_000  # orders of `north`: when they change, its deltas are long

# Every write of an edit is booked, also one that changes nothing: what is applied twice stands here twice.
_BOOK = """
CREATE TABLE booked (note text NOT NULL);
CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booked (note) VALUES (NEW.note);
    RETURN NULL;
END $$;
CREATE TRIGGER book AFTER INSERT OR UPDATE ON orders FOR EACH ROW WHEN (NEW.note LIKE 'edit %')
    EXECUTE FUNCTION book();
"""
_MANY_ORDERS = """
INSERT INTO orders (id, organisation_id, number)
SELECT gen_random_uuid(), 'north', 'many-' || n FROM generate_series(1, %s) AS n
"""
_ORDER = "INSERT INTO orders (id, organisation_id, number) VALUES (gen_random_uuid(), %s, %s)"
_LINES = """
INSERT INTO order_lines (id, order_id, item_id, amount)
SELECT gen_random_uuid(), id, 1, 1 FROM orders WHERE number LIKE 'lines-%'
"""
# Noise, so that the delta is long as a compressed file, too.
_CHANGE_MANY = """
UPDATE orders SET note = md5(random()::text) || md5(random()::text) || md5(random()::text) WHERE number LIKE 'many-%'
"""


def organisation_of(workplace: int) -> str:
    """Every second workplace has the one with long deltas."""
    return ORGANISATIONS[workplace % 2]


def make(url: str, workplaces: int) -> None:
    """The application's tables and rows; each workplace has two orders that it alone edits, and one all contest."""
    application.create(url)
    with psycopg.connect(url) as connection:
        connection.execute(_BOOK)
        connection.execute(_MANY_ORDERS, [MANY])
        for number in range(workplaces):
            for kind in ("own", "lines"):
                connection.execute(_ORDER, [organisation_of(number), f"{kind}-{number}"])
        for organisation in ORGANISATIONS:
            connection.execute(_ORDER, [organisation, f"contested-{organisation}"])
        connection.execute(_LINES)


def attachment() -> Mapping[str, Any]:
    """What the operator sends."""
    return application.attachment(CODE, SUBSCRIBER)


@contextmanager
def held_up(url: str) -> Iterator[Callable[[], None]]:
    """No message that touches what all contest is applied before what is yielded is called, or the server is killed."""
    with psycopg.connect(url) as holder:
        holder.execute("SELECT FROM orders WHERE number LIKE 'contested-%' FOR UPDATE")

        def go_on() -> None:
            with suppress(psycopg.OperationalError):  # it was killed, and all its locks are gone
                holder.rollback()

        yield go_on


def wait_until_messages_wait(url: str) -> None:
    """Returns once messages of both organisations are in the middle of being applied."""
    limit = monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as watcher:
        while monotonic() < limit:
            row = watcher.execute("SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted").fetchone()
            if row == (True,):
                return
    raise AssertionError("no message was being applied")


def change_many(url: str) -> None:
    """Somebody changes all the many orders: the next deltas of `north` are long."""
    with psycopg.connect(url) as connection:
        connection.execute(_CHANGE_MANY)
