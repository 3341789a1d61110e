"""A small application of this folder's tests: two organisations, orders with lines."""

from dataclasses import dataclass, field
from typing import Any

import psycopg

from shared.replication import capture, manifest, model, session

MANIFEST = """
[configuration]
name = "stall"
version = "1.0.0"
title = { en = "Market stall" }

[organisations]
table = "organisations"
key = "id"
title = "name"

[[aggregates]]
table = "organisations"
key = ["id"]
keys = "natural"

[[aggregates]]
table = "goods"
key = ["id"]
keys = "natural"

[[aggregates]]
table = "orders"
key = ["id"]
keys = "range"
organisation = "organisation_id"
exclude = ["secret"]
parts = [ { table = "order_lines", key = ["order_id", "line"], parent = "order_id" } ]
"""

SCHEMA = """
CREATE TABLE organisations (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE goods (id text PRIMARY KEY, name text NOT NULL, price numeric(12, 2) NOT NULL);
CREATE TABLE orders (
    id serial PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES organisations,
    ordered_on date NOT NULL,
    note text,
    secret text
);
CREATE TABLE order_lines (
    order_id integer REFERENCES orders ON DELETE CASCADE,
    line integer,
    good_id text NOT NULL REFERENCES goods,
    quantity double precision NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO organisations VALUES ('north', 'Север'), ('south', 'Оңтүстік');
INSERT INTO goods SELECT 'g' || n, 'Good ' || n, n / 7.0 FROM generate_series(1, 20) n;
"""

ORDERS = """
WITH made AS (
    INSERT INTO orders (organisation_id, ordered_on, note, secret)
    SELECT CASE n %% 3 WHEN 0 THEN 'north' ELSE 'south' END, date '2026-01-01' + n %% 300, md5(n::text), 'do not tell'
    FROM generate_series(1, %s) n
    RETURNING id
)
INSERT INTO order_lines SELECT id, line, 'g' || 1 + (id + line) %% 20, line / 3.0 FROM made, generate_series(1, 2) line
"""


@dataclass
class Application:
    """`described` is what provisioning answers about it; a test may change that."""

    url: str
    code: str = "stall"
    described: dict[str, Any] = field(default_factory=dict)

    def attach(self, orders: int) -> None:
        """Make the tables with so many orders and attach them."""
        with session.connect(self.url) as conn:
            conn.execute(SCHEMA)
            conn.execute(ORDERS, [orders])
            conn.commit()
            capture.install(conn, self.code, model.load(conn, manifest.parse(MANIFEST), None))
        self.described = {
            "manifest": MANIFEST,
            "connection": "stall",
            "area": None,
            "configuration": "stall",
            "version": "1.0.0",
            "platform": ">=3.11",
            "title": "Market stall",
            "subscriber": "somebody",
        }

    def execute(self, statement: str) -> None:
        """Run a statement in the application's database, committed."""
        with psycopg.connect(self.url) as conn:
            conn.execute(statement.encode())

    def rows(self, organisation: str | None = None) -> dict[str, int]:
        """Rows per table as PostgreSQL has them, of one organisation or all."""
        own = "WHERE %(o)s::text IS NULL OR organisation_id = %(o)s"
        statement = f"""
            SELECT (SELECT count(*) FROM organisations WHERE %(o)s::text IS NULL OR id = %(o)s),
                (SELECT count(*) FROM goods), (SELECT count(*) FROM orders {own}),
                (SELECT count(*) FROM order_lines JOIN orders ON id = order_id {own})"""
        with psycopg.connect(self.url) as conn:
            counted = conn.execute(statement.encode(), {"o": organisation}).fetchone()
        assert counted is not None
        return dict(zip(("organisations", "goods", "orders", "order_lines"), counted, strict=True))
