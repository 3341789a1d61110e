"""Values of every type: service, wire, replica and digest tell the same."""

import json
import math
import random
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from shared.protocol.digest import table_digests
from shared.protocol.values import from_wire, kind, to_wire
from shared.replication import capture, image
from shared.replication.digest import service_digests
from shared.replication.expressions import from_wire as from_document
from shared.replication.expressions import json_object, quote
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.scope import Scope, organisations
from shared.replication.session import connect
from shared.replication.wire_values import check_row, for_database
from tests.integration.replication import every_type

ALL = Scope(None)
QUOTED = """
CREATE SCHEMA "the 1%'s"; SET search_path = "the 1%'s";
CREATE TABLE "Фирмы %" ("Ключ %" text PRIMARY KEY, "имя'%s" text);
CREATE TABLE "order" ("select" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "фирма %" text REFERENCES "Фирмы %", "скидка 100%" numeric);
CREATE TABLE "order lines" ("select %" integer REFERENCES "order", "№" smallint, "x %s" text,
    PRIMARY KEY ("select %", "№"));
INSERT INTO "Фирмы %" VALUES ('а%', 'А'), ('б', 'Б');
INSERT INTO "order" ("фирма %", "скидка 100%") VALUES ('а%', 5), ('б', 6);
INSERT INTO "order lines" VALUES (1, 1, 'one'), (1, 2, NULL), (2, 1, '%s');
RESET search_path
"""
QUOTED_MANIFEST = """
[configuration]
name = "quoted"
version = "1"
title = { en = "Quoted" }
schema = "the 1%'s"

[organisations]
table = "Фирмы %"
key = "Ключ %"
title = "имя'%s"

[[aggregates]]
table = "Фирмы %"
key = ["Ключ %"]
keys = "natural"

[[aggregates]]
table = "order"
key = ["select"]
keys = "range"
organisation = "фирма %"
parts = [ { table = "order lines", key = ["select %", "№"], parent = "select %" } ]
"""
_FLOAT = {"real", "text"}
TYPEOF = {"integer": {"integer"}, "boolean": {"integer"}, "real": _FLOAT, "double": _FLOAT, "bytea": {"blob"}}


@pytest.fixture
def database(fresh_database: str) -> Iterator[tuple[psycopg.Connection[Any], Model]]:
    with connect(fresh_database) as conn:
        conn.execute(every_type.SCHEMA.encode())
        for statement in every_type.inserts():
            conn.execute(statement.encode())
        model = load(conn, parse(every_type.MANIFEST), None)
        capture.install(conn, "app", model)
        yield conn, model


def test_an_image_of_every_type_has_the_digests_of_the_database(
    database: tuple[psycopg.Connection[Any], Model], tmp_path: Path
) -> None:
    conn, model = database
    built = image.build(conn, model, ALL, tmp_path / "replica.db", lambda *_: None)
    image.verify(tmp_path / "replica.db", built.digests)
    with closing(sqlite3.connect(tmp_path / "replica.db")) as replica:
        assert table_digests(replica, buckets=True) == service_digests(conn, model, ALL, buckets=True)


def test_wire_values_become_exactly_the_replica_s_values_and_back(
    database: tuple[psycopg.Connection[Any], Model], tmp_path: Path
) -> None:
    conn, model = database
    table = model.tables[0]
    image.build(conn, model, ALL, tmp_path / "replica.db", lambda *_: None)
    wire_rows = {
        row["id"]: row
        for (line,) in conn.execute(f"SELECT {json_object(table.columns, 't')} FROM every_type t".encode())
        for row in [json.loads(line)]
    }
    wrong: list[tuple[Any, ...]] = []
    with closing(sqlite3.connect(tmp_path / "replica.db")) as replica:
        for column in table.columns:
            name = column.name.replace('"', '""')
            for key, value, stored in replica.execute(f'SELECT id, "{name}", typeof("{name}") FROM every_type'):
                wire = wire_rows[key][column.name]
                if from_wire(column.type, wire) != value or not _same(to_wire(column.type, value), wire):
                    wrong.append((column.name, wire, from_wire(column.type, wire), value, to_wire(column.type, value)))
                allowed = {"null"} if wire is None else TYPEOF.get(kind(column.type), {"text"})
                if stored not in allowed:
                    wrong.append((column.name, wire, stored))
    assert wrong == []


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and (type(one) is type(other) or {type(one), type(other)} == {int, float})


