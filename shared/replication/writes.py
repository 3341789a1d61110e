"""Set-based statements that write staged aggregates into the application's tables.

Every statement takes the query parameters `seqs` (which staged aggregates) and `area`.
"""

from collections.abc import Iterator, Sequence

from shared.protocol.values import kind
from shared.replication.expressions import column_ref, from_wire, json_object, key_match, literal, qualified, quote
from shared.replication.model import Column, Model, Root, Table

_STAGED = "s.table_name = {table} AND s.seq = ANY(%(seqs)s)"
_COMPARABLE = {"integer", "numeric", "real", "double", "boolean", "bytea"}


def statements(model: Model, root: Root, *, edited: Sequence[str], deletes: bool) -> Iterator[str]:
    """What writes the staged puts of one aggregate type, or its deletes. `edited`: columns that any of them sets."""
    if deletes:
        for part in root.parts:
            yield _delete_lines_of_deleted(model, root, part)
        yield _delete_roots(model, root)
        return
    for part in root.parts:
        yield _delete_lines(model, root, part)
    if edited:
        yield _update_roots(model, root, edited)
    yield _insert_roots(model, root)
    for part in root.parts:
        yield _update_lines(model, root, part)
        yield _insert_lines(model, root, part)


def passed_over(model: Model, root: Root) -> str:
    """Query for the `seq` of staged aggregates that a trigger skipped without a word.

    A new one is not there; of another nothing that was to be changed did change, nor anything else of it. Where the
    trigger did something of its own with the record (set a mark in place of a deletion), that is its answer.
    """
    match = f"{key_match(root.table, 't', 's.key')}{_area(model, 't')}"
    edited = (
        f"EXISTS (SELECT 1 FROM unnest(s.edited) name, LATERAL (SELECT {_stored(root.table, 't')} AS row) stored"
        " WHERE stored.row -> name IS DISTINCT FROM s.row -> name)"
    )
    lines = "".join(
        f" OR EXISTS (SELECT 1 FROM yurt_stage_lines l LEFT JOIN {qualified(part)} p"
        f" ON {key_match(part, 'p', 'l.key')}{_area(model, 'p')} WHERE l.seq = s.seq AND l.table_name ="
        f" {literal(part.name)} AND ({_stored(part, 'p')}) IS DISTINCT FROM l.line)"
        for part in root.parts
    )
    return (
        f"SELECT s.seq FROM yurt_stage s LEFT JOIN {qualified(root.table)} t ON {match} WHERE {_staged(root)}"
        f" AND CASE WHEN s.op = 'put' THEN t.ctid IS NULL OR NOT s.fresh AND ({edited}{lines})"
        " ELSE t.ctid IS NOT NULL END"
        " AND (s.fresh OR t.ctid IS NULL OR NOT EXISTS (SELECT 1 FROM yurt.history h"
        " WHERE h.xid = pg_current_xact_id() AND h.table_name = s.table_name AND h.key = s.key))"
    )


def stored_otherwise(model: Model, root: Root) -> Iterator[str]:
    """Queries for the `seq` of staged aggregates that do not stand in the database as they were staged."""
    match = f"{key_match(root.table, 't', 's.key')}{_area(model, 't')}"
    yield (
        f"SELECT s.seq FROM yurt_stage s LEFT JOIN {qualified(root.table)} t ON {match}"
        f" WHERE {_staged(root)} AND s.op = 'put' AND ({_computed(root.table)} OR t.ctid IS NULL"
        f" OR ({_stored(root.table, 't')}) IS DISTINCT FROM s.row)"
    )
    yield (
        f"SELECT s.seq FROM yurt_stage s JOIN {qualified(root.table)} t ON {match}"
        f" WHERE {_staged(root)} AND s.op = 'delete'"
    )
    for part in root.parts:
        on = f"{key_match(part, 'p', 'l.key')}{_area(model, 'p')}"
        yield (
            "SELECT s.seq FROM yurt_stage s"
            f" JOIN yurt_stage_lines l ON l.seq = s.seq AND l.table_name = {literal(part.name)}"
            f" LEFT JOIN {qualified(part)} p ON {on} WHERE {_staged(root)}"
            f" AND ({_computed(part)} OR p.ctid IS NULL OR ({_stored(part, 'p')}) IS DISTINCT FROM l.line)"
        )


def _computed(table: Table) -> str:
    """What the client cannot know – columns the database computes – counts as other than it was written."""
    return "true" if len(table.writable) < len(table.columns) else "false"


def _stored(table: Table, alias: str) -> str:
    """The stored row as jsonb, spelt as staged rows are."""
    blobs = {c: "text[]" if c.type.endswith("[]") else "text" for c in table.writable if c.cast in {"bytea", "bytea[]"}}
    document = f"({json_object([c for c in table.writable if c not in blobs], alias)})::jsonb"
    for column, text in blobs.items():
        document += f" || jsonb_build_object({literal(column.name)}, {column_ref(alias, column)}::{text})"
    return document


