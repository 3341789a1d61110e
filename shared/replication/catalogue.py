"""What PostgreSQL's catalogue says about the application's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row


@dataclass(frozen=True)
class CatalogueColumn:
    """`type` is what `format_type` prints, domains by their base type; `cast` the same without its modifier, so that
    a cast to it neither cuts nor pads (the assignment then checks as for any other statement)."""

    name: str
    type: str
    cast: str
    nullable: bool
    generated: bool
    sequence: bool
    default: str | None


@dataclass(frozen=True)
class CatalogueForeignKey:
    """Columns in the order of the constraint; `target` is a table name of the same schema."""

    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class CatalogueTable:
    """One table. `uniques` are the column sets of its unique indexes without predicate or expression, `leaves` the
    partitions of every level (with their schema), empty for a plain table: a statement may name any of them."""

    name: str
    columns: tuple[CatalogueColumn, ...]
    primary_key: tuple[str, ...]
    uniques: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[CatalogueForeignKey, ...]
    leaves: tuple[tuple[str, str], ...]


_TABLES = """
SELECT c.oid::bigint, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY(%(tables)s) AND c.relkind IN ('r', 'p')
"""

_COLUMNS = """
WITH RECURSIVE base AS (
    SELECT a.attrelid, a.attnum, a.atttypid AS typid, a.atttypmod AS typmod
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY(%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attrelid, b.attnum, t.typbasetype, t.typtypmod
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typid WHERE t.typtype = 'd'
)
SELECT a.attrelid AS oid, a.attname AS name,
       pg_catalog.format_type(b.typid, b.typmod) AS type,
       pg_catalog.format_type(b.typid, -1) AS cast,
       NOT a.attnotnull AS nullable,
       a.attgenerated <> '' AS generated,
       a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false) AS sequence,
       CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS default
FROM base b
JOIN pg_catalog.pg_type t ON t.oid = b.typid AND t.typtype <> 'd'
JOIN pg_catalog.pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
ORDER BY a.attrelid, a.attnum
"""

_UNIQUES = """
SELECT i.indrelid AS oid, i.indisprimary AS primary,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(i.indkey) WITH ORDINALITY k(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts) AS columns
FROM pg_catalog.pg_index i
WHERE i.indrelid = ANY(%(oids)s) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indrelid, i.indexrelid::pg_catalog.regclass::text
"""

_FOREIGN_KEYS = """
SELECT f.conrelid AS oid, f.conname AS name, target.relname AS target,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(f.conkey) WITH ORDINALITY k(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(f.confkey) WITH ORDINALITY k(attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum) AS target_columns
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class own ON own.oid = f.conrelid
JOIN pg_catalog.pg_class target ON target.oid = f.confrelid AND target.relnamespace = own.relnamespace
WHERE f.contype = 'f' AND f.conrelid = ANY(%(oids)s) AND f.conparentid = 0
ORDER BY f.conrelid, f.conname
"""

_LEAVES = """
SELECT root.oid, n.nspname AS schema, c.relname AS name
FROM unnest(%(oids)s::oid[]) root(oid)
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(root.oid) tree
JOIN pg_catalog.pg_class c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE tree.relid <> root.oid
ORDER BY root.oid, n.nspname, c.relname
"""


def read_tables(conn: Connection[Any], schema: str, names: Sequence[str]) -> dict[str, CatalogueTable]:
    """The tables among `names` that exist, by name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_TABLES, {"schema": schema, "tables": list(names)}).fetchall()
        oids = {"oids": [table["oid"] for table in tables]}
        columns = cursor.execute(_COLUMNS, oids).fetchall()
        uniques = cursor.execute(_UNIQUES, oids).fetchall()
        foreign_keys = cursor.execute(_FOREIGN_KEYS, oids).fetchall()
        leaves = cursor.execute(_LEAVES, oids).fetchall()

    def of(rows: list[dict[str, Any]], oid: int) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "oid"} for row in rows if row["oid"] == oid]

    return {
        table["name"]: CatalogueTable(
            name=table["name"],
            columns=tuple(CatalogueColumn(**row) for row in of(columns, table["oid"])),
            primary_key=next((tuple(row["columns"]) for row in of(uniques, table["oid"]) if row["primary"]), ()),
            uniques=tuple(tuple(row["columns"]) for row in of(uniques, table["oid"])),
            foreign_keys=tuple(
                CatalogueForeignKey(row["name"], tuple(row["columns"]), row["target"], tuple(row["target_columns"]))
                for row in of(foreign_keys, table["oid"])
            ),
            leaves=tuple((row["schema"], row["name"]) for row in of(leaves, table["oid"])),
        )
        for table in tables
    }
