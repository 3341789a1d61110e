"""What a delta brought for aggregates that were made here and are unsent: kept until they are sent.

One that is deleted again before it was sent leaves no change, so nothing is sent. What the service has under its key
was passed over meanwhile, and no delta brings it again: then it is taken from here.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from workplace.engine.problems import key_text


def keep(connection: sqlite3.Connection, line: Mapping[str, Any]) -> None:
    """A line of a delta that was passed over; it takes the place of an earlier one."""
    connection.execute(
        "INSERT OR REPLACE INTO yurt_passed (table_name, key, line) VALUES (?, ?, ?)",
        (line["table"], key_text(line["key"]), json.dumps(line)),
    )


def drop(connection: sqlite3.Connection, table: str, key: Mapping[str, Any]) -> None:
    """The aggregate is sent: what the service makes of it comes with a delta."""
    connection.execute("DELETE FROM yurt_passed WHERE table_name = ? AND key = ?", (table, key_text(key)))


def clear(connection: sqlite3.Connection) -> None:
    """Everything comes anew."""
    connection.execute("DELETE FROM yurt_passed")


def is_any(connection: sqlite3.Connection) -> bool:
    """Whether anything is kept."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM yurt_passed)").fetchone()[0])


def lines(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """All that is kept."""
    for (line,) in connection.execute("SELECT line FROM yurt_passed").fetchall():
        yield json.loads(line)
