"""Whether a manifest fits its database: every mistake with its place."""

from collections.abc import Iterator, Mapping

from shared.replication.catalogue import CatalogueTable
from shared.replication.manifest import Aggregate, Manifest, Mistake, Part


def check(manifest: Manifest, found: Mapping[str, CatalogueTable], area: str | None) -> Iterator[Mistake]:
    """Every contradiction between a manifest and the tables `found` in the database."""
    if (area is None) == (manifest.configuration.isolation == "column"):
        yield Mistake("area", "an application has an area exactly when its configuration is isolated by column")
    for at, aggregate in enumerate(manifest.aggregates):
        place = f"aggregates[{at}]"
        optional = {
            "organisation": aggregate.organisation,
            "title": aggregate.title,
            "number.column": aggregate.number.column if aggregate.number else None,
            "closed.column": aggregate.closed.column if aggregate.closed else None,
        }
        yield from _table_mistakes(place, manifest, aggregate, found, optional)
        for part_at, part in enumerate(aggregate.parts):
            yield from _table_mistakes(f"{place}.parts[{part_at}]", manifest, part, found, {"parent": part.parent})


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
    named = [(f"{place}.{field}", name) for field, name in columns.items() if name]
    named += [(f"{place}.key[{at}]", name) for at, name in enumerate(described.key)]
    named += [(f"{place}.exclude[{at}]", name) for at, name in enumerate(described.exclude)]
    named += [(f"{place}.within_scope[{at}]", name) for at, name in enumerate(described.within_scope)]
    for where, name in named:
        if name not in by_name:
            yield Mistake(where, f"{described.table} has no column {name}")
    yield from _key_mistakes(place, described, table, area_column)
    yield from _column_mistakes(place, described, table)


def _key_mistakes(
    place: str, described: Aggregate | Part, table: CatalogueTable, area_column: str | None
) -> Iterator[Mistake]:
    without_area = {frozenset(unique) - {area_column} for unique in table.uniques}
    if frozenset(described.key) not in without_area:
        yield Mistake(
            f"{place}.key", f"{', '.join(described.key)} is no primary key or unique key of {described.table}"
        )


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
    folded: dict[str, str] = {}
    for name in by_name:
        if name.lower() in folded:
            yield Mistake(
                f"{place}.table", f"{name} and {folded[name.lower()]} differ only in case, SQLite cannot hold both"
            )
        folded[name.lower()] = name
