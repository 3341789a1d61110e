"""Reading what a test looks at."""

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

Database = psycopg.Connection[tuple[Any, ...]]


def one(database: Database, query: LiteralString, *values: object) -> Any:
    """The only value of the only row."""
    (row,) = database.execute(query, values).fetchall()
    (value,) = row
    return value


def tables(database: Database) -> list[str]:
    """The application's tables, in the order of their names."""
    found = database.execute(
        "select table_name from information_schema.tables"
        " where table_schema = 'public' and table_type = 'BASE TABLE' order by 1"
    )
    return [name for (name,) in found]


def fingerprints(database: Database, names: Sequence[str]) -> dict[str, tuple[int, str]]:
    """For each table the number of its rows and the md5 of all of them in order, every column as text."""
    query = "select count(*), coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '') from {} t"
    return {
        name: row for name in names for row in database.execute(sql.SQL(query).format(sql.Identifier(name))).fetchall()
    }
