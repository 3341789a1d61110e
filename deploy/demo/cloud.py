"""The application in the cloud: its database filled, edited and asked, by SQL only, as its own users would."""

import os
import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.demo.narrator import StoryBroken
from deploy.demo.plot import Plot
from deploy.stack.stack import Stack

ROOT = Path(__file__).parent.parent.parent
NORTHWIND = ROOT.parent / "shared" / "data" / "northwind" / "northwind.sql"


class DataMissing(StoryBroken):
    """The data of this story are not on this computer."""


def sources(plot: Plot) -> list[Path]:
    """The SQL files that fill the database; raises `DataMissing` for those kept elsewhere and absent."""
    folder = ROOT / "applications" / plot.application
    if plot.load:
        return [folder / name for name in plot.load]
    file = Path(os.environ.get("NORTHWIND_SQL") or NORTHWIND)
    if not file.exists():
        raise DataMissing(
            f"The story on Northwind could not be told: its data are not at {file}. They are under another licence and "
            "not part of this repository; name the public northwind.sql by NORTHWIND_SQL."
        )
    return [file]


def fill(stack: Stack, plot: Plot) -> dict[str, int]:
    """Makes the application's database anew and loads it; what `plot.measure` counts in it."""
    files = sources(plot)
    database = stack.demo_database(plot.application)
    name = sql.Identifier(database)
    with psycopg.connect(stack.postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
    with psycopg.connect(stack.database_url(database), autocommit=True) as connection:
        for file in files:
            connection.execute(file.read_bytes())
        if plot.after_load:
            connection.execute(plot.after_load.encode())
        connection.execute("ANALYZE")
        cursor = connection.execute(plot.measure.encode())
        row = cursor.fetchone()
        assert row is not None
        assert cursor.description is not None
        return {column.name: value for column, value in zip(cursor.description, row, strict=True)}


class Cloud:
    """A connection into the application's database; `:name` in its SQL stands for a picked value."""

    def __init__(self, url: str, picks: dict[str, Any]) -> None:
        self._url = url
        self._picks = picks

    def edit(self, statement: str) -> None:
        """One statement in a transaction of its own."""
        with self._connect() as connection:
            connection.execute(*self._bound(statement))

    def asked(self, query: str) -> Any:
        """The only value of a query; None without a row."""
        with self._connect() as connection:
            row = connection.execute(*self._bound(query)).fetchone()
            return row[0] if row else None

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, options="-c search_path=public")

    def _bound(self, statement: str) -> tuple[bytes, dict[str, Any]]:
        escaped = statement.replace("%", "%%")
        return re.sub(r"(?<![:\w]):([a-z_]+)", r"%(\1)s", escaped).encode(), self._picks
