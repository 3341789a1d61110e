"""The application in the cloud: its own writers, its backups, and what stands in it by plain SQL."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import psycopg
from psycopg.rows import dict_row

from shared.replication import retention
from tests.chaos.histories.ledger import Edit, Ledger, Write, row_of, token, tokens

HERE = Path(__file__).parent
FIRMS = ("A", "B", "C")
TABLES = ("firms", "closings", "items", "partners", "orders", "order_lines", "order_marks", "tasks", "rates")
DATES = ("2024-03-15", "2024-05-01", "2024-06-01")
TEXTS = ("{}", "{}", "{}", "{}", "two  words {}", "forbidden {}", "refuse {}", "ignore {}")


def uid(number: int) -> str:
    return str(UUID(int=number))


class Writer:
    """A transaction of the application that somebody has left open, with the edits made in it."""

    def __init__(self, url: str, area: int) -> None:
        self.conn = psycopg.connect(url)
        self.conn.execute("SELECT")  # a statement begins the transaction: what follows are its savepoints
        self.pid = self.conn.info.backend_pid
        self.area = area
        self.edits: list[Edit] = []


class Bazaar:
    """Both subscribers' rows. `conn` is ours, autocommit."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.conn = psycopg.connect(url, autocommit=True)
        self.conn.execute((HERE / "bazaar.sql").read_bytes())
        self.writers: list[Writer] = []
        self._releasing = threading.Lock()

    def close(self) -> None:
        self.release(Ledger(), commit=False)
        self.conn.close()

    def refill(self, areas: tuple[int, ...]) -> None:
        """Afterwards the rows are those that every history begins with, and the witness knows nothing."""
        for table in reversed(TABLES):
            self.conn.execute(f"DELETE FROM {table}".encode())
        for area in areas:
            for firm in FIRMS:
                self.conn.execute("INSERT INTO firms VALUES (%s, %s, %s)", [area, firm, f"Firm {firm}"])
            self.conn.execute("INSERT INTO closings VALUES (%s, 'A', '2024-03-31')", [area])
            for number in range(1, 4):
                firm = FIRMS[number % 3]
                self.conn.execute("INSERT INTO items VALUES (%s, %s, 'item', 'base', 1)", [area, uid(number)])
                self.conn.execute(
                    "INSERT INTO partners (area, id, firm, code, name) VALUES (%s, %s, %s, %s, 'partner')",
                    [area, uid(number), firm, f"P{number}"],
                )
                row = self.conn.execute(
                    "INSERT INTO orders (area, firm, number, ordered_on, name)"
                    " VALUES (%s, %s, %s, '2024-05-01', 'order') RETURNING id",
                    [area, firm, f"{area}/{number}"],
                ).fetchone()
                assert row
                self.conn.execute("INSERT INTO order_lines VALUES (%s, %s, 1, %s, 2, 'line')", [area, row[0], uid(1)])
                self.conn.execute("INSERT INTO tasks VALUES (%s, %s, %s, 'task')", [area, f"t{number}", firm])
            self.conn.execute("INSERT INTO rates VALUES (%s, 'KZT', 'rate')", [area])
        self.conn.execute("TRUNCATE witness.writes; DELETE FROM yurt.problems")

    def edit(self, ledger: Ledger, area: int, rng: random.Random, writer: Writer | None = None) -> bool:
        """One statement of the application; what its own rules or another's lock refuse did not happen."""
        number = ledger.number()
        conn = writer.conn if writer else self.conn
        statement, arguments = self._statement(area, rng, rng.choice(TEXTS[:5]).format(token(number)))
        try:
            with conn.transaction():
                conn.execute("SET LOCAL lock_timeout = '20ms'")
                done = conn.execute(statement.encode(), arguments).rowcount
                conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except (psycopg.errors.IntegrityError, psycopg.errors.LockNotAvailable, psycopg.errors.RaiseException):
            return False
        if done == 0 or "%(text)s" not in statement:
            return False
        edit = Edit(number, None, frozenset())
        if writer:
            writer.edits.append(edit)
        else:
            ledger.add(edit)
        return True

    def _statement(self, area: int, rng: random.Random, text: str) -> tuple[str, dict[str, Any]]:
        arguments = {
            "area": area, "text": text, "firm": rng.choice(FIRMS), "other": rng.choice(FIRMS),
            "uid": uid(rng.randrange(1, 6)), "uid2": uid(rng.randrange(1, 6)), "task": f"t{rng.randrange(1, 5)}",
            "nth": rng.randrange(4), "nth2": rng.randrange(4), "no": rng.randrange(1, 4), "date": rng.choice(DATES),
            "mark": str(uuid5(NAMESPACE_OID, text)), "code": f"P{rng.randrange(1, 6)}",
        }  # fmt: skip
        order = "(SELECT id FROM orders WHERE area = %(area)s ORDER BY id OFFSET %(nth)s LIMIT 1)"
        order2 = order.replace("(nth)", "(nth2)")
        return rng.choice([
            "UPDATE partners SET note = %(text)s WHERE area = %(area)s AND id = %(uid)s",
            "UPDATE partners SET name = %(text)s, firm = %(firm)s WHERE area = %(area)s AND id = %(uid)s",
            "UPDATE partners SET note = %(text)s, code = %(code)s WHERE area = %(area)s AND id = %(uid)s",
            "INSERT INTO partners (area, id, firm, code, note)"
            " VALUES (%(area)s, %(uid)s, %(firm)s, %(code)s, %(text)s)",
            "DELETE FROM partners WHERE area = %(area)s AND id = %(uid)s",
            "UPDATE items SET name = %(text)s WHERE area = %(area)s AND id = %(uid)s",
            "UPDATE items SET note = %(text)s WHERE area = %(area)s",
            "INSERT INTO items VALUES (%(area)s, %(uid)s, %(text)s)",
            "DELETE FROM items WHERE area = %(area)s AND id = %(uid)s",
            f"UPDATE orders SET note = %(text)s, partner = NULL WHERE area = %(area)s AND id = {order}",
            f"UPDATE orders SET name = %(text)s, ordered_on = %(date)s WHERE area = %(area)s AND id = {order}",
            "UPDATE orders SET firm = %(firm)s, note = %(text)s, partner = NULL"
            f" WHERE area = %(area)s AND id = {order}",
            "INSERT INTO orders (area, firm, number, ordered_on, note)"
            " VALUES (%(area)s, %(firm)s, %(text)s, %(date)s, %(text)s)",
            f"INSERT INTO order_lines VALUES (%(area)s, {order}, %(no)s, %(uid)s, 1, %(text)s)",
            f"UPDATE order_lines SET note = %(text)s, quantity = %(no)s WHERE area = %(area)s AND order_id = {order}",
            f"UPDATE order_lines SET order_id = {order2}, note = %(text)s WHERE area = %(area)s AND order_id = {order}",
            f"DELETE FROM order_lines WHERE area = %(area)s AND order_id = {order} AND no = %(no)s",
            f"INSERT INTO order_marks (area, id, order_id, note) VALUES (%(area)s, %(mark)s, {order}, %(text)s)",
            f"UPDATE order_marks SET note = %(text)s WHERE area = %(area)s AND order_id = {order}",
            f"WITH lines AS (DELETE FROM order_lines WHERE order_id = {order}),"
            f" marks AS (DELETE FROM order_marks WHERE order_id = {order})"
            f" DELETE FROM orders WHERE area = %(area)s AND id = {order}",
            "UPDATE tasks SET note = %(text)s WHERE area = %(area)s AND id = %(task)s",
            "UPDATE tasks SET name = %(text)s, firm = %(firm)s WHERE area = %(area)s AND id = %(task)s",
            "INSERT INTO tasks VALUES (%(area)s, %(task)s, %(firm)s, %(text)s)",
            "DELETE FROM tasks WHERE area = %(area)s AND id = %(task)s",
            "UPDATE rates SET note = %(text)s WHERE area = %(area)s",
            "UPDATE closings SET until = %(date)s WHERE area = %(area)s",
            # The whole of a firm moves to another one.
            "UPDATE partners SET firm = %(other)s, note = %(text)s WHERE area = %(area)s AND firm = %(firm)s"
            " AND NOT EXISTS (SELECT FROM orders o WHERE o.partner = partners.id AND o.area = partners.area)",
        ]), arguments  # fmt: skip

    def open(self, ledger: Ledger, area: int, rng: random.Random) -> None:
        """A transaction that stays open, with some edits."""
        writer = Writer(self.url, area)
        self.writers.append(writer)
        for _ in range(3):
            self.edit(ledger, area, rng, writer)

    def release(self, ledger: Ledger, *, commit: bool, pid: int | None = None) -> None:
        """Ends the open transactions, or that of one server process."""
        with self._releasing:
            for writer in [writer for writer in self.writers if pid in {None, writer.pid}]:
                self.writers.remove(writer)
                if commit:
                    try:
                        writer.conn.commit()
                    except psycopg.errors.IntegrityError:
                        pass  # refused by a deferred constraint: it did not happen
                    else:
                        for edit in writer.edits:
                            ledger.add(edit)
                else:
                    writer.conn.rollback()
                writer.conn.close()

    @contextmanager
    def not_in_the_way(self, ledger: Ledger, *, commit: bool) -> Iterator[None]:
        """Inside, an open transaction for whose locks somebody waits is ended, as its user would sooner or later."""
        if not self.writers:
            yield
            return
        over = threading.Event()

        def watch() -> None:
            with psycopg.connect(self.url, autocommit=True) as conn:
                while not over.wait(0.02):
                    pids = [writer.pid for writer in self.writers]
                    for (pid,) in conn.execute(
                        "SELECT DISTINCT b FROM pg_stat_activity, unnest(pg_blocking_pids(pid)) b WHERE b = ANY(%s)",
                        [pids],
                    ).fetchall():
                        self.release(ledger, commit=commit, pid=pid)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()

    def forget(self, *, retention_days: float) -> None:
        """The history is shortened as far as it may be."""
        retention.forget(self.conn, keep=timedelta(0), retention=timedelta(days=retention_days))

    def back_up(self) -> None:
        """A backup of the database as it is: the application's rows, and what Yurt keeps beside them."""
        with self.conn.transaction():
            self.conn.execute("DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup")
            for schema, table in self._tables():
                self.conn.execute(f'CREATE TABLE backup."{schema}.{table}" AS TABLE {schema}.{table}'.encode())
            self.conn.execute(
                "CREATE TABLE backup.sequences AS SELECT format('%I.%I', schemaname, sequencename) AS name,"
                " coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS called FROM pg_sequences"
                " WHERE schemaname IN ('public', 'yurt')"
            )

    def has_backup(self) -> bool:
        return self.conn.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'backup'").fetchone() is not None

    def drop_backup(self) -> None:
        self.conn.execute("DROP SCHEMA IF EXISTS backup CASCADE")

    def restore(self) -> set[int]:
        """The database is as it was at the backup; the witness notes it. The edits that stood in problems before."""
        told = {number for (problem,) in self.conn.execute("SELECT to_jsonb(p)::text FROM yurt.problems p")
                for number in tokens(problem)}  # fmt: skip
        with self.conn.transaction():
            self.conn.execute("SET LOCAL session_replication_role = replica")
            tables = self._tables()
            self.conn.execute(f"TRUNCATE {', '.join(f'{schema}.{table}' for schema, table in tables)}".encode())
            for schema, table in tables:
                columns = [
                    name
                    for (name,) in self.conn.execute(
                        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                        " AND attgenerated = '' AND NOT attisdropped ORDER BY attnum",
                        [f"{schema}.{table}"],
                    )
                ]
                self.conn.execute(
                    f"INSERT INTO {schema}.{table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
                    f' SELECT {", ".join(columns)} FROM backup."{schema}.{table}"'.encode()
                )
            self.conn.execute("SELECT setval(name, value, called) FROM backup.sequences")
            standing = json.dumps({"standing": sorted(self.in_force())})
            self.conn.execute(
                "INSERT INTO witness.writes (relation, after) VALUES ('database restored', %s)", [standing]
            )
        return told

    def _tables(self) -> list[tuple[str, str]]:
        return self.conn.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'yurt') ORDER BY 1, 2"
        ).fetchall()

    def rows(self, table: str, area: int | None = None) -> list[dict[str, Any]]:
        """All rows of a table."""
        query = f"SELECT * FROM {table} WHERE %(area)s::int IS NULL OR area = %(area)s"
        return self.conn.cursor(row_factory=dict_row).execute(query.encode(), {"area": area}).fetchall()

    def in_force(self) -> set[int]:
        """The edits whose values stand in the database now."""
        found: set[int] = set()
        for table in TABLES:
            for (text,) in self.conn.execute(f"SELECT to_jsonb(t)::text FROM {table} t".encode()):
                found |= tokens(text)
        return found

    def present(self) -> set[tuple[str, str]]:
        """The rows that are there, of both areas together: keys that an edit has deleted are not shared by chance."""
        tables = [table for table in TABLES if table not in {"firms", "closings"}]
        return {row_of(table, row) for table in tables for row in self.rows(table)}

    def written(self) -> list[Write]:
        """What the witness saw."""
        rows = self.conn.execute("SELECT seq, area, relation, before, after, origin FROM witness.writes ORDER BY seq")
        return [
            Write(seq, area, None if relation == "database restored" else relation, before, after, origin)
            for seq, area, relation, before, after, origin in rows
        ]

    def seen_so_far(self) -> int:
        """How far the witness is."""
        row = self.conn.execute("SELECT coalesce(max(seq), 0) FROM witness.writes").fetchone()
        return int(row[0]) if row else 0
