"""A small application of two areas and several organisations, with every kind of table that capture must know."""

SCHEMA = """
CREATE TABLE firms (area integer NOT NULL, id integer NOT NULL, title text, PRIMARY KEY (area, id));
CREATE TABLE goods (area integer NOT NULL, id text NOT NULL, price numeric, secret text, PRIMARY KEY (area, id));
CREATE TABLE bills (
    area integer NOT NULL, id integer NOT NULL, firm integer, note text, amount numeric,
    extra json, PRIMARY KEY (area, id),
    FOREIGN KEY (area, firm) REFERENCES firms
);
CREATE TABLE bill_lines (
    area integer NOT NULL, id integer NOT NULL, bill integer NOT NULL, what text, PRIMARY KEY (area, id),
    FOREIGN KEY (area, bill) REFERENCES bills ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE events (area integer NOT NULL, id integer NOT NULL, firm integer, at date NOT NULL, note text,
    PRIMARY KEY (area, id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY RANGE (at);
CREATE TABLE events_2024_h1 (note text, at date NOT NULL, id integer NOT NULL, firm integer, area integer NOT NULL);
ALTER TABLE events_2024 ATTACH PARTITION events_2024_h1 FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
CREATE TABLE events_2024_h2 PARTITION OF events_2024 DEFAULT;
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO firms SELECT a, f, 'firm ' || f FROM generate_series(1, 2) a, generate_series(1, 3) f;
INSERT INTO goods SELECT a, 'g' || g, g, 'hidden' FROM generate_series(1, 2) a, generate_series(1, 3) g;
INSERT INTO bills SELECT a, b, 1 + b % 3, 'bill ' || b, 1.0 FROM generate_series(1, 2) a, generate_series(1, 9) b;
INSERT INTO bill_lines SELECT a, l, 1 + l % 9, 'line' FROM generate_series(1, 2) a, generate_series(1, 27) l;
INSERT INTO events
    SELECT a, e, 1 + e % 3, date '2024-01-01' + e * 50, '' FROM generate_series(1, 2) a, generate_series(1, 9) e;
"""

MANIFEST = """
[configuration]
name = "shops"
version = "1.0.0"
title = { en = "Shops" }
isolation = "column"
area_column = "area"

[organisations]
table = "firms"
key = "id"
title = "title"

[[aggregates]]
table = "firms"
key = ["id"]
keys = "range"

[[aggregates]]
table = "goods"
key = ["id"]
keys = "natural"
exclude = ["secret"]

[[aggregates]]
table = "bills"
key = ["id"]
keys = "range"
organisation = "firm"
parts = [ { table = "bill_lines", key = ["id"], parent = "bill" } ]

[[aggregates]]
table = "events"
key = ["id", "at"]
keys = "natural"
organisation = "firm"
"""
