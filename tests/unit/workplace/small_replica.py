"""A small replica by the real generator, without a database: customers, goods with leased keys, orders with lines."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from shared.protocol.digest import quote
from shared.replication import image, replica_schema, replica_triggers
from shared.replication.manifest import parse
from shared.replication.model import Column, ForeignKey, Model, Root, Table

WORKPLACE: Mapping[str, Any] = {
    "service": "http://127.0.0.1:9",
    "workplace": "11111111-2222-3333-4444-555555555555",
    "name": "Склад Алматы",
    "application": "trade",
    "configuration": "small",
    "version": "1.0.0",
    "prefix": "B",
    "organisations": None,
    "generation": "g1",
    "position": "p0",
    "scope_version": 1,
    "platform": ">=3.11",
    "created_at": "2026-01-02T03:04:05.000000Z",
}

_MANIFEST = """
[configuration]
name = "small"
version = "1.0.0"
title = { en = "Small", ru = "Малое", kk = "Шағын" }
platform = ">=3.11"
isolation = "database"

[[aggregates]]
table = "customers"
key = ["id"]
keys = "natural"
"""


def make_replica(folder: Path, service: str = "http://127.0.0.1:9", **changed: Any) -> Path:
    """The path of `infobase.db` in `folder`, laid out as a package."""
    place = folder / "InfoBase"
    place.mkdir(parents=True, exist_ok=True)
    path = place / "infobase.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")
        db.executescript(replica_schema.own_tables())
        for statement in replica_schema.scratch_tables(MODEL):
            db.execute(statement)
        db.executemany("INSERT INTO yurt_columns VALUES (?, ?, ?, ?, ?, ?, ?)", replica_schema.column_rows(MODEL))
        db.executemany(
            "INSERT INTO yurt_aggregates VALUES (?, ?, ?, ?, ?, ?, ?, ?)", replica_schema.aggregate_rows(MODEL)
        )
        for table in MODEL.tables:
            db.execute(replica_schema.table(table))
            for index in replica_schema.indexes(table):
                db.execute(index)
        db.execute("INSERT INTO yurt_paused VALUES (1)")
        _fill(db)
        db.execute("DELETE FROM yurt_paused")
        for trigger in replica_triggers.triggers(MODEL):
            db.execute(trigger)
    workplace = {**WORKPLACE, "service": service, **changed}
    image.personalise(path, workplace, {"goods": {"column": "id", "spans": [[100, 109]]}})
    return path


def _fill(db: sqlite3.Connection) -> None:
    def put(table: str, *rows: tuple[Any, ...]) -> None:
        for row in rows:
            db.execute(f"INSERT INTO {quote(table)} VALUES ({', '.join('?' * len(row))})", row)

    put("customers", ("ALFKI", "Alfreds Futterkiste", None, 1), ("БЕРЁЗ", "Берёзка", b"\x01\xff", 0))
    put("goods", (1, "Чай", "12.50", 0.1), (2, "Кофе", "99.90", None))
    put("orders", ("o1", "B-1", "ALFKI", "2026-01-05", "125.00", "first"), ("o2", "B-2", "ALFKI", None, "0.00", None))
    put("order_lines", ("l1", "o1", 1, 10, "12.50"), ("l2", "o1", 2, 1, "99.90"), ("l3", "o2", 1, 1, "12.50"))


def _table(
    name: str, columns: str, key: str, *, parent: str | None = None, leased: str | None = None, **foreign: str
) -> Table:
    """`columns`: `name:type`, `?` behind a nullable one, `=` behind a generated one."""
    listed = []
    for ordinal, text in enumerate(columns.split("; "), 1):
        column, type_text = text.split(":")
        listed.append(
            Column(
                column, type_text.rstrip("?="), type_text.rstrip("?="), ordinal, type_text.endswith("?"),
                type_text.endswith("="), 1 if column == key else None, None, None,
            )
        )  # fmt: skip
    return Table(
        schema="public",
        name=name,
        columns=tuple(listed),
        key=tuple(column for column in listed if column.key_ordinal),
        keys="range" if leased else "natural",
        parent=parent,
        leased=leased,
        references=tuple(foreign.values()),
        foreign_keys=tuple(ForeignKey((column,), target, ("id",)) for column, target in foreign.items()),
        indexes=((parent,),) if parent else (),
        leaves=(),
    )


def _root(table: Table, *parts: Table, number: str | None = None, access: str = "read_write") -> Root:
    return Root(table, parts, None, access, "service_wins", number, None, None)


MODEL = Model(
    parse(_MANIFEST),
    None,
    (
        _root(_table("customers", "id:text; name:character varying(40); stamp:bytea?; active:boolean", "id")),
        _root(
            _table("goods", "id:integer; name:text; price:numeric(12,2); weight:double precision?", "id", leased="id")
        ),
        _root(
            _table(
                "orders",
                "id:text; number:text?; customer_id:text; ordered_on:date?; total:numeric(12,2)=; note:text?",
                "id",
                customer_id="customers",
            ),
            _table(
                "order_lines",
                "id:text; order_id:text; good_id:integer; quantity:integer; price:numeric(12,2)",
                "id",
                parent="order_id",
                order_id="orders",
                good_id="goods",
            ),
            number="number",
        ),
        _root(_table("rates", "id:text; value:numeric?", "id"), access="read_only"),
    ),
    "",
)
