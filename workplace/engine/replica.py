"""The replica: one SQLite file that any program may open beside us.

It stays in rollback-journal mode and not in WAL: outside a transaction the whole truth is in this one file, so a
person may copy it, keep it on a stick or a network drive, or open it read-only with any SQLite tool, without a second
file that must travel along. `synchronous=EXTRA` makes a commit survive a power cut.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from workplace.engine.failures import ReplicaUnusable
from workplace.engine.layout import Layout, read_layout

# What this program keeps inside the replica, beside the tables of the protocol.
_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS yurt_program (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS yurt_problems (
    id INTEGER PRIMARY KEY, problem TEXT, message INTEGER NOT NULL, table_name TEXT NOT NULL, key TEXT NOT NULL,
    kind TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL, pushed TEXT NOT NULL, service TEXT, version TEXT,
    created_at TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open');
CREATE TABLE IF NOT EXISTS yurt_passed (
    table_name TEXT NOT NULL, key TEXT NOT NULL, line TEXT NOT NULL, PRIMARY KEY (table_name, key));
CREATE INDEX IF NOT EXISTS yurt_problems_open ON yurt_problems (table_name, key) WHERE state = 'open';
"""
_WAIT_SECONDS = 30.0


class Replica:
    """An open replica. Not for use by two threads; each opens its own."""

    def __init__(self, path: Path) -> None:
        """Raises ReplicaUnusable: `no_replica`, `damaged_replica`, `replica_locked`."""
        if not path.is_file():
            raise ReplicaUnusable("no_replica", str(path))
        self.path = path
        with readable(path):
            # By path and not by URI: SQLite takes no file://server/share for a network drive.
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_SECONDS)
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def _prepare(self) -> None:
        execute = self.connection.execute
        if execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            execute("PRAGMA journal_mode = DELETE")
        execute("PRAGMA synchronous = EXTRA")
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA cache_size = -65536")
        self.layout: Layout = read_layout(self.connection)
        own = ("yurt_program", "yurt_problems", "yurt_passed")
        there = execute("SELECT count(*) FROM sqlite_master WHERE name IN (?, ?, ?)", own).fetchone()
        if there[0] < len(own):
            self.connection.executescript(_OWN_TABLES)

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One local transaction: all of it or nothing, also when the process is killed inside."""
        with readable(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file."""
        self.connection.execute("BEGIN")
        try:
            yield self.connection
        finally:
            self.connection.execute("ROLLBACK")

    def reload(self) -> None:
        """Reads the description of the tables anew (after a change of the schema)."""
        self.layout = read_layout(self.connection)

    def get(self, key: str, default: Any = None) -> Any:
        """A value of `yurt_workplace`, or `default`."""
        return self._value("yurt_workplace", key, default)

    def put(self, key: str, value: Any) -> None:
        """Stores a value in `yurt_workplace`."""
        self._store("yurt_workplace", key, value)

    def note(self, key: str, default: Any = None) -> Any:
        """What the program noted for itself, or `default`."""
        return self._value("yurt_program", key, default)

    def remember(self, key: str, value: Any) -> None:
        """Notes something for the program itself."""
        self._store("yurt_program", key, value)

    def _value(self, table: str, key: str, default: Any) -> Any:
        row = self.connection.execute(f"SELECT value FROM {table} WHERE key = ?", (key,)).fetchone()
        return default if row is None or row[0] is None else json.loads(row[0])

    def _store(self, table: str, key: str, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False)
        changed = self.connection.execute(f"UPDATE {table} SET value = ? WHERE key = ?", (text, key))
        if changed.rowcount == 0:
            self.connection.execute(f"INSERT INTO {table} (key, value) VALUES (?, ?)", (key, text))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """SQLite's own errors as ReplicaUnusable, which a person can act upon."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise ReplicaUnusable("replica_locked", str(path)) from error
        if "disk is full" in text:
            raise ReplicaUnusable("disk_full", str(path)) from error
        if "readonly" in text or "unable to open" in text:
            raise ReplicaUnusable("replica_read_only", str(path)) from error
        raise ReplicaUnusable("damaged_replica", f"{path}: {text}") from error
