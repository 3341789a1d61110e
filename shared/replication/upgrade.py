"""From the replica of one configuration version to that of another: the SQL a schema consists of (protocol.md, Resync).

The configuration's own migration runs first. What it leaves different from today's replica is then rebuilt: the
statements are worked out on an empty replica of the former version, so they need no condition and are known to work.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from shared.protocol.digest import quote
from shared.protocol.statements import EndsTransaction, statements
from shared.protocol.values import from_wire
from shared.replication.blueprint import Blueprint, blueprint, describing, empty_replica, literal
from shared.replication.manifest import Migration
from shared.replication.model import Model, Table
from shared.replication.spelling import shortened

# A migration sees the replica and nothing else, neither here nor there.
_OTHER_FILES = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


class MigrationFails(Exception):
    """The configuration's own SQL does not run on a replica of the version it is for."""


def altered(former: Blueprint, model: Model) -> list[str]:
    """Root tables whose replica is not what it was: after the schema a workplace needs them whole."""
    now = blueprint(model)
    return [root.name for root in model.roots if former.described(root.name) != now.described(root.name)]


def newly_leased(former: Blueprint, model: Model, migration: Migration | None) -> list[str]:
    """Tables with a leased key for which a replica of `former` has no ranges, or has them for another column."""
    return [
        table.name
        for table in model.tables
        if table.leased and not former.leases(table.name, _former_name(table, table.leased, migration) or table.leased)
    ]


def upgrade(former: Blueprint, model: Model, migration: Migration | None) -> str:
    """SQL that makes a replica of `former` one of `model`, run inside a transaction while capture is paused.

    Rows stay, in today's columns: `migration` says what was renamed and what new columns hold; without it they hold
    their default or NULL. Unsent changes must have been frozen before. Raises `MigrationFails`.
    """
    return ";\n".join(_statements(former, model, migration)) + ";\n"


def _statements(former: Blueprint, model: Model, migration: Migration | None) -> Iterator[str]:
    # Tables are dropped and made again: references are open in between.
    yield "PRAGMA defer_foreign_keys = ON"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, empty_replica(model) as target:
        for statement in former.statements:
            db.execute(statement)
        triggers = _objects(target, "trigger")
        yield from _dropped("TRIGGER", sorted({*former.triggers, *triggers}))
        if migration and migration.sqlite.strip(" \t\r\n;"):
            _try(db, former, migration.sqlite)
            # On a line of its own: the text may end in a comment.
            yield migration.sqlite.rstrip(" \t\r\n;") + "\n"
            yield from _dropped("TRIGGER", _objects(db, "trigger"))
            yield from _dropped("VIEW", _objects(db, "view"))
        yield from _tables(db, target, model, migration)
        yield from _indexes(db, target)
        yield "DELETE FROM yurt_columns"
        yield "DELETE FROM yurt_aggregates"
        yield from describing(model)
        configuration = model.manifest.configuration
        for key, value in (("version", configuration.version), ("platform", configuration.platform)):
            yield f"UPDATE yurt_workplace SET value = json_quote({literal(value)}) WHERE key = {literal(key)}"
        anew = newly_leased(former, model, migration)
        for table in (table for table in model.tables if table.leased):
            of, column = f"table_name = {literal(table.name)}", f"column_name = {literal(table.leased)}"
            if table.name in anew:
                yield f"DELETE FROM yurt_ranges WHERE {of} AND NOT {column}"
            else:
                yield f"UPDATE yurt_ranges SET {column} WHERE {of}"
        yield from triggers.values()


def _tables(
    db: sqlite3.Connection, target: sqlite3.Connection, model: Model, migration: Migration | None
) -> Iterator[str]:
    """What makes the tables of `db` those of `target`, with the rows as far as their columns still exist.

    A table that refers goes before the one it refers to and comes after it: so this holds with enforced references
    too, and looks nothing up in a table without its indexes.
    """
    present, wanted = _objects(db, "table"), _objects(target, "table")
    kept = [name for name in wanted if name in present and present[name] != wanted[name]]
    for name in kept:
        yield f"CREATE TEMP TABLE {_held(name)} AS SELECT * FROM main.{quote(name)}"
    for name in reversed(present):
        if present[name] != wanted.get(name):
            yield f"DROP TABLE main.{quote(name)}"
    for name, definition in wanted.items():
        if present.get(name) != definition:
            yield definition
    described = {table.name: table for table in model.tables}
    for name in kept:
        yield from _refilled(name, _columns(db, name), _columns(target, name), described.get(name), migration)
        yield f"DROP TABLE temp.{_held(name)}"


