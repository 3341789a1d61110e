"""A position and the marks it has not seen are everything; a scope holds its own organisations' rows and no others."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.protocol.digest import table_digests
from shared.replication import capture, image
from shared.replication.digest import service_digests
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.replication import shops

Connection = psycopg.Connection[Any]
UNSEEN = """
SELECT DISTINCT table_name, key FROM yurt.history
WHERE xid >= pg_snapshot_xmin(%(position)s::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, %(position)s::pg_snapshot)
"""


@pytest.fixture
def attached(fresh_database: str) -> Iterator[tuple[Connection, Model]]:
    with connect(fresh_database) as conn:
        conn.execute(shops.SCHEMA.encode())
        model = load(conn, parse(shops.MANIFEST), "1")
        capture.install(conn, "one", model)
        yield conn, model


def unseen(conn: Connection, position: str) -> set[tuple[str, tuple[str, ...]]]:
    return {(table, tuple(key)) for table, key in conn.execute(UNSEEN, {"position": position})}


def test_a_transaction_open_during_a_build_arrives_unseen_after_its_commit(
    attached: tuple[Connection, Model], fresh_database: str, tmp_path: Path
) -> None:
    conn, model = attached
    with connect(fresh_database) as writer:
        with writer.transaction():
            writer.execute("UPDATE bills SET note = 'slow' WHERE (area, id) = (1, 1)")
            conn.execute("UPDATE bills SET note = 'quick' WHERE (area, id) = (1, 2)")
            built = image.build(conn, model, Scope(None), tmp_path / "r.db", lambda *_: None)
            assert unseen(conn, built.snapshot) == set()
        assert unseen(conn, built.snapshot) == {("bills", ("1",))}
    with closing(sqlite3.connect(tmp_path / "r.db")) as replica:
        notes = dict(replica.execute("SELECT id, note FROM bills WHERE id < 3"))
    assert notes == {1: "bill 1", 2: "quick"}


def test_a_rolled_back_savepoint_leaves_no_mark_and_its_transaction_the_others(
    attached: tuple[Connection, Model], tmp_path: Path
) -> None:
    conn, model = attached
    built = image.build(conn, model, Scope(None), tmp_path / "r.db", lambda *_: None)
    with conn.transaction():
        with conn.transaction(force_rollback=True):
            conn.execute("UPDATE bills SET note = 'never' WHERE (area, id) = (1, 1)")
        with conn.transaction():
            conn.execute("UPDATE bills SET note = 'inner' WHERE (area, id) = (1, 2)")
    assert unseen(conn, built.snapshot) == {("bills", ("2",))}


def test_an_image_and_what_its_position_has_not_seen_are_everything(
    attached: tuple[Connection, Model], fresh_database: str, tmp_path: Path
) -> None:
    """Writers hammer while images are built: rows that differ from the image are exactly among the unseen marks."""
    conn, model = attached
    stop = threading.Event()
    writing = threading.Semaphore(0)

    def hammer(seed: int) -> None:
        with connect(fresh_database) as writer:
            turn = seed
            while not stop.is_set():
                turn += 2
                with writer.transaction():
                    writer.execute("INSERT INTO bills VALUES (1, %s, %s, 'new')", [1000 + turn, 1 + turn % 3])
                    writer.execute("UPDATE bills SET note = %s WHERE area = 1 AND id = %s", [str(turn), 1 + turn % 9])
                    writer.execute("DELETE FROM bills WHERE area = 1 AND id = %s", [1000 + turn - 8])
                writing.release()

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        built = []
        for at in range(4):
            for _ in range(10):
                writing.acquire(timeout=30)
            path = tmp_path / f"{at}.db"
            built.append((path, image.build(conn, model, Scope(None), path, lambda *_: None)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    now = {row[0]: row for row in conn.execute("SELECT id, firm, note FROM bills WHERE area = 1")}
    for path, cut in built:
        image.verify(path, cut.digests)
        with closing(sqlite3.connect(path)) as replica:
            then = {row[0]: row for row in replica.execute("SELECT id, firm, note FROM bills")}
        differ = {("bills", (str(key),)) for key in {*then, *now} if then.get(key) != now.get(key)}
        assert differ
        assert differ <= unseen(conn, cut.snapshot)


def test_two_of_three_organisations_get_their_own_rows_and_what_is_shared(
    attached: tuple[Connection, Model], tmp_path: Path
) -> None:
    conn, model = attached
    conn.execute("INSERT INTO bills VALUES (1, 60, NULL, 'of nobody')")
    scope = Scope(("1", "3"))
    built = image.build(conn, model, scope, tmp_path / "r.db", lambda *_: None)
    image.verify(tmp_path / "r.db", built.digests)
    assert built.rows == {"firms": 2, "goods": 3, "bills": 6, "bill_lines": 18, "events": 6}
    with closing(sqlite3.connect(tmp_path / "r.db")) as replica:
        assert table_digests(replica, buckets=True) == service_digests(conn, model, scope, buckets=True)
        for table, expected in {
            "firms": "SELECT id FROM firms WHERE area = 1 AND id IN (1, 3)",
            "goods": "SELECT id FROM goods WHERE area = 1",
            "bills": "SELECT id FROM bills WHERE area = 1 AND firm IN (1, 3)",
            "bill_lines": "SELECT l.id FROM bill_lines l JOIN bills b ON (b.area, b.id) = (l.area, l.bill)"
            " WHERE b.area = 1 AND b.firm IN (1, 3)",
            "events": "SELECT id FROM events WHERE area = 1 AND firm IN (1, 3)",
        }.items():
            assert set(replica.execute(f"SELECT id FROM {table}")) == set(conn.execute(expected.encode())), table
        assert "area" not in {row[1] for row in replica.execute("PRAGMA table_info(bills)")}
        assert "secret" not in {row[1] for row in replica.execute("PRAGMA table_info(goods)")}
