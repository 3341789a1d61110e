"""A replica of a former version becomes what a package of today's version holds, whatever was altered between."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from shared.protocol.statements import statements
from shared.protocol.values import from_wire
from shared.replication.manifest import ManifestInvalid
from tests.integration.replication.shop_versions import Shop, described, opened, order, version

Change = tuple[str, str]


@pytest.fixture
def shop(fresh_database: str, tmp_path: Path) -> Iterator[Shop]:
    with opened(fresh_database, tmp_path) as found:
        yield found


@dataclass(frozen=True)
class Step:
    """What is altered in the database, what in the manifest, and the manifest's migrations."""

    sql: Sequence[str]
    changes: Sequence[Change] = ()
    migrations: str = ""


FROM_1 = '[[migrations]]\nfrom = "1.0"\n'
MARKS = '{ table = "marks", key = ["id"], keys = "uuid", parent = "order_id" }'
LINES = '{ table = "lines", key = ["order_id", "no"], parent = "order_id" }'
VISITS = 'table = "visits"\nkey = ["id"]\nkeys = "uuid"\n'
UNITS = '[[aggregates]]\ntable = "units"\nkey = ["code"]\nkeys = "natural"\n'
STOCK = '\n[[aggregates]]\ntable = "stock"\nkey = ["id"]\nkeys = "range"\n'

