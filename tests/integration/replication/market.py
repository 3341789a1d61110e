"""An application made to be difficult: triggers of every temper, constraints of every kind, values of many types."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.replication import capture
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.session import connect

APPLICATION = "market"

SCHEMA = """
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN positive AS numeric(12, 2) CHECK (VALUE >= 0);

CREATE TABLE firms (id text PRIMARY KEY, title text NOT NULL);
CREATE TABLE closings (firm text PRIMARY KEY REFERENCES firms, until date NOT NULL);
CREATE TABLE units (code char(4) PRIMARY KEY, title text);
CREATE TABLE items (
    id uuid PRIMARY KEY, name text NOT NULL, shade colour, price positive, tags text[], photo bytea, thumbs bytea[],
    unit char(4) REFERENCES units, sold numeric NOT NULL DEFAULT 0, secret text DEFAULT 'kept',
    CONSTRAINT items_name UNIQUE (name)
);
CREATE TABLE partners (
    id uuid PRIMARY KEY, firm text NOT NULL REFERENCES firms, parent uuid REFERENCES partners, code text, name text,
    note text, weight double precision, UNIQUE (firm, code)
);
CREATE TABLE orders (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, firm text NOT NULL REFERENCES firms,
    number text NOT NULL UNIQUE, ordered_on date NOT NULL, partner uuid REFERENCES partners,
    total numeric(14, 2) NOT NULL DEFAULT 0, note text, internal text NOT NULL DEFAULT 'internal',
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE order_lines (
    order_id integer NOT NULL REFERENCES orders, no smallint NOT NULL, item uuid REFERENCES items, qty numeric(12, 3),
    price numeric(12, 2), note text, PRIMARY KEY (order_id, no)
);
CREATE TABLE order_marks (order_id integer NOT NULL REFERENCES orders, id integer PRIMARY KEY, length integer,
    doubled integer GENERATED ALWAYS AS (length * 2) STORED);
CREATE TABLE deals (id uuid PRIMARY KEY, firm text NOT NULL REFERENCES firms, offer uuid, note text);
CREATE TABLE offers (
    id uuid PRIMARY KEY, firm text NOT NULL REFERENCES firms, note text,
    upper_note text GENERATED ALWAYS AS (upper(note)) STORED,
    deal uuid REFERENCES deals DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE deals ADD FOREIGN KEY (offer) REFERENCES offers DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE rates (currency char(3), on_date date, rate numeric, PRIMARY KEY (currency, on_date));
CREATE TABLE visits (firm text NOT NULL REFERENCES firms, at timestamptz, level numeric(6, 2), note text,
    PRIMARY KEY (firm, at, level));

CREATE FUNCTION orders_temper() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'REFUSE' THEN RAISE EXCEPTION 'not this order'; END IF;
    IF NEW.note = 'CUSTOM' THEN RAISE EXCEPTION 'own code' USING ERRCODE = 'YU123'; END IF;
    IF NEW.note = 'BUG' THEN EXECUTE 'SELECT * FROM there_is_no_such_table'; END IF;
    IF NEW.note = 'SKIP' THEN RETURN NULL; END IF;
    NEW.note := regexp_replace(NEW.note, ' +', ' ', 'g');
    RETURN NEW;
END $$;
CREATE TRIGGER temper BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_temper();

CREATE FUNCTION totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE orders o SET total = coalesce((SELECT sum(qty * price) FROM order_lines l WHERE l.order_id = o.id), 0)
        WHERE o.id IN (SELECT order_id FROM removed);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE orders o SET total = coalesce((SELECT sum(qty * price) FROM order_lines l WHERE l.order_id = o.id), 0)
        WHERE o.id IN (SELECT order_id FROM added);
        UPDATE items i SET sold = i.sold + s.qty
        FROM (SELECT item, sum(qty) AS qty FROM added GROUP BY item) s WHERE s.item = i.id AND TG_OP = 'INSERT';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER totals_i AFTER INSERT ON order_lines REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION totals();
CREATE TRIGGER totals_u AFTER UPDATE ON order_lines REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION totals();
CREATE TRIGGER totals_d AFTER DELETE ON order_lines REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION totals();

INSERT INTO firms VALUES ('A', 'Alpha'), ('B', 'Beta'), ('C', 'Gamma');
INSERT INTO closings VALUES ('A', '2024-03-31');
INSERT INTO units VALUES ('kg', 'kilogram'), ('pc', 'piece');
INSERT INTO rates VALUES ('KZT', '2024-01-01', 1), ('USD', '2024-01-01', 450);
"""

MANIFEST = """
[configuration]
name = "market"
version = "2.0"
title = { en = "Market" }

[organisations]
table = "firms"
key = "id"
title = "title"

[[aggregates]]
table = "orders"
key = ["id"]
keys = "range"
organisation = "firm"
policy = "POLICY"
number = { column = "number" }
closed = { column = "ordered_on", table = "closings", organisation = "firm", until = "until" }
title = "number"
exclude = ["internal"]
within_scope = ["partner"]
parts = [ { table = "order_lines", key = ["order_id", "no"], parent = "order_id" },
          { table = "order_marks", key = ["id"], parent = "order_id" } ]

[[aggregates]]
table = "partners"
key = ["id"]
keys = "uuid"
organisation = "firm"
policy = "POLICY"
title = "name"

[[aggregates]]
table = "items"
key = ["id"]
keys = "uuid"
policy = "POLICY"
exclude = ["secret"]

[[aggregates]]
table = "units"
key = ["code"]
keys = "natural"

[[aggregates]]
table = "firms"
key = ["id"]
keys = "natural"

[[aggregates]]
table = "deals"
key = ["id"]
keys = "uuid"
organisation = "firm"

[[aggregates]]
table = "offers"
key = ["id"]
keys = "uuid"
organisation = "firm"
policy = "workplace_wins"

[[aggregates]]
table = "rates"
key = ["currency", "on_date"]
keys = "natural"
access = "read_only"

[[aggregates]]
table = "visits"
key = ["firm", "at", "level"]
keys = "natural"
organisation = "firm"

[[migrations]]
from = "1.0"
renames = { partners = { remark = "note" }, order_lines = { comment = "note" } }
defaults = { partners = { weight = 1.5 }, order_lines = { price = "7.00" } }
"""


@dataclass
class Market:
    """The application, attached, in a database of its own. `conn` is the service's connection."""

    conn: psycopg.Connection[Any]
    model: Model
    url: str
    code: str = APPLICATION

    def sql(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(statement.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *arguments: Any) -> Any:
        return self.sql(statement, *arguments)[0][0]


@contextmanager
def attached(url: str, policy: str = "service_wins") -> Iterator[Market]:
    """The market in the empty database behind `url`."""
    with connect(url) as conn:
        conn.execute(SCHEMA.encode())
        model = load(conn, parse(MANIFEST.replace("POLICY", policy)), None)
        capture.install(conn, APPLICATION, model)
        yield Market(conn, model, url)