def _refilled(
    name: str, former: Sequence[str], columns: Sequence[str], table: Table | None, migration: Migration | None
) -> Iterator[str]:
    """The rows that were held. What has no key of today's, or not for itself alone, the delta brings."""
    values = {column: _value(column, former, table, migration) for column in columns}
    if table and any(values[key] is None for key in table.key_names):
        return
    into, of = ", ".join(map(quote, columns)), ", ".join(values[column] or "NULL" for column in columns)
    yield f"INSERT OR IGNORE INTO main.{quote(name)} ({into}) SELECT {of} FROM temp.{_held(name)}"


def _indexes(db: sqlite3.Connection, target: sqlite3.Connection) -> Iterator[str]:
    """Replicas of one version may differ in them: the database's own indexes come and go without a new version."""
    present, wanted = _objects(db, "index"), _objects(target, "index")
    yield from _dropped("INDEX", [name for name in present if present[name] != wanted.get(name)])
    for definition in wanted.values():
        yield definition.replace(" INDEX ", " INDEX IF NOT EXISTS ", 1)


def _dropped(kind: str, names: Iterable[str]) -> Iterator[str]:
    return (f"DROP {kind} IF EXISTS main.{quote(name)}" for name in names)


def _try(db: sqlite3.Connection, former: Blueprint, script: str) -> None:
    """Run it on a replica with one row in each table: what ALTER refuses, it refuses where rows are."""
    if not sqlite3.complete_statement(script + "\n;"):
        raise MigrationFails("its last statement or comment has no end")
    for statement in _one_row_each(former):
        db.execute(statement)
    db.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action in _OTHER_FILES else sqlite3.SQLITE_OK)
    statement = ""
    try:
        db.execute("BEGIN")
        for statement in statements(script):
            db.execute(statement)
        db.execute("COMMIT")
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise MigrationFails(f"{error}: {shortened(statement.strip())}") from error
    except EndsTransaction as error:
        raise MigrationFails(f"it runs inside a transaction: {error}") from error
    db.set_authorizer(None)


def _one_row_each(former: Blueprint) -> Iterator[str]:
    keys: dict[str, list[str]] = {}
    for table, _, column, *_, key_ordinal in former.columns:
        if key_ordinal is not None:
            keys.setdefault(table, []).append(quote(column))
    for table, columns in keys.items():
        yield f"INSERT INTO {quote(table)} ({', '.join(columns)}) VALUES ({', '.join('0' * len(columns))})"


def _value(column: str, present: Sequence[str], table: Table | None, migration: Migration | None) -> str | None:
    """What a row of the former version holds in today's column, as SQL; None when nothing is known of it."""
    if column in present:
        return quote(column)
    if table is None:
        return None
    former = _former_name(table, column, migration)
    if former is not None and former in present:
        return quote(former)
    defaults = migration.defaults.get(table.name, {}) if migration else {}
    if column in defaults:
        return literal(from_wire(table.by_name[column].type, defaults[column]))
    return table.by_name[column].default


def _former_name(table: Table, column: str, migration: Migration | None) -> str | None:
    renames = migration.renames.get(table.name, {}) if migration else {}
    return next((old for old, new in renames.items() if new == column), None)


def _objects(db: sqlite3.Connection, kind: str) -> dict[str, str]:
    """Name and definition of each, in the order they were made."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return dict(db.execute(query, [kind]))


def _columns(db: sqlite3.Connection, name: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_xinfo({quote(name)})")]


def _held(name: str) -> str:
    return quote(f"yurt_held_{name}")