STEPS = {
    "nothing": Step([]),
    "a column with the manifest's default": Step(
        ["ALTER TABLE orders ADD channel text NOT NULL DEFAULT 'db'"],
        migrations=FROM_1 + 'defaults = { orders = { channel = "shop" } }',
    ),
    "columns with the database's defaults": Step(
        ["ALTER TABLE orders ADD a text NOT NULL DEFAULT 'it''s', ADD b integer DEFAULT -5, ADD c numeric DEFAULT 1.50,"
         " ADD d boolean NOT NULL DEFAULT true, ADD e timestamptz NOT NULL DEFAULT now(), ADD f text[] DEFAULT '{}'"]
    ),
    "a nullable column of a part": Step(["ALTER TABLE lines ADD vat numeric"]),
    "a column that takes no NULL and has no default": Step(
        ["ALTER TABLE orders ADD must text", "UPDATE orders SET must = note",
         "ALTER TABLE orders ALTER must SET NOT NULL"]
    ),
    "defaults of every kind": Step(
        ["ALTER TABLE visits ADD a boolean, ADD b double precision, ADD c integer[], ADD d bytea, ADD e jsonb,"
         " ADD f numeric, ADD g bigint"],
        migrations=FROM_1 + 'defaults = { visits = { a = true, b = 0.1, c = [1, 2], d = "AAH/", e = "{}", f = "1.50",'
        ' g = "9007199254740993" } }',
    ),
    "columns renamed": Step(
        ["ALTER TABLE orders RENAME note TO comment", "ALTER TABLE lines RENAME qty TO amount",
         "ALTER TABLE orders RENAME number TO no"],
        [('"number" }', '"no" }')],
        FROM_1 + 'renames = { orders = { note = "comment", number = "no" }, lines = { qty = "amount" } }',
    ),
    "a column renamed and nobody told": Step(["ALTER TABLE orders RENAME note TO comment"]),
    "two columns that change their names": Step(
        ["ALTER TABLE marks ADD other text", "ALTER TABLE orders RENAME note TO x", "ALTER TABLE orders ADD note text"],
        migrations=FROM_1 + 'renames = { orders = { note = "x" } }',
    ),
    "columns dropped": Step(
        ["ALTER TABLE orders DROP note", "ALTER TABLE lines DROP qty", "ALTER TABLE items DROP name"]
    ),
    "types changed": Step(
        ["ALTER TABLE items ALTER weight TYPE numeric, ALTER name TYPE text, ALTER active DROP DEFAULT",
         "ALTER TABLE items ALTER active TYPE integer USING active::integer, ALTER price TYPE double precision",
         "ALTER TABLE orders ALTER sum DROP DEFAULT, ALTER sum TYPE text, ALTER note TYPE varchar(300)"]
    ),
    "columns in another order": Step(
        ["ALTER TABLE orders ADD note2 text", "UPDATE orders SET note2 = note", "ALTER TABLE orders DROP note",
         "ALTER TABLE orders RENAME note2 TO note"]
    ),
    "a table more": Step(
        ["CREATE TABLE stock (id serial PRIMARY KEY, item integer REFERENCES items, firm text UNIQUE)",
         "INSERT INTO stock (item, firm) VALUES (1, 'A'), (2, 'B')"],
        [(VISITS, VISITS + STOCK)],
    ),
    "a table less": Step([], [("\n[[aggregates]]\n" + VISITS, "")]),
    "a table less that others refer to": Step([], [(UNITS, "")]),
    "a table that is no more": Step(["DROP TABLE visits"], [("\n[[aggregates]]\n" + VISITS, "")]),
    "a part more": Step(
        ["CREATE TABLE labels (id uuid PRIMARY KEY, visit uuid NOT NULL REFERENCES visits, words text)",
         "INSERT INTO labels SELECT gen_random_uuid(), id, 'l' FROM visits"],
        [(VISITS, VISITS + 'parts = [ { table = "labels", key = ["id"], keys = "uuid", parent = "visit" } ]\n')],
    ),
    "a part less": Step([], [(f",\n          {MARKS}", "")]),
    "a part that becomes a root": Step(
        [],
        [(f",\n          {MARKS}", ""),
         (VISITS, VISITS + '[[aggregates]]\ntable = "marks"\nkey = ["id"]\nkeys = "uuid"\n')],
    ),
    "a root that becomes a part": Step(
        ["ALTER TABLE visits ADD order_id uuid REFERENCES orders",
         f"UPDATE visits SET order_id = '{order(1)}'", "ALTER TABLE visits ALTER order_id SET NOT NULL"],
        [(f"\n[[aggregates]]\n{VISITS}", ""),
         (MARKS, MARKS + ',\n { table = "visits", key = ["id"], keys = "uuid", parent = "order_id" }')],
    ),
    "a part of another root": Step(
        ["ALTER TABLE marks ADD visit uuid REFERENCES visits",
         "UPDATE marks SET visit = (SELECT min(id::text)::uuid FROM visits)",
         "ALTER TABLE marks ALTER visit SET NOT NULL"],
        [(f",\n          {MARKS}", ""),
         (VISITS, VISITS + 'parts = [ { table = "marks", key = ["id"], keys = "uuid", parent = "visit" } ]\n')],
    ),
    "keys renamed": Step(
        ["ALTER TABLE orders RENAME id TO uid", "ALTER TABLE lines RENAME order_id TO owner",
         "ALTER TABLE items RENAME id TO item_id", "ALTER TABLE firms RENAME id TO code"],
        [('table = "orders"\nkey = ["id"]', 'table = "orders"\nkey = ["uid"]'),
         ('table = "items"\nkey = ["id"]', 'table = "items"\nkey = ["item_id"]'),
         ('table = "firms"\nkey = ["id"]', 'table = "firms"\nkey = ["code"]'),
         ('table = "firms"\nkey = "id"', 'table = "firms"\nkey = "code"'),
         (LINES, '{ table = "lines", key = ["owner", "no"], parent = "owner" }')],
        FROM_1 + 'renames = { orders = { id = "uid" }, lines = { order_id = "owner" }, items = { id = "item_id" },'
        ' firms = { id = "code" } }',
    ),
    "keys renamed and nobody told": Step(
        ["ALTER TABLE orders RENAME id TO uid", "ALTER TABLE items RENAME id TO item_id"],
        [('table = "orders"\nkey = ["id"]', 'table = "orders"\nkey = ["uid"]'),
         ('table = "items"\nkey = ["id"]', 'table = "items"\nkey = ["item_id"]')],
    ),
    "another key that former rows do not have for themselves": Step(
        ["UPDATE visits SET words = id::text",
         "ALTER TABLE visits DROP CONSTRAINT visits_pkey, ADD PRIMARY KEY (words)"],
        [(VISITS, 'table = "visits"\nkey = ["words"]\nkeys = "natural"\n')],
    ),
    "an organisation": Step([], [(VISITS, VISITS + 'organisation = "firm"\n')]),
    "no organisations any more": Step(
        [], [('[organisations]\ntable = "firms"\nkey = "id"\ntitle = "title"\n', ""), ('organisation = "firm"\n', "")]
    ),
    "other rules": Step(
        [],
        [(VISITS, VISITS + 'access = "read_only"\n'), ('number = { column = "number" }\n', ""),
         ('table = "units"\nkey = ["code"]\nkeys = "natural"', 'table = "units"\nkey = ["code"]\nkeys = "uuid"'),
         ("[configuration]", '[configuration]\nplatform = ">=3.12"')],
    ),
    "indexes and references": Step(
        ["ALTER TABLE items DROP CONSTRAINT items_name_key, DROP CONSTRAINT items_unit_fkey",
         "ALTER TABLE visits ADD UNIQUE (words)", "ALTER TABLE visits ADD item integer REFERENCES items",
         "ALTER TABLE orders ADD unit text REFERENCES units"]
    ),
    "generated columns": Step(
        ["ALTER TABLE lines ADD twice numeric GENERATED ALWAYS AS (qty * 2) STORED",
         "ALTER TABLE orders ADD loud text GENERATED ALWAYS AS (upper(note)) STORED"]
    ),
    "a column excluded": Step([], [('keys = "uuid"\norganisation', 'keys = "uuid"\nexclude = ["note"]\norganisation')]),
    "the migration's own SQL did everything": Step(
        ["ALTER TABLE orders RENAME note TO comment", "ALTER TABLE visits ADD kind text DEFAULT 'k'",
         "DROP TABLE marks"],
        [(f",\n          {MARKS}", "")],
        FROM_1 + """sqlite = '''
ALTER TABLE orders RENAME COLUMN note TO "comment"; -- here; and here
/* ; */ ALTER TABLE visits ADD COLUMN "kind" TEXT DEFAULT 'k;';
DROP TABLE marks; DROP TABLE yurt_saved_marks
-- the end;'''
renames = { orders = { note = "comment" } }
""",
    ),
    "the migration's own SQL did a part, otherwise than it should be": Step(
        ["ALTER TABLE visits ADD kind text, ADD more text", "ALTER TABLE orders RENAME note TO comment"],
        migrations=FROM_1 + """sqlite = '''
ALTER TABLE visits ADD COLUMN kind TEXT COLLATE NOCASE CHECK (kind <> 'never') DEFAULT 'k';
CREATE UNIQUE INDEX own ON visits (words, kind);
CREATE VIEW seen AS SELECT * FROM visits;
CREATE TRIGGER own AFTER INSERT ON visits BEGIN SELECT RAISE(ABORT, 'no; end;'); END;
CREATE TABLE scratch (a);
/* no semicolon */'''
""",
    ),
    "the migration's own SQL is about rows only": Step(
        ["ALTER TABLE visits RENAME words TO text"],
        migrations=FROM_1 + "sqlite = 'UPDATE visits SET words = upper(words);;'\n"
        "renames = { visits = { words = 'text' } }",
    ),
    "the migration's own SQL renames a table": Step(
        ["ALTER TABLE visits RENAME TO calls"],
        [('table = "visits"', 'table = "calls"')],
        FROM_1 + 'sqlite = "ALTER TABLE visits RENAME TO calls"',
    ),
    "a comment for a migration": Step([], migrations=FROM_1 + 'sqlite = "-- nothing to do"'),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_an_upgraded_replica_is_what_a_new_package_holds(shop: Shop, name: str) -> None:
    step = STEPS[name]
    workplace = shop.replica()
    shop.attach(version("2.0", *step.changes, migrations=step.migrations), *step.sql)
    assert workplace.synchronise() == []
    assert described(workplace.replica.path) == described(shop.image("fresh"))
    assert workplace.verified()
    assert workplace.rows("SELECT count(*) FROM yurt_paused") == [(0,)]
    assert workplace.rows("PRAGMA foreign_key_check") == []
    assert workplace.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("enforced", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_the_sql_runs_in_any_program_in_one_transaction_with_the_delta(shop: Shop, name: str, enforced: bool) -> None:
    step = STEPS[name]
    workplace = shop.replica()
    shop.attach(version("2.0", *step.changes, migrations=step.migrations), *step.sql)
    there = counts(workplace.db)
    with closing(sqlite3.connect(workplace.replica.path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA foreign_keys = {enforced}; PRAGMA recursive_triggers = ON")
        db.executescript(f"BEGIN; INSERT INTO yurt_paused DEFAULT VALUES; {shop.schema('1.0')}")
        kept = counts(db)
        if "nobody told" not in name and "for themselves" not in name:
            assert {table: kept[table] for table in kept if table in there} == {t: there[t] for t in there if t in kept}
        take(db, workplace.delta("1.0").lines())
        db.execute("DELETE FROM yurt_paused")
        db.execute("COMMIT")
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchone() is None
    assert described(workplace.replica.path) == described(shop.image("fresh"))
    assert workplace.verified()


def counts(db: sqlite3.Connection) -> dict[str, int]:
    tables = db.execute("SELECT DISTINCT coalesce(part_table, table_name) FROM yurt_aggregates").fetchall()
    return {table: db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for (table,) in tables}


def take(db: sqlite3.Connection, lines: Iterable[dict[str, Any]]) -> None:
    """A delta of whole tables, taken by a program that knows the page alone."""
    types = {(t, c): kind for t, c, kind in db.execute("SELECT table_name, column_name, type FROM yurt_columns")}
    parts = db.execute("SELECT table_name, part_table FROM yurt_aggregates WHERE part_table NOT NULL").fetchall()
    emptied = set()
    for line in lines:
        root = line["table"]
        if root not in emptied:
            for table in [part for owner, part in parts if owner == root] + [root]:
                db.execute(f'DELETE FROM "{table}"')
            emptied.add(root)
        if line["op"] == "put":
            for table, rows in {root: [line["row"]], **line["parts"]}.items():
                for row in rows:
                    values = [from_wire(types[table, name], value) for name, value in row.items()]
                    db.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(values))})', values)


def test_a_schema_interrupted_anywhere_leaves_the_old_replica(shop: Shop) -> None:
    step = STEPS["keys renamed"]
    workplace = shop.replica()
    workplace.db.execute("UPDATE visits SET words = 'unsent'")
    before = described(workplace.replica.path)
    shop.attach(version("2.0", *step.changes, migrations=step.migrations), *step.sql)
    script = list(statements(shop.schema("1.0")))
    for done in range(0, len(script), 7):
        with closing(sqlite3.connect(workplace.replica.path, isolation_level=None)) as db:
            db.execute("BEGIN")
            for statement in script[:done]:
                db.execute(statement)
        # Closed without a commit, as a process that is killed.
    assert described(workplace.replica.path) == before
    workplace.synchronise()
    assert workplace.verified()


def test_capture_goes_on_after_the_schema_and_ranges_and_counters_with_it(shop: Shop) -> None:
    workplace = shop.replica()
    workplace.db.execute("INSERT INTO orders (id, firm) VALUES (?, 'A')", [order(7)])
    workplace.synchronise()
    step = STEPS["keys renamed"]
    shop.attach(version("2.0", *step.changes, migrations=step.migrations), *step.sql)
    workplace.synchronise()
    db = workplace.db
    db.execute("INSERT INTO items (name) VALUES ('made offline')")
    db.execute("INSERT INTO orders (uid, firm) VALUES (?, 'A')", [order(8)])
    db.execute("UPDATE lines SET qty = '9' WHERE owner = ? AND no = 1", [order(1)])
    db.execute("DELETE FROM marks WHERE order_id = ?", [order(2)])
    assert workplace.rows("SELECT DISTINCT column_name FROM yurt_ranges") == [("item_id",)]
    assert workplace.rows("SELECT number FROM orders WHERE uid = ?", order(8)) == [("P-2",)]
    assert [row[0] for row in workplace.rows("SELECT table_name FROM yurt_changes")] == ["items", *["orders"] * 3]
    assert workplace.synchronise() == []
    assert workplace.verified()
    assert shop.sql("SELECT qty FROM lines WHERE owner = %s AND no = 1", order(1))[0][0] == 9


def test_versions_may_be_skipped_with_a_migration_and_without(shop: Shop) -> None:
    told, untold = shop.replica("told"), shop.replica("untold")
    shop.attach(version("2.0"), "ALTER TABLE orders RENAME note TO comment", "ALTER TABLE visits ADD kind text")
    from_1 = FROM_1 + 'renames = { orders = { note = "remark" } }\n'
    shop.attach(
        version("3.0", migrations=from_1),
        "ALTER TABLE orders RENAME comment TO remark",
        "ALTER TABLE visits ADD more text",
    )
    told.db.execute("UPDATE orders SET note = 'told' WHERE number = 'N1'")
    assert told.synchronise() == []
    shop.attach(version("4.0"))
    untold.db.execute("UPDATE orders SET note = 'untold', sum = 99 WHERE number = 'N2'")
    assert untold.synchronise() == []
    assert shop.sql("SELECT remark, sum FROM orders WHERE number IN ('N1', 'N2') ORDER BY number") == [
        ("told", 1), ("note 2", 99),
    ]  # fmt: skip
    told.synchronise()
    for workplace in (told, untold):
        assert workplace.verified()
        assert described(workplace.replica.path) == described(shop.image(f"as {workplace.name}"))


def test_back_to_an_earlier_version(shop: Shop) -> None:
    workplace = shop.replica()
    shop.attach(version("2.0"), "ALTER TABLE orders RENAME note TO comment", "ALTER TABLE visits ADD kind text")
    workplace.synchronise()
    workplace.db.execute("UPDATE orders SET comment = 'unsent' WHERE number = 'N1'")
    workplace.db.execute("UPDATE visits SET kind = 'unsent'")
    back = '[[migrations]]\nfrom = "2.0"\nrenames = { orders = { comment = "note" } }'
    shop.attach(
        version("1.0", migrations=back), "ALTER TABLE orders RENAME comment TO note", "ALTER TABLE visits DROP kind"
    )
    assert workplace.synchronise() == []
    assert workplace.version == "1.0"
    assert workplace.verified()
    assert shop.sql("SELECT note FROM orders WHERE number = 'N1'") == [("unsent",)]
    assert described(workplace.replica.path) == described(shop.image("fresh"))


def test_a_hundred_thousand_rows_are_upgraded_in_seconds(shop: Shop) -> None:
    shop.sql("INSERT INTO orders SELECT gen_random_uuid(), 'A', 'M' || n, 'n', n FROM generate_series(1, 50000) n")
    shop.sql("INSERT INTO lines SELECT id, 7, 1, 1, 'r' FROM orders")
    workplace = shop.replica()
    workplace.db.execute("UPDATE orders SET note = 'unsent' WHERE number = 'N1'")
    shop.attach(
        version("2.0"), "ALTER TABLE orders ADD a text", "ALTER TABLE lines ADD b text", "ALTER TABLE items ADD c text"
    )
    started = monotonic()
    with closing(sqlite3.connect(workplace.replica.path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.executescript(f"BEGIN; INSERT INTO yurt_paused DEFAULT VALUES; {shop.schema('1.0')} ROLLBACK")
    assert monotonic() - started < 20
    workplace.synchronise()
    assert workplace.verified()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("ALTER TABLE visits RENAME COLUMN missing TO x", "missing"),
        ("SELECT 1; BEGIN; SELECT 2", "inside a transaction: BEGIN"),
        ("-- a\nCOMMIT", "inside a transaction: COMMIT"),
        ("/* a */ end", "inside a transaction: end"),
        ("VACUUM", "VACUUM"),
        ("VACUUM INTO 'FOLDER/never.db'", "VACUUM"),
        ("ATTACH 'FOLDER/never.db' AS other", "not authorized"),
        ("SELECT 'open", "unrecognized token"),
        ("SELECT 1; /* open", "incomplete input"),
        ("CREATE TRIGGER t AFTER INSERT ON visits BEGIN SELECT 1;", "no end"),
        ("ALTER TABLE visits ADD COLUMN x TEXT NOT NULL", "NOT NULL"),
        ("UPDATE orders SET id = NULL", "NOT NULL"),
        ("SELECT 1; no sql", "syntax error"),
    ],
)
def test_sql_that_cannot_run_is_a_mistake_with_its_place(shop: Shop, script: str, told: str) -> None:
    other = '[[migrations]]\nfrom = "0.9"\nsqlite = "DROP TABLE never_there -- nobody has 0.9"\n'
    manifest = version("2.0", migrations=f'{other}{FROM_1}sqlite = """{script.replace("FOLDER", str(shop.folder))}"""')
    with pytest.raises(ManifestInvalid) as caught:
        shop.attach(manifest)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "migrations[1].sqlite"
    assert told in mistake.text
    assert not list(shop.folder.iterdir())
    assert shop.sql("SELECT version FROM yurt.applications") == [("1.0",)]


def test_altered_tables_want_a_new_version_while_replicas_are_in_use(shop: Shop) -> None:
    shop.attach(version("1.0"), "ALTER TABLE visits ADD first text")
    workplace = shop.replica()
    workplace.synchronise()
    shop.sql("ALTER TABLE visits ADD second text")
    with pytest.raises(ManifestInvalid) as caught:
        shop.attach(version("1.0"))
    assert [mistake.place for mistake in caught.value.mistakes] == ["configuration.version"]
    shop.attach(version("1.1"))
    workplace.synchronise()
    assert workplace.verified()


def test_indexes_may_come_and_go_without_a_new_version(shop: Shop) -> None:
    indexed = shop.replica("indexed")
    shop.attach(
        version("1.0"),
        "ALTER TABLE items DROP CONSTRAINT items_name_key",
        "ALTER TABLE items DROP CONSTRAINT items_unit_fkey",
    )
    plain = shop.replica("plain")
    shop.attach(version("2.0", (UNITS, "")), "ALTER TABLE items ADD CONSTRAINT items_name_key UNIQUE (name)")
    fresh = described(shop.image("fresh"))
    for workplace in (indexed, plain):
        workplace.synchronise()
        assert described(workplace.replica.path) == fresh
        workplace.db.execute("INSERT INTO items (name) VALUES (?)", [workplace.name])
        assert workplace.synchronise() == []
        assert workplace.verified()
