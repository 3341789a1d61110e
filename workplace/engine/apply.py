"""Applying a proven delta: one local transaction, triggers paused, nothing unsent overwritten (protocol.md, Pull)."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.protocol import values
from shared.protocol.digest import bucket_of, quote, row_encoder
from shared.protocol.statements import EndsTransaction, statements
from workplace.engine import outbox, passed, problems, unsent
from workplace.engine.failures import UnexpectedAnswer
from workplace.engine.freeze import count_changes, freeze_within
from workplace.engine.layout import Aggregate, Key, Layout, Table
from workplace.engine.repair import Comparison, Difference
from workplace.engine.replica import Replica
from workplace.engine.spool import Delta
from workplace.engine.unsent import Unsent

Progress = Callable[[str, int, int], None]
_BATCH = 500


@dataclass(frozen=True)
class Schema:
    """The SQL of another configuration version, and the number that freezes what was edited in the old one."""

    sql: str
    next_message: int


@dataclass
class Received:
    """What a delta brought, by table, without what was passed over because it is unsent here.

    `unchanged`: aggregates of repaired buckets that stood here just so; `found`: rows of those buckets that did not.
    """

    put: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    passed_over: int = 0
    unchanged: int = 0
    found: dict[str, Difference] = field(default_factory=dict)
    reset: bool = False
    lines: int = 0
    dangling: bool = False

    def onto(self, put: dict[str, int], removed: dict[str, int]) -> None:
        """Adds the counts by table to those of earlier deltas."""
        for counts, more in ((put, self.put), (removed, self.removed)):
            for table, count in more.items():
                counts[table] = counts.get(table, 0) + count


def apply(replica: Replica, delta: Delta, *, schema: Schema | None, last_message: int, progress: Progress) -> Received:
    """The whole delta or nothing; stores `position`, `generation`, `scope_version`, and `last_message` as answered.

    Foreign keys are checked at the end. Where one would stay open (an edit made here meanwhile refers to what the
    service removed) the delta is applied all the same: the next exchange settles that edit, and nothing blocks.
    """
    if schema is None:
        try:
            return _attempt(replica, delta, None, last_message, progress)
        except sqlite3.IntegrityError:
            progress("apply", 0, int(delta.tail["count"]))
    # Enforcement can only be switched outside a transaction; a schema that rebuilds tables needs it off as well.
    replica.connection.execute("PRAGMA foreign_keys = OFF")
    try:
        received = _attempt(replica, delta, schema, last_message, progress)
    except sqlite3.IntegrityError as error:
        raise UnexpectedAnswer("damaged_delta", str(error)) from error
    else:
        received.dangling = schema is None
        return received
    finally:
        replica.connection.execute("PRAGMA foreign_keys = ON")
        replica.reload()


def _attempt(replica: Replica, delta: Delta, schema: Schema | None, last_message: int, progress: Progress) -> Received:
    with replica.writing() as connection:
        connection.execute("INSERT INTO yurt_paused (paused) VALUES (1)")
        if schema is not None:
            last_message = _change_schema(replica, schema, last_message)
        received = Received(reset=bool(delta.head.get("reset")), lines=int(delta.tail["count"]))
        keep = unsent.unsent_keys(connection, replica.layout)
        if received.reset:
            passed.clear(connection)
            _empty(connection, replica.layout, keep)
        _take_passed(connection, replica.layout, keep)
        repaired = _Repaired(connection)
        _remove(connection, replica.layout, keep, delta, repaired, received)
        _insert(connection, replica.layout, keep, delta, repaired, received, progress)
        replica.put("position", delta.tail["position"])
        replica.put("generation", delta.head["generation"])
        replica.put("scope_version", delta.head["scope_version"])
        replica.put("last_message", last_message)
        connection.execute("DELETE FROM yurt_paused")
    return received


def take_passed(replica: Replica) -> None:
    """What a delta brought while it was unsent here stands here, where it is unsent no more and was not sent."""
    if not passed.is_any(replica.connection):
        return
    # A reference to what is gone meanwhile stays open until the next delta.
    replica.connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with replica.writing() as connection:
            connection.execute("INSERT INTO yurt_paused (paused) VALUES (1)")
            _take_passed(connection, replica.layout, unsent.unsent_keys(connection, replica.layout))
            connection.execute("DELETE FROM yurt_paused")
    finally:
        replica.connection.execute("PRAGMA foreign_keys = ON")


def _take_passed(connection: sqlite3.Connection, layout: Layout, keep: Unsent) -> None:
    inserts = _Inserts(connection)
    for line in passed.lines(connection):
        aggregate = _aggregate(layout, line)
        key = _key(aggregate, line["key"])
        if key in keep.get(aggregate.root.name, ()):
            continue
        _delete(connection, aggregate, [key])
        if line["op"] == "put":
            inserts.put(aggregate, line)
        passed.drop(connection, line["table"], line["key"])
    inserts.flush()


def _change_schema(replica: Replica, schema: Schema, last_message: int) -> int:
    """Freezes what was edited since the push in the words it was written in, then runs the SQL."""
    connection = replica.connection
    number = max([schema.next_message, *(held + 1 for held in outbox.held(connection))])
    while count_changes(connection):
        freeze_within(connection, replica.layout, number, str(replica.get("version")))
        number += 1
    try:
        for statement in statements(schema.sql):
            connection.execute(statement)
    except (EndsTransaction, sqlite3.Error) as error:
        raise UnexpectedAnswer("damaged_schema", str(error)) from error
    replica.reload()
    return last_message


def _empty(connection: sqlite3.Connection, layout: Layout, keep: Unsent) -> None:
    for aggregate in layout.values():
        kept = keep.get(aggregate.root.name)
        for part in aggregate.parts:
            name = quote(part.table.name)
            if kept:
                connection.executemany(
                    f"DELETE FROM {name} WHERE {quote(part.parent)} IS ?",
                    [
                        parent
                        for parent in connection.execute(f"SELECT DISTINCT {quote(part.parent)} FROM {name}").fetchall()
                        if parent not in kept
                    ],
                )
            else:
                connection.execute(f"DELETE FROM {name}")
        root = aggregate.root
        if kept:
            connection.executemany(
                f"DELETE FROM {quote(root.name)} WHERE {root.key_is}",
                [key for key in _keys(connection, root) if key not in kept],
            )
        else:
            connection.execute(f"DELETE FROM {quote(root.name)}")


def _remove(
    connection: sqlite3.Connection,
    layout: Layout,
    keep: Unsent,
    delta: Delta,
    repaired: "_Repaired",
    received: Received,
) -> None:
    """First all that is named goes, so that the order of the lines does not matter when they are inserted.

    Of a repaired bucket only what differs: what is as the service tells it stays untouched.
    """
    doomed: dict[str, list[Key]] = {}
    for line in delta.lines():
        aggregate = _aggregate(layout, line)
        if line["op"] == "bucket":
            repaired.expect(aggregate, int(line["bucket"]), [_key(aggregate, key) for key in line["keys"]])
            continue
        if line["op"] == "put" and received.reset:
            continue  # the tables are empty but for what is kept
        key = _key(aggregate, line["key"])
        if key in keep.get(aggregate.root.name, ()):
            continue
        if line["op"] == "remove":
            received.removed[aggregate.root.name] = received.removed.get(aggregate.root.name, 0) + 1
        elif repaired.holds(aggregate, key) and repaired.is_equal(aggregate, key, line):
            continue
        batch = doomed.setdefault(aggregate.root.name, [])
        batch.append(key)
        if len(batch) >= _BATCH:
            _delete(connection, aggregate, batch)
            batch.clear()
    for name, batch in doomed.items():
        _delete(connection, layout[name], batch)
    for name in repaired.keys:
        strays = repaired.strays(layout[name], keep.get(name, set()))
        _delete(connection, layout[name], strays)
        received.removed[name] = received.removed.get(name, 0) + len(strays)
    received.found = repaired.comparison.found


class _Repaired:
    """Buckets that come whole, by root table: their numbers, and all keys that the service has in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.keys: dict[str, set[Key]] = {}
        self.comparison = Comparison(connection)
        self._buckets: dict[str, set[int]] = {}
        self._connection = connection

    def expect(self, aggregate: Aggregate, bucket: int, keys: Iterable[Key]) -> None:
        """A `bucket` line; it comes before the puts of its keys."""
        self._buckets.setdefault(aggregate.root.name, set()).add(bucket)
        self.keys.setdefault(aggregate.root.name, set()).update(keys)

    def holds(self, aggregate: Aggregate, key: Key) -> bool:
        """Whether a put is one of those that a bucket announced."""
        return key in self.keys.get(aggregate.root.name, ())

    def is_equal(self, aggregate: Aggregate, key: Key, line: dict[str, Any]) -> bool:
        """Whether it stands here just so. What differs is counted."""
        try:
            return self.comparison.equal(aggregate, key, line)
        except (KeyError, ValueError, TypeError) as error:
            raise UnexpectedAnswer("damaged_delta", f"{aggregate.root.name}: {error}") from error

    def strays(self, aggregate: Aggregate, keep: set[Key]) -> list[Key]:
        """Keys in those buckets that the service does not have, also of lines that lost their root; they are counted.
        Not those to keep.
        """
        root, listed = aggregate.root, self.keys[aggregate.root.name]
        buckets = self._buckets[root.name]
        encode = row_encoder([root.by_name[name].type for name in root.key])
        queries = [f"SELECT {', '.join(quote(name) for name in root.key)} FROM {quote(root.name)}"]
        queries += [f"SELECT DISTINCT {quote(part.parent)} FROM {quote(part.table.name)}" for part in aggregate.parts]
        found = {
            key
            for query in queries
            for key in self._connection.execute(query)
            if key not in listed and key not in keep and bucket_of(encode(key)) in buckets
        }
        for key in found:
            self.comparison.stray(aggregate, key)
        return list(found)


