"""A replica file without a service behind it: shops that own orders with lines and tags, and customers."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from shared.replication import blueprint
from shared.replication.image import personalise
from shared.replication.manifest import Manifest, parse
from shared.replication.model import Column, ForeignKey, Model, Root, Table

MANIFEST = """
[configuration]
name = "shops"
version = "1.0.0"
title = { en = "Shops" }

[organisations]
table = "shops"
key = "id"
title = "id"

[[aggregates]]
table = "shops"
key = ["id"]
keys = "natural"

[[aggregates]]
table = "customers"
key = ["country", "code"]
keys = "natural"

[[aggregates]]
table = "orders"
key = ["id"]
keys = "range"
organisation = "shop"
number = { column = "number" }
parts = [
    { table = "lines", key = ["id"], keys = "range", parent = "order_id" },
    { table = "tags", key = ["order_id", "it's a tag"], parent = "order_id" },
]
"""

POSITION = "10:10:"
PREFIX = "K"


def create(path: Path, ranges: Mapping[str, Sequence[tuple[int, int]]]) -> sqlite3.Connection:
    """An empty replica; `ranges` are the leased spans of `orders` and `lines`. The caller closes it."""
    model = shops()
    connection = sqlite3.connect(path, isolation_level=None)
    blueprint.create_tables(connection, model)
    for statement in blueprint.finishing(model):
        connection.execute(statement)
    leases = {table: {"column": "id", "spans": [list(span) for span in spans]} for table, spans in ranges.items()}
    personalise(path, {"position": POSITION, "prefix": PREFIX, "user": "anna"}, leases)
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def columns_of(table: str) -> list[str]:
    """Column names in catalogue order."""
    return [column.name for column in next(found for found in shops().tables if found.name == table).columns]


def freeze(connection: sqlite3.Connection, position: str) -> None:
    """As after a push and a pull in which nothing came back."""
    connection.execute("DELETE FROM yurt_changes")
    connection.execute("UPDATE yurt_workplace SET value = ? WHERE key = 'position'", [json.dumps(position)])


@cache
def shops() -> Model:
    """The model of these tables, as `model.load` would make it."""
    manifest: Manifest = parse(MANIFEST)
    orders = Root(
        table=_table("orders", {"id": "integer", "shop": "text", "number": "character varying(20)", "note": "text",
                                "total": "double precision", "paid": "boolean", "scan": "bytea"}, ["id"], leased="id"),
        parts=(
            _table("lines", {"id": "bigint", "order_id": "integer", "what": "text", "quantity": "numeric(10,3)"},
                   ["id"], leased="id", parent="order_id"),
            _table("tags", {"order_id": "integer", "it's a tag": "text", "weight": "real"}, ["order_id", "it's a tag"],
                   parent="order_id"),
        ),
        organisation="shop", access="read_write", policy="service_wins", number="number", closed=None, title="number",
    )  # fmt: skip
    named = {"country": "smallint", "code": "text", "name": "text"}
    customers = _plain_root(_table("customers", named, ["country", "code"]))
    own = _plain_root(_table("shops", {"id": "text"}, ["id"]), "id")
    return Model(manifest, None, (own, customers, orders), "")


def _plain_root(table: Table, organisation: str | None = None) -> Root:
    return Root(table, (), organisation, "read_write", "service_wins", None, None, None)


def _table(
    name: str, types: Mapping[str, str], key: list[str], *, leased: str | None = None, parent: str | None = None
) -> Table:
    columns = tuple(
        Column(
            name=column, type=type_text, cast=type_text, ordinal=at, nullable=column not in key, generated=False,
            key_ordinal=key.index(column) + 1 if column in key else None, default=None, default_expression=None,
        )
        for at, (column, type_text) in enumerate(types.items(), start=1)
    )  # fmt: skip
    by_name = {column.name: column for column in columns}
    return Table(
        schema="public", name=name, columns=columns, key=tuple(by_name[column] for column in key),
        keys="range" if leased else "natural", parent=parent, leased=leased, references=(),
        foreign_keys=_to_order(parent), indexes=((parent,),) if parent and len(key) == 1 else (), leaves=(),
    )  # fmt: skip


def _to_order(parent: str | None) -> tuple[ForeignKey, ...]:
    return (ForeignKey((parent,), "orders", ("id",)),) if parent else ()
