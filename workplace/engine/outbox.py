"""Messages that wait for their answer. Called inside a transaction of the caller, except where it only reads."""

import json
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import Any


@dataclass(frozen=True)
class Held:
    """A frozen message. `body` is NDJSON, `digest` its SHA-256 in lower-case hex."""

    number: int
    body: bytes
    digest: str
    version: str

    def lines(self) -> list[dict[str, Any]]:
        """The aggregates inside, in wire values."""
        return [json.loads(line) for line in self.body.splitlines()]


def held(connection: sqlite3.Connection) -> list[int]:
    """The numbers that are held, in order."""
    return [number for (number,) in connection.execute("SELECT message FROM yurt_outbox ORDER BY message")]


def first(connection: sqlite3.Connection) -> Held | None:
    """The message to be sent next."""
    row = connection.execute(
        "SELECT message, body, digest, version FROM yurt_outbox ORDER BY message LIMIT 1"
    ).fetchone()
    return None if row is None else Held(row[0], bytes(row[1]), row[2], row[3])


def find(connection: sqlite3.Connection, number: int) -> Held | None:
    """The message held under a number."""
    row = connection.execute("SELECT body, digest, version FROM yurt_outbox WHERE message = ?", (number,)).fetchone()
    return None if row is None else Held(number, bytes(row[0]), row[1], row[2])


def all_held(connection: sqlite3.Connection) -> list[Held]:
    """Every held message."""
    rows = connection.execute("SELECT message, body, digest, version FROM yurt_outbox ORDER BY message").fetchall()
    return [Held(number, bytes(body), digest, version) for number, body, digest, version in rows]


def count_aggregates(connection: sqlite3.Connection) -> int:
    """How many aggregates are held."""
    bodies = connection.execute("SELECT body FROM yurt_outbox")
    return sum(bytes(body).count(b"\n") for (body,) in bodies)


def store(connection: sqlite3.Connection, number: int, lines: list[bytes], version: str) -> None:
    """Holds a new message; each line ends with its newline."""
    body = b"".join(lines)
    connection.execute(
        "INSERT INTO yurt_outbox (message, body, digest, version) VALUES (?, ?, ?, ?)",
        (number, body, sha256(body).hexdigest(), version),
    )


def drop(connection: sqlite3.Connection, number: int) -> None:
    """Forgets a message that has its answer."""
    connection.execute("DELETE FROM yurt_outbox WHERE message = ?", (number,))


def renumber(connection: sqlite3.Connection, first_number: int) -> None:
    """Gives the held messages the numbers from `first_number` on, in their order; bodies stay as they are."""
    numbers = held(connection)
    # Through negative numbers: the number is a key, and old and new ranges overlap.
    connection.execute("UPDATE yurt_outbox SET message = -message")
    connection.executemany(
        "UPDATE yurt_outbox SET message = ? WHERE message = ?",
        [(first_number + place, -number) for place, number in enumerate(numbers)],
    )


def halve(connection: sqlite3.Connection, message: Held) -> None:
    """Two messages in place of one of several aggregates: the second waits under the following number."""
    lines = message.body.splitlines(keepends=True)
    middle = len(lines) // 2
    behind = [number for number in held(connection) if number > message.number]
    drop(connection, message.number)
    connection.executemany(
        "UPDATE yurt_outbox SET message = ? WHERE message = ?", [(number + 1, number) for number in reversed(behind)]
    )
    store(connection, message.number, lines[:middle], message.version)
    store(connection, message.number + 1, lines[middle:], message.version)
