"""Whether a manifest fits its database: every mistake with its place."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psycopg import Connection, errors

from shared.protocol.values import INTEGER, kind
from shared.replication.catalogue import CatalogueColumn, CatalogueTable
from shared.replication.manifest import Aggregate, Manifest, Migration, Mistake, Part
from shared.replication.spelling import WireInvalid, check_value

_TEXTS = {"text", "character varying", "bpchar", "character"}
_DATES = {"date", "timestamp without time zone", "timestamp with time zone"}


def check(
    conn: Connection[Any], manifest: Manifest, found: Mapping[str, CatalogueTable], area: str | None
) -> Iterator[Mistake]:
    """Every contradiction between a manifest and the tables `found` in the database behind `conn`."""
    if (area is None) == (manifest.configuration.isolation == "column"):
        yield Mistake("area", "an application has an area exactly when its configuration is isolated by column")
    elif area is not None:
        yield from _area_mistakes(conn, manifest, found, area)
    if manifest.organisations:
        own = manifest.organisations
        yield from _missing(found.get(own.table), [("organisations.key", own.key), ("organisations.title", own.title)])
    for at, aggregate in enumerate(manifest.aggregates):
        place = f"aggregates[{at}]"
        yield from _closed_mistakes(f"{place}.closed", manifest, aggregate, found)
        yield from _reference_mistakes(conn, place, manifest, aggregate, found)
        optional = {
            "organisation": aggregate.organisation,
            "title": aggregate.title,
            "number.column": aggregate.number.column if aggregate.number else None,
            "closed.column": aggregate.closed.column if aggregate.closed else None,
        }
        yield from _table_mistakes(place, manifest, aggregate, found, optional)
        for part_at, part in enumerate(aggregate.parts):
            yield from _table_mistakes(f"{place}.parts[{part_at}]", manifest, part, found, {"parent": part.parent})
    for at, migration in enumerate(manifest.migrations):
        yield from _migration_mistakes(f"migrations[{at}]", migration, found)


def _migration_mistakes(place: str, migration: Migration, found: Mapping[str, CatalogueTable]) -> Iterator[Mistake]:
    """What it says of tables that are synchronised today must fit them; of others nobody knows any more."""
    for name, renames in migration.renames.items():
        yield from _missing(found.get(name), [(f"{place}.renames.{name}.{old}", new) for old, new in renames.items()])
    for name, defaults in migration.defaults.items():
        table = found.get(name)
        yield from _missing(table, [(f"{place}.defaults.{name}.{column}", column) for column in defaults])
        types = {column.name: column.type for column in table.columns} if table else {}
        for column, value in defaults.items():
            try:
                check_value(types.get(column, "text"), value)
            except WireInvalid as error:
                if column in types:
                    yield Mistake(f"{place}.defaults.{name}.{column}", str(error))


def _table_mistakes(
    place: str,
    manifest: Manifest,
    described: Aggregate | Part,
    found: Mapping[str, CatalogueTable],
    columns: Mapping[str, str | None],
) -> Iterator[Mistake]:
    table = found.get(described.table)
    if table is None:
        schema = manifest.configuration.schema_name
        yield Mistake(f"{place}.table", f"there is no table {described.table} in schema {schema}")
        return
    by_name = {column.name: column for column in table.columns}
    area_column = manifest.configuration.area_column
    if area_column and area_column not in by_name:
        yield Mistake(f"{place}.table", f"{described.table} has no area column {area_column}")
    used = {
        **{field: name for field, name in columns.items() if name},
        **{f"key[{n}]": k for n, k in enumerate(described.key)},
    }
    for field, name in used.items():
        if name == area_column:
            yield Mistake(f"{place}.{field}", f"{name} is the area column, which no replica has")
    named = [(f"{place}.{field}", name) for field, name in columns.items() if name]
    named += [(f"{place}.key[{at}]", name) for at, name in enumerate(described.key)]
    named += [(f"{place}.exclude[{at}]", name) for at, name in enumerate(described.exclude)]
    named += [(f"{place}.within_scope[{at}]", name) for at, name in enumerate(described.within_scope)]
    yield from _missing(table, named)
    number = by_name.get(columns.get("number.column") or "")
    if number and number.cast not in _TEXTS:
        yield Mistake(f"{place}.number.column", f"{number.name} is {number.type}: numbers like A-1 need a text column")
    yield from _key_mistakes(place, described, table, area_column)
    yield from _column_mistakes(place, described, table)


def _missing(table: CatalogueTable | None, named: Iterable[tuple[str, str]]) -> Iterator[Mistake]:
    names = {column.name for column in table.columns} if table else set()
    for where, name in named:
        if table and name not in names:
            yield Mistake(where, f"{table.name} has no column {name}")


def _closed_mistakes(
    place: str, manifest: Manifest, aggregate: Aggregate, found: Mapping[str, CatalogueTable]
) -> Iterator[Mistake]:
    closed = aggregate.closed
    if closed is None:
        return
    if closed.table not in found:
        schema = manifest.configuration.schema_name
        yield Mistake(f"{place}.table", f"there is no table {closed.table} in schema {schema}")
    else:
        named = [(f"{place}.organisation", closed.organisation), (f"{place}.until", closed.until)]
        yield from _missing(found[closed.table], named)
        area = manifest.configuration.area_column
        yield from _missing(found[closed.table], [(f"{place}.table", area)] if area else [])
    for field, table, name in (("column", aggregate.table, closed.column), ("until", closed.table, closed.until)):
        column = _column(found, table, name)
        if column and column.cast not in _DATES:
            yield Mistake(f"{place}.{field}", f"{name} is {column.type}: a date or a timestamp is needed")


def _area_mistakes(
    conn: Connection[Any], manifest: Manifest, found: Mapping[str, CatalogueTable], area: str
) -> Iterator[Mistake]:
    name = manifest.configuration.area_column or ""
    columns = (_column(found, aggregate.table, name) for aggregate in manifest.aggregates)
    for cast in sorted({column.cast for column in columns if column}):
        try:
            with conn.transaction():
                row = conn.execute(f"SELECT (%s::{cast})::text".encode(), [area]).fetchone()
        except errors.DataError:
            yield Mistake("area", f"{area!r} is no {cast}, as the area column {name} is")
        else:
            if row != (area,):
                yield Mistake("area", f"the database writes {area!r} in another way, as {row and row[0]!r}")


def _reference_mistakes(
    conn: Connection[Any], place: str, manifest: Manifest, aggregate: Aggregate, found: Mapping[str, CatalogueTable]
) -> Iterator[Mistake]:
    """Columns that hold the key of another row are compared with it, so their types must allow that."""
    pairs: list[tuple[str, CatalogueColumn | None, CatalogueColumn | None]] = []
    organisation = _column(found, aggregate.table, aggregate.organisation)
    own = manifest.organisations
    if own:
        pairs.append((f"{place}.organisation", organisation, _column(found, own.table, own.key)))
    if aggregate.closed:
        closing = _column(found, aggregate.closed.table, aggregate.closed.organisation)
        pairs.append((f"{place}.closed.organisation", closing, organisation))
    key = _column(found, aggregate.table, aggregate.key[0])
    for at, part in enumerate(aggregate.parts):
        pairs.append((f"{place}.parts[{at}].parent", _column(found, part.table, part.parent), key))
    for where, one, other in pairs:
        if one and other and not _comparable(conn, one, other):
            yield Mistake(where, f"{one.name} is {one.type}, which cannot be compared with {other.name} ({other.type})")


def _comparable(conn: Connection[Any], one: CatalogueColumn, other: CatalogueColumn) -> bool:
    if one.cast == other.cast:
        return True
    try:
        with conn.transaction():
            conn.execute(f"SELECT NULL::{one.cast} = NULL::{other.cast}".encode())
    except errors.ProgrammingError:
        return False
    return True


def _column(found: Mapping[str, CatalogueTable], table: str, name: str | None) -> CatalogueColumn | None:
    columns = found[table].columns if table in found else ()
    return next((column for column in columns if column.name == name), None)


def _key_mistakes(
    place: str, described: Aggregate | Part, table: CatalogueTable, area_column: str | None
) -> Iterator[Mistake]:
    without_area = {frozenset(unique) - {area_column} for unique in table.uniques}
    if frozenset(described.key) not in without_area:
        yield Mistake(
            f"{place}.key", f"{', '.join(described.key)} is no primary key or unique key of {described.table}"
        )
    by_name = {column.name: column for column in table.columns}
    for at, column in enumerate(by_name.get(name) for name in described.key):
        if column and column.nullable:
            yield Mistake(f"{place}.key[{at}]", f"{column.name} may be NULL: a key must not")
    key = [column for name in described.key if (column := by_name.get(name))]
    leased = next((column for column in key if column.sequence), key[-1] if key else None)
    if described.keys == "range" and leased and kind(leased.type) != INTEGER:
        yield Mistake(f"{place}.keys", f"{leased.name} is {leased.type}: only integers are leased in ranges")
    if described.keys == "uuid" and key and not any(column.cast in {"uuid", *_TEXTS} for column in key):
        types = ", ".join(f"{column.name} is {column.type}" for column in key)
        yield Mistake(f"{place}.keys", f"{types}: a uuid needs a column of that type or a text")


def _column_mistakes(place: str, described: Aggregate | Part, table: CatalogueTable) -> Iterator[Mistake]:
    by_name = {column.name: column for column in table.columns}
    for at, name in enumerate(described.exclude):
        column = by_name.get(name)
        if column and not (column.nullable or column.default or column.generated or column.sequence):
            yield Mistake(
                f"{place}.exclude[{at}]", f"{name} is NOT NULL without a default: offline rows could not have it"
            )
    for at, name in enumerate(described.within_scope):
        if name in by_name and not any(name in key.columns for key in table.foreign_keys):
            yield Mistake(f"{place}.within_scope[{at}]", f"{name} has no foreign key")
    kept = [name for name in by_name if name not in described.exclude]
    for name in kept:
        if any(letter in '"\\' or letter < " " for letter in name):
            yield Mistake(
                f"{place}.table", f"column {name!r}: quotes, backslashes and controls do not fit SQLite's JSON"
            )
    folded: dict[str, str] = {}
    for name in kept:
        if name.lower() in folded:
            yield Mistake(
                f"{place}.table", f"{name} and {folded[name.lower()]} differ only in case, SQLite cannot hold both"
            )
        folded[name.lower()] = name
