"""Reading the application's rows: lists and whole aggregates."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.protocol.digest import quote
from shared.protocol.values import Replica as Value
from workplace.engine.cells import parse
from workplace.engine.failures import WrongValue
from workplace.engine.layout import Aggregate, Column, Key, Part, Row, Table
from workplace.engine.replica import Replica


@dataclass(frozen=True)
class Document:
    """An aggregate: its row, and its lines by part table."""

    aggregate: Aggregate
    key: Key
    row: Row
    parts: dict[str, list[Row]]


def aggregate(replica: Replica, name: str) -> Aggregate:
    """The aggregate of a root table. Raises WrongValue `unknown_table`."""
    found = replica.layout.get(name)
    if found is None:
        raise WrongValue("unknown_table", name, known=sorted(replica.layout))
    return found


def column(table: Table, name: str) -> Column:
    """A column of a table. Raises WrongValue `unknown_column`."""
    found = table.by_name.get(name)
    if found is None:
        raise WrongValue("unknown_column", name, column=name, table=table.name, known=list(table.names))
    return found


def count_rows(replica: Replica) -> dict[str, int]:
    """Rows of each root table."""
    return {
        name: int(replica.connection.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()[0])
        for name in replica.layout
    }


def list_rows(replica: Replica, table: Table, where: Mapping[str, str], limit: int) -> list[Row]:
    """Rows in the order of their keys. A condition with `%` matches a pattern, others are equal to what was typed."""
    conditions: list[str] = []
    arguments: list[Value] = []
    for name, text in where.items():
        found = column(table, name)
        if "%" in text:
            conditions.append(f"{quote(name)} LIKE ?")
            arguments.append(text)
        else:
            conditions.append(f"{quote(name)} IS ?")
            arguments.append(parse(found, text))
    condition = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = ", ".join(quote(name) for name in table.key)
    rows = replica.connection.execute(f"{table.select}{condition} ORDER BY {order} LIMIT ?", [*arguments, limit])
    return [dict(zip(table.names, row, strict=True)) for row in rows]


def load(replica: Replica, of: Aggregate, key: Key) -> Document | None:
    """The aggregate under a key, or None."""
    row = replica.connection.execute(f"{of.root.select} WHERE {of.root.key_is}", key).fetchone()
    if row is None:
        return None
    parts = {
        part.table.name: [
            dict(zip(part.table.names, line, strict=True)) for line in replica.connection.execute(part.of_parent, key)
        ]
        for part in of.parts
    }
    return Document(of, key, dict(zip(of.root.names, row, strict=True)), parts)


def find(replica: Replica, of: Aggregate, text: str) -> Document:
    """The aggregate whose key (values with commas between) or number is `text`. Raises WrongValue `no_such_record`."""
    try:
        document = load(replica, of, read_key(of.root, text))
    except WrongValue:
        document = None
    if document is None and of.number_column:
        columns = ", ".join(quote(name) for name in of.root.key)
        row = replica.connection.execute(
            f"SELECT {columns} FROM {quote(of.root.name)} WHERE {quote(of.number_column)} = ?", (text,)
        ).fetchone()
        document = load(replica, of, row) if row else None
    if document is None:
        raise WrongValue("no_such_record", text, table=of.root.name)
    return document


def read_key(table: Table, text: str, given: Mapping[str, Value] | None = None) -> Key:
    """A key as a person types it; columns in `given` (a line's reference to its root) may be left out."""
    given = given or {}
    pieces = text.split(",") if len(table.key) > 1 else [text]
    names = list(table.key)
    if len(pieces) != len(names):
        names = [name for name in names if name not in given]
    if len(pieces) != len(names):
        raise WrongValue("wrong_key", text, table=table.name, known=list(table.key))
    typed = {name: parse(table.by_name[name], piece) for name, piece in zip(names, pieces, strict=True)}
    return tuple(typed[name] if name in typed else given[name] for name in table.key)


def part(of: Aggregate, name: str) -> Part:
    """A part table of an aggregate. Raises WrongValue `unknown_table`."""
    found = of.part(name)
    if found is None:
        raise WrongValue("unknown_table", name, known=[part.table.name for part in of.parts])
    return found
