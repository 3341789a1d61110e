"""SQL expressions that spell a column's value for the wire, for the replica and for digests (protocol.md, Values).

They rely on the settings of `session.configure`. `ref` is SQL for the column itself, e.g. `t."number"`.
"""

import re
from collections.abc import Iterable

from shared.protocol.values import (
    ARRAY,
    BOOLEAN,
    BYTEA,
    DOUBLE,
    INTEGER,
    JSON,
    MAX_EXACT,
    NUMERIC,
    REAL,
    canonical_json,
    kind,
)
from shared.replication.model import Column, Table

_TIMESTAMP = 'YYYY-MM-DD"T"HH24:MI:SS.US'
# An application's own type may be called `time_unit`: only these are PostgreSQL's.
_TEMPORAL = re.compile(r"(?:date|(?:time|timestamp)(?:\(\d\))? with(?:out)? time zone)")
_TIMESTAMPS = re.compile(r"timestamp(?:\(\d\))? with(?:out)? time zone")
_SPECIAL_FLOATS = "('NaN', 'Infinity', '-Infinity')"


def quote(name: str) -> str:
    """An SQL identifier for PostgreSQL, without a `%` that psycopg would take for a placeholder."""
    body = name.replace('"', '""')
    if "%" in name:
        return 'U&"' + body.replace("\\", "\\\\").replace("%", "\\0025") + '"'
    return f'"{body}"'


def literal(text: str) -> str:
    """An SQL string literal for PostgreSQL, without a `%` likewise."""
    body = text.replace("'", "''")
    if "\\" in text or "%" in text:
        return " E'" + body.replace("\\", "\\\\").replace("%", "\\x25") + "'"
    return f"'{body}'"


def qualified(table: Table) -> str:
    """The table with its schema."""
    return f"{quote(table.schema)}.{quote(table.name)}"


def column_ref(alias: str, column: Column) -> str:
    """A column of the table called `alias`."""
    return f"{alias}.{quote(column.name)}"


def wire(column: Column, ref: str) -> str:
    """JSON text of the value as on the wire; SQL NULL for NULL."""
    family = kind(column.type)
    if family == INTEGER:
        return _integer(column.type, ref)
    if family == BOOLEAN:
        return f"CASE {ref} WHEN true THEN 'true' WHEN false THEN 'false' END"
    if family in {REAL, DOUBLE}:
        return f"CASE WHEN {ref} IN {_SPECIAL_FLOATS} THEN '\"' || {ref} || '\"' ELSE {ref}::text END"
    if family == ARRAY:
        return text(column, ref)
    return _json_string(column, ref)


def canonical(column: Column, ref: str) -> str:
    """JSON text of what stands for the value in a digest; SQL NULL for NULL."""
    family = kind(column.type)
    if family in {REAL, DOUBLE}:
        # A real counts as the double nearest to what the database prints: that is what the replica holds.
        double = f"{ref}::text::float8" if family == REAL else ref
        return (
            f"'\"' || CASE WHEN {ref} IN {_SPECIAL_FLOATS} THEN {ref}::text"
            f" ELSE encode(float8send(CASE WHEN {ref} = 0 THEN 0 ELSE {double} END), 'hex') END || '\"'"
        )
    return f"to_json({text(column, ref)})::text" if family == ARRAY else wire(column, ref)


def replica(column: Column, ref: str) -> str:
    """What the image builder reads: text for TEXT columns, hex for BLOBs, numbers as PostgreSQL prints them."""
    family = kind(column.type)
    if family in {INTEGER, REAL, DOUBLE}:
        return ref
    if family == BOOLEAN:
        return f"{ref}::int"
    if family == BYTEA:
        return f"encode({ref}, 'hex')"
    return text(column, ref)


