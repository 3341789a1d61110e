"""An SQL script as single statements: `executescript` would commit the transaction it runs in."""

import re
import sqlite3
from collections.abc import Iterator

_ENDS_TRANSACTION = re.compile(r"(BEGIN|COMMIT|END|ROLLBACK)\b", re.IGNORECASE)
_SPACE_AND_COMMENTS = re.compile(r"\A(\s+|--[^\n]*(\n|\Z)|/\*.*?\*/)*", re.DOTALL)


class EndsTransaction(ValueError):
    """A statement that would begin or end the transaction the script is run in."""


def statements(script: str) -> Iterator[str]:
    """The statements of a script, without empty ones. Raises `EndsTransaction`."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield from _checked(statement)
            statement = ""
    yield from _checked(statement)


def _checked(statement: str) -> Iterator[str]:
    text = _SPACE_AND_COMMENTS.sub("", statement)
    if _ENDS_TRANSACTION.match(text):
        raise EndsTransaction(text[:60])
    if text.strip("; \t\r\n"):
        yield statement