def test_float_arrays_are_spelt_as_the_database_prints_them(database: tuple[psycopg.Connection[Any], Model]) -> None:
    conn, _ = database
    rng = random.Random(2)
    numbers = [struct.unpack(">d", rng.randbytes(8))[0] for _ in range(3000)]
    numbers += [digits * 10.0**power for digits in (1, 1.5, 123456, 0.1 + 0.2) for power in range(-12, 22)]
    for cast, type_text, wanted in (
        ("float8", "double precision[]", [number for number in numbers if math.isfinite(number)]),
        ("float4", "real[]", [number for number in numbers if 1e-37 < abs(number) < 1e37]),
    ):
        printed = conn.execute(
            f"SELECT yurt.wire_array(array_to_json(%s::float8[]::{cast}[]), 'float')".encode(), [wanted]
        ).fetchone()
        assert printed is not None
        assert from_wire(type_text, json.loads(printed[0])) == printed[0]


def test_a_database_in_another_encoding_gives_the_same_replica(postgres_url: str, tmp_path: Path) -> None:
    name = f"yurt_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} ENCODING 'WIN1251' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            with connect(urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))) as conn:
                conn.execute("CREATE TABLE every_type (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text)")
                conn.execute("INSERT INTO every_type (body) VALUES ('Счёт № 5'), ('plain')")
                model = load(conn, parse(every_type.MANIFEST), None)
                capture.install(conn, "app", model)
                built = image.build(conn, model, ALL, tmp_path / "replica.db", lambda *_: None)
                image.verify(tmp_path / "replica.db", built.digests)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_quoted_names_and_percent_signs_are_served_whole(fresh_database: str, tmp_path: Path) -> None:
    with connect(fresh_database) as conn:
        conn.execute(QUOTED.encode())
        model = load(conn, parse(QUOTED_MANIFEST), None)
        capture.install(conn, "app", model)
        built = image.build(conn, model, Scope(("а%",)), tmp_path / "replica.db", lambda *_: None)
        image.verify(tmp_path / "replica.db", built.digests)
        assert built.rows == {"Фирмы %": 1, "order": 1, "order lines": 2}
        assert organisations(conn, model) == [{"key": "а%", "title": "А"}, {"key": "б", "title": "Б"}]
        conn.execute("""UPDATE "the 1%'s"."order lines" SET "x %s" = 'new' WHERE "select %" = 2""")
        assert conn.execute("SELECT table_name, key FROM yurt.history").fetchall() == [("order", ["2"])]


def test_every_wire_value_is_accepted_and_written_as_the_row_it_came_from(
    database: tuple[psycopg.Connection[Any], Model],
) -> None:
    conn, model = database
    table = model.tables[0]
    # One zero only crosses the wire inside arrays; see the digest's rule for scalars.
    conn.execute(
        "UPDATE every_type SET reals = array_replace(reals, '-0', 0), doubles = array_replace(doubles, '-0', 0)"
    )
    wrong = []
    for (line,) in conn.execute(f"SELECT {json_object(table.columns, 't')} FROM every_type t".encode()).fetchall():
        row = for_database(table, check_row(table, json.loads(line)))
        values = ", ".join(from_document(column, "document") for column in table.writable)
        names = ", ".join(quote(column.name) for column in table.writable)
        with conn.transaction(force_rollback=True):
            conn.execute("DELETE FROM every_type WHERE id = %s", [row["id"]])
            conn.execute(
                f"INSERT INTO every_type ({names}) OVERRIDING SYSTEM VALUE"
                f" SELECT {values} FROM (VALUES (%s::jsonb)) AS documents(document)".encode(),
                [json.dumps(row)],
            )
            again = conn.execute(
                f"SELECT {json_object(table.columns, 't')} FROM every_type t WHERE id = %s".encode(), [row["id"]]
            ).fetchone()
        assert again is not None
        before, after = json.loads(line), json.loads(again[0])
        wrong += [(name, before[name], after[name]) for name in before if repr(before[name]) != repr(after[name])]
    assert wrong == []