def text(column: Column, ref: str) -> str:
    """The text that stands in the replica for a column whose affinity there is TEXT."""
    family = kind(column.type)
    if family == ARRAY:
        return _array(column.type, ref)
    if family == JSON:
        return f"yurt.json_text({ref})" if column.type == "json" else f"{ref}::text"
    if _TIMESTAMPS.fullmatch(column.type):
        return _timestamp(column.type, ref)
    if column.type.startswith("character("):
        return f"rpad({ref}::text, {column.type[10:-1]})"  # the cast to text drops the padding
    if column.type == "inet":
        return f"abbrev({ref})"  # what the database prints; the cast to text adds /32
    return f"{ref}::text"


def from_wire(column: Column, document: str) -> str:
    """The column's value out of a jsonb `document` that holds wire values, as text cast to the column's type.

    Bytes stand there as PostgreSQL's hex text (see `wire_values`).
    """
    name = literal(column.name)
    if kind(column.type) == ARRAY:
        wrapped = f"jsonb_build_object('v', {document}->{name})"
        return f"(SELECT v FROM jsonb_to_record({wrapped}) AS r(v text[]))::{column.cast}"
    return f"({document}->>{name})::{column.cast}"


def key_match(table: Table, alias: str, key: str) -> str:
    """SQL that holds for the row of `alias` that a text array names as the history spells keys."""
    return " AND ".join(f"{column_ref(alias, c)} = ({key}[{at}])::{c.cast}" for at, c in enumerate(table.key, start=1))


def json_object(columns: Iterable[Column], alias: str) -> str:
    """JSON text of an object with the wire values of `columns`."""
    members = [
        f"{literal(canonical_json(column.name) + ':')} || coalesce({wire(column, column_ref(alias, column))}, 'null')"
        for column in columns
    ]
    return "'{' || " + " || ',' || ".join(members) + " || '}'"


def canonical_array(columns: Iterable[Column], alias: str) -> str:
    """JSON text of the array that a digest or a bucket is computed over."""
    members = [f"coalesce({canonical(column, column_ref(alias, column))}, 'null')" for column in columns]
    return "'[' || " + " || ',' || ".join(members) + " || ']'"


def _integer(type_text: str, ref: str) -> str:
    if type_text != "bigint":
        return f"{ref}::text"
    return f"CASE WHEN {ref} BETWEEN {-MAX_EXACT} AND {MAX_EXACT} THEN {ref}::text ELSE '\"' || {ref} || '\"' END"


def _json_string(column: Column, ref: str) -> str:
    family = kind(column.type)
    if family == BYTEA:
        return f"'\"' || translate(encode({ref}, 'base64'), E'\\n', '') || '\"'"
    plain = family == NUMERIC or column.type == "uuid" or _TEMPORAL.fullmatch(column.type)
    return f"'\"' || {text(column, ref)} || '\"'" if plain else f"to_json({text(column, ref)})::text"


def _timestamp(type_text: str, ref: str) -> str:
    zoned = type_text.endswith("with time zone")
    spelt = f"to_char({ref} AT TIME ZONE 'UTC', '{_TIMESTAMP}') || 'Z'" if zoned else f"to_char({ref}, '{_TIMESTAMP}')"
    return f"CASE WHEN isfinite({ref}) AND {ref} >= '0001-01-01' THEN {spelt} ELSE {ref}::text END"


def _array(type_text: str, ref: str) -> str:
    """JSON of an array, without spaces. PostgreSQL's own spelling where it is the wire's, else `yurt.wire_array`."""
    element = type_text.removesuffix("[]")
    family = kind(element)
    if (
        family == BOOLEAN
        or element in {"smallint", "integer", "text", "uuid", "inet"}
        or element.startswith(("character varying", "character("))
    ):
        return f"array_to_json({ref})::text"
    if element == "json":
        return f"yurt.wire_array(array_to_json({ref}::text[]), 'json')"
    special = {BYTEA: "bytea", INTEGER: "bigint", REAL: "float", DOUBLE: "float"}.get(family)
    if _TIMESTAMPS.fullmatch(element):
        special = "timestamptz" if element.endswith("with time zone") else "timestamp"
    if special:
        return f"yurt.wire_array(array_to_json({ref}), '{special}')"
    return f"array_to_json({ref}::text[])::text"
