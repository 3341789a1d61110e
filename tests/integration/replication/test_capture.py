# ruff: noqa: E501 -- one statement to a line
"""The history holds exactly what changed, whoever changed it and however."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from shared.replication import capture
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.session import connect
from tests.integration.replication import shops

Connection = psycopg.Connection[Any]

HOSTILE = """
CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$SELECT 'evil'$$;
CREATE TEMP TABLE added (id int); CREATE TEMP TABLE history (id int); CREATE TEMP TABLE removed (id int);
SET search_path = pg_temp, public, pg_catalog
"""


@pytest.fixture
def conn(fresh_database: str) -> Iterator[Connection]:
    with connect(fresh_database) as connection:
        connection.execute(shops.SCHEMA.encode())
        capture.install(connection, "one", model(connection))
        yield connection


def model(connection: Connection, area: str = "1", manifest: str = shops.MANIFEST) -> Model:
    return load(connection, parse(manifest), area)


def marks(connection: Connection) -> list[str]:
    """The marks so far as `table key area before>after`, coalesced and sorted; the history is then emptied."""
    return sorted(
        {
            f"{table} {'-' if key is None else ','.join(key)} {area or '-'} {before or ''}>{after or ''}"
            for table, key, area, before, after in connection.execute(
                "DELETE FROM yurt.history RETURNING table_name, key, area, organisation_before, organisation_after"
            )
        }
    )


STATEMENTS = [
        ("INSERT INTO bills VALUES (1, 50, 2), (2, 50, 3)", ["bills 50 1 >2", "bills 50 2 >3"]),
        ("UPDATE bills SET note = 'x' WHERE id = 1 AND area = 1", ["bills 1 1 2>2"]),
        ("UPDATE bills SET note = note", []),
        ("UPDATE bills SET amount = 1.00 WHERE (area, id) = (1, 1)", ["bills 1 1 2>2"]),
        ("UPDATE bills SET firm = 3 WHERE (area, id) = (1, 1)", ["bills 1 1 2>3"]),
        ("UPDATE bills SET firm = NULL WHERE (area, id) = (1, 1)", ["bills 1 1 2>"]),
        ("UPDATE bills SET id = 99 WHERE (area, id) = (1, 1)", ["bills 1 1 >", "bills 1 1 2>", "bills 99 1 >", "bills 99 1 >2"]),
        ("UPDATE goods SET secret = 'other'", []),
        ("UPDATE goods SET area = 3 WHERE (area, id) = (1, 'g1')", ["goods g1 1 >", "goods g1 3 >"]),
        ("DELETE FROM bills WHERE (area, id) = (1, 1)", ["bills 1 1 >", "bills 1 1 2>"]),
        ("DELETE FROM bill_lines WHERE (area, id) = (1, 1)", ["bills 2 1 >"]),
        ("UPDATE bill_lines SET bill = 5 WHERE (area, id) = (1, 1)", ["bills 2 1 >", "bills 5 1 >"]),
        ("UPDATE bill_lines SET what = what", []),
        ("UPDATE bill_lines SET id = 100 WHERE (area, id) = (1, 1)", ["bills 2 1 >"]),
        ("INSERT INTO bill_lines VALUES (1, 90, 4, 'a'), (1, 91, 4, 'b')", ["bills 4 1 >"]),
        ("INSERT INTO goods VALUES (1, 'g1', 7), (1, 'new', 8) ON CONFLICT (area, id) DO UPDATE SET price = excluded.price",
         ["goods g1 1 >", "goods new 1 >"]),
        ("INSERT INTO goods VALUES (1, 'g1', 7) ON CONFLICT DO NOTHING", []),
        ("MERGE INTO goods g USING (VALUES (1, 'g1'), (1, 'g2'), (1, 'm')) s(area, id) ON (g.area, g.id) = (s.area, s.id)"
         " WHEN MATCHED AND s.id = 'g1' THEN DELETE WHEN MATCHED THEN UPDATE SET price = 100"
         " WHEN NOT MATCHED THEN INSERT VALUES (s.area, s.id)", ["goods g1 1 >", "goods g2 1 >", "goods m 1 >"]),
        ("TRUNCATE goods", ["goods - - >"]),
        ("TRUNCATE bills CASCADE", ["bills - - >"]),
        ("INSERT INTO events VALUES (1, 70, 2, '2024-03-01')", ["events 70,2024-03-01 1 >2"]),
        ("INSERT INTO events_2024 VALUES (1, 70, 2, '2024-03-01')", ["events 70,2024-03-01 1 >2"]),
        ("INSERT INTO events_2024_h1 (area, id, firm, at) VALUES (1, 70, 2, '2024-03-01')", ["events 70,2024-03-01 1 >2"]),
        ("DELETE FROM events_rest WHERE area = 1 AND id = 8", ["events 8,2025-02-04 1 3>"]),
        ("UPDATE events SET at = '2026-01-01' WHERE (area, id) = (1, 1)", ["events 1,2024-02-20 1 2>", "events 1,2026-01-01 1 >2"]),
        ("TRUNCATE events_2024", ["events - - >"]),
        # One statement over both areas that exchanges the lines' texts: each area's line did change.
        ("UPDATE bill_lines SET what = CASE area WHEN 1 THEN 'b' ELSE 'a' END WHERE id = 1", ["bills 2 1 >", "bills 2 2 >"]),
]  # fmt: skip


def test_each_statement_leaves_exactly_its_marks(conn: Connection) -> None:
    conn.execute("UPDATE bill_lines SET what = CASE area WHEN 1 THEN 'a' ELSE 'b' END WHERE id = 1")
    marks(conn)
    wrong = []
    for sql, expected in STATEMENTS:
        with conn.transaction(force_rollback=True):
            conn.execute(sql.encode())
            found = marks(conn)
        if found != sorted(expected):
            wrong.append((sql, found))
    assert wrong == []


def test_copy_is_captured(conn: Connection) -> None:
    with conn.cursor().copy("COPY goods FROM STDIN") as copy:
        copy.write_row([1, "copied", 5, None])
    assert marks(conn) == ["goods copied 1 >"]


def test_a_writer_without_rights_and_with_hostile_settings_is_captured(conn: Connection, fresh_database: str) -> None:
    role = f"writer_{fresh_database.rsplit('_', 1)[1][:12]}"
    conn.execute(f"CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
    conn.execute(f"GRANT CREATE ON SCHEMA public TO {role}".encode())
    try:
        with connect(fresh_database) as writer:
            writer.execute(f"SET ROLE {role}; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Almaty'".encode())
            writer.execute(HOSTILE)
            writer.execute("UPDATE public.events SET note = 'x' WHERE (area, id) = (1, 1)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute("SELECT * FROM yurt.history")
        assert marks(conn) == ["events 1,2024-02-20 1 2>2"]
    finally:
        conn.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}".encode())


def test_writers_that_play_a_replica_s_part_are_captured(conn: Connection) -> None:
    conn.execute("SET session_replication_role = replica")
    conn.execute("UPDATE goods SET price = 9 WHERE (area, id) = (1, 'g1')")
    assert marks(conn) == ["goods g1 1 >"]


def test_installing_again_changes_nothing_and_waits_for_nobody(conn: Connection, fresh_database: str) -> None:
    before = capture.state(conn, "one")
    with connect(fresh_database) as writer, writer.transaction():
        writer.execute("UPDATE goods SET price = 9 WHERE (area, id) = (1, 'g1')")
        conn.execute("SET statement_timeout = '2s'")
        assert capture.install(conn, "one", model(conn)) == before
    assert marks(conn) == ["goods g1 1 >"]


def test_a_database_attached_by_an_earlier_build_goes_on_with_its_generation(conn: Connection) -> None:
    before = capture.state(conn, "one")
    conn.execute(
        "DROP TABLE yurt.birthmark; ALTER TABLE yurt.workplaces DROP COLUMN contacts;"
        " ALTER TABLE yurt.captured DROP COLUMN relation; ALTER TABLE yurt.applications DROP COLUMN secret;"
        " ALTER TABLE yurt.applications ADD COLUMN system_identifier text NOT NULL DEFAULT '1'"
    )
    assert capture.install(conn, "one", model(conn)) == before
    assert capture.state(conn, "one") == before
    capture.install(conn, "two", model(conn, "2"))
    secrets = conn.execute("SELECT count(DISTINCT secret) FROM yurt.applications").fetchone()
    assert secrets == (2,)


def test_an_upgrade_follows_the_manifest(conn: Connection) -> None:
    shown = shops.MANIFEST.replace('exclude = ["secret"]', "")
    capture.install(conn, "one", model(conn, manifest=shown))
    conn.execute("UPDATE goods SET secret = 'shown' WHERE (area, id) = (1, 'g1')")
    assert marks(conn) == ["goods g1 1 >"]
    without = shops.MANIFEST[: shops.MANIFEST.index('[[aggregates]]\ntable = "events"')]
    capture.install(conn, "one", model(conn, manifest=without))
    conn.execute("UPDATE events SET note = 'x'")
    assert marks(conn) == []
    capture.install(conn, "one", model(conn))
    conn.execute("UPDATE events SET note = 'y' WHERE (area, id) = (1, 1)")
    assert marks(conn) == ["events 1,2024-02-20 1 2>2"]


def test_removing_leaves_no_trace(conn: Connection) -> None:
    capture.install(conn, "two", model(conn, "2"))
    capture.remove(conn, "one")
    conn.execute("UPDATE goods SET price = 9 WHERE id = 'g1'")
    assert marks(conn) == ["goods g1 1 >", "goods g1 2 >"]
    capture.remove(conn, "two")
    assert conn.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
    assert conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'yurt'").fetchone() == (0,)
    capture.remove(conn, "two")


def test_a_busy_table_stops_an_installation_and_nothing_is_changed(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "LOCK_TIMEOUT", "300ms")
    with connect(fresh_database) as connection, connect(fresh_database) as writer:
        connection.execute(shops.SCHEMA.encode())
        with writer.transaction():
            writer.execute("UPDATE events SET note = 'x'")
            with pytest.raises(capture.ApplicationBusy):
                capture.install(connection, "one", model(connection))
        assert connection.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
        assert connection.execute("SELECT to_regclass('yurt.history')").fetchone() == (None,)


def test_a_renamed_configuration_keeps_its_triggers(conn: Connection) -> None:
    renamed = shops.MANIFEST.replace('name = "shops"', 'name = "stores"')
    capture.install(conn, "one", model(conn, manifest=renamed))
    capture.remove(conn, "other")
    conn.execute("UPDATE goods SET price = 9 WHERE (area, id) = (1, 'g1')")
    assert marks(conn) == ["goods g1 1 >"]


def test_long_names_in_any_alphabet_get_functions_of_their_own(fresh_database: str) -> None:
    name = "Накладные_на_отпуск_товаров_юр"
    manifest = f"""
        [configuration]
        name = "long"
        version = "1"
        title = {{ en = "Long" }}
        [[aggregates]]
        table = "{name}"
        key = ["id"]
        keys = "natural"
    """
    with connect(fresh_database) as connection:
        connection.execute(f'CREATE TABLE "{name}" (id integer PRIMARY KEY, n integer)'.encode())
        capture.install(connection, "one", load(connection, parse(manifest), None))
        connection.execute(f'INSERT INTO "{name}" VALUES (1, 1)'.encode())
        assert marks(connection) == [f"{name} 1 - >"]


def test_concurrent_writers_never_wait_for_each_other(conn: Connection, fresh_database: str) -> None:
    """Two open transactions mark the same aggregate's lines; the second is not held up by the history."""
    done = threading.Event()

    def second() -> None:
        with connect(fresh_database) as other, other.transaction():
            other.execute("UPDATE bill_lines SET what = 'two' WHERE (area, id) = (1, 10)")
            done.set()

    with connect(fresh_database) as writer, writer.transaction():
        writer.execute("UPDATE bill_lines SET what = 'one' WHERE (area, id) = (1, 1)")
        thread = threading.Thread(target=second)
        thread.start()
        assert done.wait(10)
    thread.join()
    assert marks(conn) == ["bills 2 1 >"]