def _update_roots(model: Model, root: Root, edited: Sequence[str]) -> str:
    columns = [root.table.by_name[name] for name in edited if name in {c.name for c in root.table.writable}]
    assignments = ", ".join(
        f"{quote(column.name)} = CASE WHEN {literal(column.name)} = ANY(s.edited)"
        f" THEN {from_wire(column, 's.row')} ELSE {column_ref('t', column)} END"
        for column in columns
        if column.key_ordinal is None
    )
    if not assignments:
        return "SELECT"
    return (
        f"UPDATE {qualified(root.table)} t SET {assignments} FROM yurt_stage s WHERE {_staged(root)} AND s.op = 'put'"
        f" AND NOT s.fresh AND s.edited <> '{{}}' AND {key_match(root.table, 't', 's.key')}{_area(model, 't')}"
    )


def _insert_roots(model: Model, root: Root) -> str:
    source = f"yurt_stage s WHERE {_staged(root)} AND s.op = 'put' AND s.fresh ORDER BY s.seq"
    return _insert(model, root.table, "s.row", source)


def _insert_lines(model: Model, root: Root, part: Table) -> str:
    return _insert(
        model,
        part,
        "l.line",
        f"{_staged_lines(root, part)} AND NOT EXISTS (SELECT 1 FROM {qualified(part)} p"
        f" WHERE {key_match(part, 'p', 'l.key')} AND {_of_parent(root, part, 'p')}{_area(model, 'p')}) ORDER BY l.seq",
    )


def _insert(model: Model, table: Table, document: str, source: str) -> str:
    columns = [quote(column.name) for column in table.writable]
    values = [_or_default(column, from_wire(column, document)) for column in table.writable]
    if model.area_column:
        columns.append(quote(model.area_column))
        values.append(literal(model.area or ""))  # a literal takes the column's type, a parameter is text already
    # The key came with the row, also where the database would number it.
    return (
        f"INSERT INTO {qualified(table)} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {', '.join(values)} FROM {source}"
    )


def _or_default(column: Column, value: str) -> str:
    """Offline rows do not know defaults the database computes: NULL where the column takes none means the default."""
    return (
        f"coalesce({value}, {column.default_expression})"
        if column.default_expression and not column.nullable
        else value
    )


def _update_lines(model: Model, root: Root, part: Table) -> str:
    own = [column for column in part.writable if column.key_ordinal is None and column.name != part.parent]
    if not own:
        return "SELECT"
    values = {column: from_wire(column, "l.line") for column in own}
    assignments = ", ".join(f"{quote(column.name)} = {value}" for column, value in values.items())
    differs = " OR ".join(
        f"{_comparable(c, column_ref('p', c))} IS DISTINCT FROM {_comparable(c, v)}" for c, v in values.items()
    )
    return (
        f"UPDATE {qualified(part)} p SET {assignments} FROM {_staged_lines(root, part)}"
        f" AND {key_match(part, 'p', 'l.key')} AND {_of_parent(root, part, 'p')}{_area(model, 'p')} AND ({differs})"
    )


def _delete_lines(model: Model, root: Root, part: Table) -> str:
    """Lines that are not among those pushed, of the part tables that were touched."""
    name = literal(part.name)
    return (
        f"DELETE FROM {qualified(part)} p USING yurt_stage s WHERE {_staged(root)} AND s.op = 'put' AND NOT s.fresh"
        f" AND {name} = ANY(s.parts) AND {_of_parent(root, part, 'p')}{_area(model, 'p')}"
        f" AND NOT EXISTS (SELECT 1 FROM yurt_stage_lines l WHERE l.seq = s.seq AND l.table_name = {name}"
        f" AND {key_match(part, 'p', 'l.key')})"
    )


def _delete_lines_of_deleted(model: Model, root: Root, part: Table) -> str:
    return (
        f"DELETE FROM {qualified(part)} p USING yurt_stage s WHERE {_staged(root)} AND s.op = 'delete'"
        f" AND {_of_parent(root, part, 'p')}{_area(model, 'p')}"
    )


def _delete_roots(model: Model, root: Root) -> str:
    return (
        f"DELETE FROM {qualified(root.table)} t USING yurt_stage s WHERE {_staged(root)} AND s.op = 'delete'"
        f" AND {key_match(root.table, 't', 's.key')}{_area(model, 't')}"
    )


def _staged(root: Root) -> str:
    return _STAGED.format(table=literal(root.name))


def _staged_lines(root: Root, part: Table) -> str:
    return (
        f"yurt_stage s JOIN yurt_stage_lines l ON l.seq = s.seq AND l.table_name = {literal(part.name)}"
        f" WHERE {_staged(root)} AND s.op = 'put'"
    )


def _of_parent(root: Root, part: Table, alias: str) -> str:
    return f"{alias}.{quote(part.parent or '')} = (s.key[1])::{root.table.key[0].cast}"


def _area(model: Model, alias: str) -> str:
    return f" AND {alias}.{quote(model.area_column)}::text = %(area)s" if model.area_column else ""


def _comparable(column: Column, expression: str) -> str:
    plain = kind(column.type) in _COMPARABLE or column.type == "uuid" or column.type.startswith(("date", "time"))
    return expression if plain else f"({expression})::text"