def _delete(connection: sqlite3.Connection, aggregate: Aggregate, keys: Sequence[Key]) -> None:
    for part in aggregate.parts:
        connection.executemany(f"DELETE FROM {quote(part.table.name)} WHERE {quote(part.parent)} IS ?", keys)
    connection.executemany(f"DELETE FROM {quote(aggregate.root.name)} WHERE {aggregate.root.key_is}", keys)


def _insert(
    connection: sqlite3.Connection,
    layout: Layout,
    keep: Unsent,
    delta: Delta,
    repaired: _Repaired,
    received: Received,
    progress: Progress,
) -> None:
    inserts = _Inserts(connection)
    made = unsent.made_keys(connection, layout)
    troubled = {(problem.table, problems.key_text(problem.key)) for problem in problems.open_problems(connection)}
    answered: list[dict[str, Any]] = []
    for done, line in enumerate(delta.lines(), 1):
        if done % 1000 == 0:
            progress("apply", done, received.lines)
        if line["op"] == "bucket":
            continue
        aggregate = _aggregate(layout, line)
        if (line["table"], problems.key_text(line["key"])) in troubled:
            answered.append(line)
        key = _key(aggregate, line["key"])
        if key in keep.get(line["table"], ()):
            received.passed_over += 1
            if key in made.get(line["table"], ()):
                passed.keep(connection, line)
        elif repaired.holds(aggregate, key) and _is_there(connection, aggregate, key):
            received.unchanged += 1  # what differed was deleted before
        elif line["op"] == "put":
            received.put[line["table"]] = received.put.get(line["table"], 0) + 1
            inserts.put(aggregate, line)
    inserts.flush()
    problems.remember_service_version(connection, answered)
    progress("apply", received.lines, received.lines)


