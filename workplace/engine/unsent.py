"""What the service has not taken yet. A delta overwrites none of it."""

import json
import sqlite3

from workplace.engine import outbox, problems
from workplace.engine.freeze import count_changes
from workplace.engine.layout import Key, Layout

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
    found: Unsent = {}
    for table, key in connection.execute("SELECT table_name, key FROM yurt_changes"):
        if table in layout:
            found.setdefault(table, set()).add(layout[table].root.key_from_captured(json.loads(key)))
    lines = [line for message in outbox.all_held(connection) for line in message.lines()]
    for line in [*lines, *problems.local_problems(connection).values()]:
        if line["table"] in layout:
            found.setdefault(line["table"], set()).add(layout[line["table"]].root.key_from_wire(line["key"]))
    return found
