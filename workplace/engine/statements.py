"""An SQL script as single statements: `executescript` would commit the transaction it runs in."""

import re
import sqlite3
from collections.abc import Iterator

from workplace.engine.failures import UnexpectedAnswer


def statements(script: str) -> Iterator[str]:
    """The statements of a script. Raises UnexpectedAnswer for one that would end the caller's transaction."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield _checked(statement)
            statement = ""
    if statement.strip():
        yield _checked(statement)


def _checked(statement: str) -> str:
    text = re.sub(r"\A(\s+|--[^\n]*(\n|\Z)|/\*.*?\*/)*", "", statement, flags=re.DOTALL)
    if re.match(r"(BEGIN|COMMIT|END|ROLLBACK)\b", text, re.IGNORECASE):
        raise UnexpectedAnswer("damaged_schema", text[:60])
    return statement
