"""What the service has not taken yet. A delta overwrites none of it."""

import json
import sqlite3
from typing import Any

from workplace.engine import outbox, problems
from workplace.engine.freeze import count_changes
from workplace.engine.layout import Key, Layout, Table

Unsent = dict[str, set[Key]]


def count_unsent(connection: sqlite3.Connection) -> int:
    """Aggregates that were edited or wait in the outbox: the `pending` of an opening."""
    return count_changes(connection) + outbox.count_aggregates(connection)


def is_anything_unsent(connection: sqlite3.Connection) -> bool:
    """Whether the replica differs from what the service can know, local problems included."""
    return bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM yurt_changes) OR EXISTS (SELECT 1 FROM yurt_outbox)"
            " OR EXISTS (SELECT 1 FROM yurt_problems WHERE kind = 'local' AND state = 'open')"
        ).fetchone()[0]
    )


def unsent_keys(connection: sqlite3.Connection, layout: Layout) -> Unsent:
    """The keys of those aggregates by table, in replica values."""
    found = _edited(connection, layout, "SELECT table_name, key FROM yurt_changes")
    lines = [line for message in outbox.all_held(connection) for line in message.lines()]
    for line in [*lines, *problems.local_problems(connection).values()]:
        if line["table"] in layout:
            found.setdefault(line["table"], set()).add(_key(layout[line["table"]].root, line["key"]))
    return found


def made_keys(connection: sqlite3.Connection, layout: Layout) -> Unsent:
    """Of those the keys of aggregates that were made here since: deleted again they leave nothing to send."""
    return _edited(connection, layout, "SELECT table_name, key FROM yurt_changes WHERE base IS NULL")


def _edited(connection: sqlite3.Connection, layout: Layout, query: str) -> Unsent:
    found: Unsent = {}
    for table, key in connection.execute(query):
        if table in layout:
            root = layout[table].root
            found.setdefault(table, set()).add(_key(root, root.captured_to_wire(json.loads(key))))
    return found


def _key(root: Table, key: dict[str, Any]) -> Key:
    """The key in replica values. Frozen under an older version it may name its columns otherwise: then by place."""
    values = [key[name] for name in root.key] if set(root.key) <= key.keys() else list(key.values())
    try:
        return root.key_from_wire(dict(zip(root.key, values, strict=False)))
    except (KeyError, ValueError, TypeError):  # some program wrote what is no value of this type; it is found as it is
        return tuple(values)
