"""Editing an aggregate: its row and its lines, all in one local transaction. The replica's triggers record it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from shared.protocol.digest import quote
from shared.protocol.values import Replica as Value
from workplace.engine.cells import parse
from workplace.engine.failures import Failure, WrongValue
from workplace.engine.layout import Aggregate, Key, Part, Table, captured_json
from workplace.engine.records import Document, column, part, read_key
from workplace.engine.replica import Replica


@dataclass(frozen=True)
class LineEdit:
    """One line of a part table to be added, changed or removed. `key` and `cells` as typed."""

    action: Literal["add", "change", "remove"]
    part: str
    key: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)


def create(replica: Replica, of: Aggregate, cells: Mapping[str, str], lines: Sequence[LineEdit] = ()) -> Key:
    """A new aggregate; returns its key. An uuid that is left out is made, a leased key and a number fill themselves."""
    row = _typed(of.root, cells)
    _require_writable(of)
    if of.organisation_column and of.organisation_column not in row:
        organisations = replica.get("organisations") or []
        if len(organisations) == 1:
            row[of.organisation_column] = parse(column(of.root, of.organisation_column), str(organisations[0]))
    with _saving(replica) as connection:
        key = _insert(connection, of.root, row, recorded_as=of.root.name)
        for line in lines:
            _edit_line(connection, part(of, line.part), key, line)
    return key


def change(replica: Replica, document: Document, cells: Mapping[str, str], lines: Sequence[LineEdit] = ()) -> None:
    """Changes cells and lines of an aggregate."""
    of = document.aggregate
    row = _typed(of.root, cells)
    _require_writable(of)
    with _saving(replica) as connection:
        # Lines first: a changed key would take them along.
        for line in lines:
            _edit_line(connection, part(of, line.part), document.key, line)
        if row:
            _update(connection, of.root, document.key, row)


def delete(replica: Replica, document: Document) -> None:
    """Deletes an aggregate with all its lines."""
    _require_writable(document.aggregate)
    root = document.aggregate.root
    with _saving(replica) as connection:
        connection.execute(f"DELETE FROM {quote(root.name)} WHERE {root.key_is}", document.key)


def _edit_line(connection: sqlite3.Connection, of: Part, root_key: Key, line: LineEdit) -> None:
    parent = {of.parent: root_key[0]}
    row = _typed(of.table, line.cells)
    if line.action == "add":
        _insert(connection, of.table, {**row, **parent}, recorded_as=None)
        return
    key = read_key(of.table, line.key, parent)
    here = f"{of.table.key_is} AND {quote(of.parent)} IS ?"
    if line.action == "change":
        names = ", ".join(f"{quote(name)} = ?" for name in row)
        done = connection.execute(
            f"UPDATE {quote(of.table.name)} SET {names} WHERE {here}", [*row.values(), *key, *root_key]
        )
    else:
        done = connection.execute(f"DELETE FROM {quote(of.table.name)} WHERE {here}", [*key, *root_key])
    if done.rowcount == 0:
        raise WrongValue("no_such_record", line.key, table=of.table.name)


def _update(connection: sqlite3.Connection, table: Table, key: Key, row: Mapping[str, Value]) -> None:
    names = ", ".join(f"{quote(name)} = ?" for name in row)
    connection.execute(f"UPDATE {quote(table.name)} SET {names} WHERE {table.key_is}", [*row.values(), *key])


def _insert(connection: sqlite3.Connection, table: Table, row: dict[str, Value], *, recorded_as: str | None) -> Key:
    for name in table.key:
        if row.get(name) is None and table.by_name[name].type == "uuid":
            row[name] = str(uuid4())
    names = ", ".join(quote(name) for name in row)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})", list(row.values()))
    if recorded_as is None or all(row.get(name) is not None for name in table.key):
        return tuple(row.get(name) for name in table.key)
    # A leased key: only the triggers know it, and theirs is the newest change.
    (captured,) = connection.execute(
        "SELECT key FROM yurt_changes WHERE table_name = ? ORDER BY seq DESC LIMIT 1", (recorded_as,)
    ).fetchone()
    return table.key_from_captured(captured_json(captured))


def _typed(table: Table, cells: Mapping[str, str]) -> dict[str, Value]:
    row: dict[str, Value] = {}
    for name, text in cells.items():
        found = column(table, name)
        if found.generated:
            raise WrongValue("generated_column", name, column=name)
        row[name] = parse(found, text)
        if row[name] is None and not found.nullable and name not in table.key:
            raise WrongValue("required", name, column=name)
    return row


def _require_writable(of: Aggregate) -> None:
    if of.access == "read_only":
        raise Failure("read_only", of.root.name)


@contextmanager
def _saving(replica: Replica) -> Iterator[sqlite3.Connection]:
    try:
        with replica.writing() as connection:
            yield connection
    except sqlite3.IntegrityError as error:
        text = str(error)
        codes = {
            "no free keys": "no_free_keys",
            "FOREIGN KEY": "foreign_key_violation",
            "UNIQUE": "unique_violation",
            "NOT NULL": "not_null_violation",
        }
        code = next((code for sign, code in codes.items() if sign in text), "application_error")
        raise Failure(code, json.dumps(text, ensure_ascii=False)) from error