class _Inserts:
    """Rows on their way into their tables, in batches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[str, tuple[str, ...]], list[list[values.Replica]]] = {}

    def put(self, aggregate: Aggregate, line: dict[str, Any]) -> None:
        """A whole aggregate."""
        self.add(aggregate.root, line["row"])
        for name, lines in (line.get("parts") or {}).items():
            part = aggregate.part(name)
            if part is None:
                raise UnexpectedAnswer("damaged_delta", f"{aggregate.root.name}: {name}")
            for row in lines:
                self.add(part.table, row)

    def add(self, table: Table, row: dict[str, Any]) -> None:
        names = tuple(row)
        try:
            converted = [values.from_wire(table.by_name[name].type, value) for name, value in row.items()]
        except (KeyError, ValueError, TypeError) as error:
            raise UnexpectedAnswer("damaged_delta", f"{table.name}: {error}") from error
        batch = self._rows.setdefault((table.name, names), [])
        batch.append(converted)
        if len(batch) >= _BATCH:
            self._write(table.name, names, batch)
            batch.clear()

    def flush(self) -> None:
        for (table, names), batch in self._rows.items():
            self._write(table, names, batch)
        self._rows.clear()

    def _write(self, table: str, names: tuple[str, ...], batch: list[list[values.Replica]]) -> None:
        listed, marks = ", ".join(quote(name) for name in names), ", ".join("?" * len(names))
        # REPLACE for a line that stands under an unsent aggregate here and under another one at the service.
        self._connection.executemany(f"INSERT OR REPLACE INTO {quote(table)} ({listed}) VALUES ({marks})", batch)


def _aggregate(layout: Layout, line: dict[str, Any]) -> Aggregate:
    aggregate = layout.get(str(line.get("table")))
    if aggregate is None or line.get("op") not in {"put", "remove", "bucket"}:
        raise UnexpectedAnswer("damaged_delta", json.dumps({key: line.get(key) for key in ("op", "table")}))
    return aggregate


def _key(aggregate: Aggregate, key: dict[str, Any]) -> Key:
    try:
        return aggregate.root.key_from_wire(key)
    except (KeyError, ValueError, TypeError) as error:
        raise UnexpectedAnswer("damaged_delta", f"{aggregate.root.name}: {error}") from error


def _is_there(connection: sqlite3.Connection, aggregate: Aggregate, key: Key) -> bool:
    query = f"SELECT 1 FROM {quote(aggregate.root.name)} WHERE {aggregate.root.key_is}"
    return connection.execute(query, key).fetchone() is not None


def _keys(connection: sqlite3.Connection, table: Table) -> Iterator[Key]:
    columns = ", ".join(quote(name) for name in table.key)
    yield from connection.execute(f"SELECT {columns} FROM {quote(table.name)}").fetchall()
