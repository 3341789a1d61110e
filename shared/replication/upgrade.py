"""From the replica of one configuration version to that of another: the SQL a schema consists of (protocol.md, Resync).

The configuration's own migration runs first. What it leaves different from today's replica is then rebuilt: the
statements are worked out on an empty replica of the former version, so they need no condition and are known to work.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from shared.protocol.digest import quote
from shared.protocol.statements import EndsTransaction, statements
from shared.protocol.values import from_wire
from shared.replication.blueprint import Blueprint, blueprint, describing, empty_replica, finishing, literal
from shared.replication.manifest import Migration
from shared.replication.model import Model, Table

_HELD = quote("yurt_rebuilt")


class MigrationFails(Exception):
    """The configuration's own SQL does not run on a replica of the version it is for."""


def altered(former: Blueprint, model: Model) -> list[str]:
    """Root tables whose replica is not what it was: after the schema a workplace needs them whole."""
    now = blueprint(model)
    return [root.name for root in model.roots if former.described(root.name) != now.described(root.name)]


def upgrade(former: Blueprint, model: Model, migration: Migration | None) -> str:
    """SQL that makes a replica of `former` one of `model`, run inside a transaction while capture is paused.

    Rows stay, in today's columns: `migration` says what was renamed and what new columns hold; without it they hold
    their default or NULL. Unsent changes must have been frozen before. Raises `MigrationFails`.
    """
    return ";\n".join(_statements(former, model, migration)) + ";\n"


def _statements(former: Blueprint, model: Model, migration: Migration | None) -> Iterator[str]:
    # Tables are dropped and made again: references are open in between.
    yield "PRAGMA defer_foreign_keys = ON"
    for trigger in sorted({*former.triggers, *blueprint(model).triggers}):
        yield f"DROP TRIGGER IF EXISTS {quote(trigger)}"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, empty_replica(model) as target:
        for statement in former.statements:
            db.execute(statement)
        if migration and migration.sqlite.strip(" \t\r\n;"):
            _try(db, migration.sqlite)
            # On a line of its own: the text may end in a comment.
            yield migration.sqlite.rstrip(" \t\r\n;") + "\n"
        yield from _tables(db, target, model, migration)
    yield "DELETE FROM yurt_columns"
    yield "DELETE FROM yurt_aggregates"
    yield from describing(model)
    configuration = model.manifest.configuration
    for key, value in (("version", configuration.version), ("platform", configuration.platform)):
        yield f"UPDATE yurt_workplace SET value = json_quote({literal(value)}) WHERE key = {literal(key)}"
    yield from finishing(model)


def _tables(
    db: sqlite3.Connection, target: sqlite3.Connection, model: Model, migration: Migration | None
) -> Iterator[str]:
    """What makes the tables of `db` those of `target`, without indexes."""
    for index in _names(db, "index"):
        yield f"DROP INDEX IF EXISTS {quote(index)}"
    present, wanted = _names(db, "table"), _names(target, "table")
    for name in present:
        if name not in wanted:
            yield f"DROP TABLE {quote(name)}"
    described = {table.name: table for table in model.tables}
    for name in wanted:
        if name not in present:
            yield _definition(target, name)
        elif _shape(db, name) != _shape(target, name):
            yield from _rebuilt(db, target, name, described.get(name), migration)


def _try(db: sqlite3.Connection, script: str) -> None:
    try:
        db.execute("BEGIN")
        for statement in statements(script):
            db.execute(statement)
        db.execute("COMMIT")
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise MigrationFails(str(error)) from error
    except EndsTransaction as error:
        raise MigrationFails(f"it runs inside a transaction: {error}") from error


def _rebuilt(
    db: sqlite3.Connection, target: sqlite3.Connection, name: str, table: Table | None, migration: Migration | None
) -> Iterator[str]:
    """The table as it is to be, with the rows as far as their columns still exist."""
    present, columns = set(_columns(db, name)), _columns(target, name)
    values = {column: _value(column, present, table, migration) for column in columns}
    yield f"CREATE TEMP TABLE {_HELD} AS SELECT * FROM main.{quote(name)}"
    yield f"DROP TABLE main.{quote(name)}"
    yield _definition(target, name)
    # Without its key a row of the former version is nobody: the delta brings it.
    if table is None or all(values[key] is not None for key in table.key_names):
        into, of = ", ".join(map(quote, columns)), ", ".join(values[column] or "NULL" for column in columns)
        yield f"INSERT INTO main.{quote(name)} ({into}) SELECT {of} FROM temp.{_HELD}"
    yield f"DROP TABLE temp.{_HELD}"


def _value(column: str, present: set[str], table: Table | None, migration: Migration | None) -> str | None:
    """What a row of the former version holds in today's column, as SQL; None when nothing is known of it."""
    if column in present:
        return quote(column)
    if table is None:
        return None
    if migration:
        former = {new: old for old, new in migration.renames.get(table.name, {}).items()}.get(column)
        if former in present:
            return quote(former)
        defaults = migration.defaults.get(table.name, {})
        if column in defaults:
            return literal(from_wire(table.by_name[column].type, defaults[column]))
    return table.by_name[column].default


def _names(db: sqlite3.Connection, kind: str) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return [name for (name,) in db.execute(query, [kind])]


def _columns(db: sqlite3.Connection, name: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_xinfo({quote(name)})")]


def _shape(db: sqlite3.Connection, name: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Columns and references of a table, whatever its statement looks like."""
    return (
        db.execute(f"PRAGMA table_xinfo({quote(name)})").fetchall(),
        sorted(db.execute(f"PRAGMA foreign_key_list({quote(name)})").fetchall()),
    )


def _definition(target: sqlite3.Connection, name: str) -> str:
    (sql,) = target.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", [name]).fetchone()
    return str(sql)
