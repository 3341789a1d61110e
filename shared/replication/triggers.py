"""The triggers that append to the history: statement-level, on transition tables, so that bulk statements stay bulk."""

import hashlib
from collections.abc import Iterator

from shared.protocol.values import kind
from shared.replication.expressions import literal, quote
from shared.replication.model import Column, Model, Root, Table

OPERATIONS = ("insert", "update", "delete", "truncate")

# Types without an equality operator, and all that are not ours, are compared by their text.
# Numbers of type numeric too: 1.0 and 1.00 are equal but are not printed alike.
_COMPARABLE = {"integer", "real", "double", "boolean", "bytea"}


def function_name(schema: str, table: str, operation: str) -> str:
    """The trigger function of a table; unique however long the table's name is, and within PostgreSQL's 63 bytes."""
    digest = hashlib.sha256(f"{schema}.{table}".encode()).hexdigest()[:8]
    start = table.encode()[:40].decode(errors="ignore")
    return f"yurt.{quote(f'{start}_{digest}_{operation}')}"


def statements(model: Model, root: Root, table: Table) -> Iterator[str]:
    """The functions of one table and their triggers, on it and on each of its partitions."""
    bodies = _part_marks(model, root, table) if table.parent else _root_marks(model, root)
    bodies["truncate"] = f"SELECT {literal(root.name)}, NULL::text[], NULL::text, NULL::text, NULL::text"
    transitions = {"insert": "NEW TABLE AS added", "update": "OLD TABLE AS removed NEW TABLE AS added"}
    transitions |= {"delete": "OLD TABLE AS removed"}
    for operation in OPERATIONS:
        # Keys are printed in one way whatever the writer's settings; the search path cannot be turned against us.
        yield f"""
CREATE OR REPLACE FUNCTION {function_name(table.schema, table.name, operation)}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET "DateStyle" = 'ISO, YMD' SET "TimeZone" = 'UTC' SET extra_float_digits = 1
SET "IntervalStyle" = 'postgres' SET bytea_output = 'hex'
AS $capture$
BEGIN
    INSERT INTO yurt.history (table_name, key, area, organisation_before, organisation_after, origin)
    -- What the application's own triggers change on top of a pushed row (depth 2) is news to who pushed it.
    SELECT marks.*, CASE WHEN pg_trigger_depth() = 1 THEN nullif(current_setting('yurt.origin', true), '') END
    FROM ({bodies[operation]}) AS marks;
    RETURN NULL;
END $capture$"""
        for schema, name in ((table.schema, table.name), *table.leaves):
            referencing = f"REFERENCING {transitions[operation]}" if operation in transitions else ""
            target = f"{quote(schema)}.{quote(name)}"
            trigger = quote(f"yurt_{operation}")
            yield f"""
CREATE TRIGGER {trigger} AFTER {operation} ON {target} {referencing}
FOR EACH STATEMENT EXECUTE FUNCTION {function_name(table.schema, table.name, operation)}()"""
            # Also for writers that play a replica's part (logical restores, other replication tools).
            yield f"ALTER TABLE {target} ENABLE ALWAYS TRIGGER {trigger}"


def _root_marks(model: Model, root: Root) -> dict[str, str]:
    table = literal(root.name)
    area = [model.area_column] if model.area_column else []
    both = " AND ".join(f"o.{quote(name)} = n.{quote(name)}" for name in [*root.table.key_names, *area])
    differs = " OR ".join(_differs(column) for column in root.table.columns)
    key = {alias: _key(root.table.key, alias) for alias in ("o", "n")}
    first = quote(root.table.key_names[0])
    return {
        "insert": f"SELECT {table}, {key['n']}, {_area(model, 'n')}, NULL, {_organisation(root, 'n')} FROM added n",
        "delete": f"SELECT {table}, {key['o']}, {_area(model, 'o')}, {_organisation(root, 'o')}, NULL FROM removed o",
        # A changed key (or area) is a row that went and another one that came.
        "update": (
            f"SELECT {table}, CASE WHEN o.{first} IS NULL THEN {key['n']} ELSE {key['o']} END,"
            f" coalesce({_area(model, 'o')}, {_area(model, 'n')}),"
            f" {_organisation(root, 'o')}, {_organisation(root, 'n')}"
            f" FROM removed o FULL JOIN added n ON {both} WHERE o.{first} IS NULL OR n.{first} IS NULL OR {differs}"
        ),
    }


def _part_marks(model: Model, root: Root, part: Table) -> dict[str, str]:
    """A part row marks its root; whose organisation that is, the reader finds out."""

    def select(alias: str, source: str) -> str:
        parent = f"{alias}.{quote(part.parent or '')}"
        key = f"ARRAY[{parent}::text]"
        return f"SELECT DISTINCT {literal(root.name)}, {key}, {_area(model, alias)}, NULL, NULL FROM {source}"

    area = [model.area_column] if model.area_column else []
    key = " AND ".join(f"o.{quote(name)} = n.{quote(name)}" for name in [*part.key_names, *area])
    same = " AND ".join(f"NOT ({_differs(column)})" for column in part.columns)
    unchanged = f"EXISTS (SELECT 1 FROM {{other}} WHERE {key} AND {same})"
    return {
        "insert": select("n", "added n"),
        "delete": select("o", "removed o"),
        "update": (
            select("o", f"removed o WHERE NOT {unchanged.format(other='added n')}")
            + " UNION "
            + select("n", f"added n WHERE NOT {unchanged.format(other='removed o')}")
        ),
    }


def _key(columns: tuple[Column, ...], alias: str) -> str:
    return "ARRAY[" + ", ".join(f"{alias}.{quote(column.name)}::text" for column in columns) + "]"


def _area(model: Model, alias: str) -> str:
    return f"{alias}.{quote(model.area_column)}::text" if model.area_column else "NULL::text"


def _organisation(root: Root, alias: str) -> str:
    return f"{alias}.{quote(root.organisation)}::text" if root.organisation else "NULL::text"


def _differs(column: Column) -> str:
    plain = kind(column.type) in _COMPARABLE or column.type == "uuid" or column.type.startswith(("date", "time"))
    cast = "" if plain else "::text"
    return f"o.{quote(column.name)}{cast} IS DISTINCT FROM n.{quote(column.name)}{cast}"
