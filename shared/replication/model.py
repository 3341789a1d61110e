"""A manifest bound to the catalogue of its database: what the heart works with."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import Connection

from shared.protocol.values import canonical_json, kind
from shared.replication.catalogue import CatalogueColumn, CatalogueTable, read_tables
from shared.replication.checks import check
from shared.replication.manifest import Aggregate, Closed, Manifest, ManifestInvalid, Organisations, Part


@dataclass(frozen=True)
class Column:
    """A synchronised column; `ordinal` counts from 1.

    `default` is a literal the replica can use, `default_expression` the database's own.
    """

    name: str
    type: str
    cast: str
    ordinal: int
    nullable: bool
    generated: bool
    key_ordinal: int | None
    default: str | None
    default_expression: str | None


@dataclass(frozen=True)
class ForeignKey:
    """A reference that holds inside the replica; it points to the target's key."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A synchronised table, root or part (`parent` is then the column that holds the root's key)."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    keys: str
    parent: str | None
    leased: str | None
    references: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[tuple[str, ...], ...]
    leaves: tuple[tuple[str, str], ...]

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def writable(self) -> tuple[Column, ...]:
        """What a message may set: every column the database does not compute itself."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.key)


@dataclass(frozen=True)
class Root:
    """An aggregate: its root table, its part tables and its rules."""

    table: Table
    parts: tuple[Table, ...]
    organisation: str | None
    access: str
    policy: str
    number: str | None
    closed: Closed | None
    title: str | None

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def tables(self) -> tuple[Table, ...]:
        return (self.table, *self.parts)


@dataclass(frozen=True)
class Model:
    """An application's synchronised tables. `roots` stand in foreign-key order: who is referred to comes first.

    `area` is the value of the area column that belongs to this application, None when it has the database to itself.
    """

    manifest: Manifest
    area: str | None
    roots: tuple[Root, ...]
    fingerprint: str

    @property
    def area_column(self) -> str | None:
        return self.manifest.configuration.area_column

    @property
    def organisations(self) -> Organisations | None:
        return self.manifest.organisations

    @cached_property
    def root(self) -> Mapping[str, Root]:
        """Aggregates by the name of their root table."""
        return {root.name: root for root in self.roots}

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """All tables, each root followed by its parts."""
        return tuple(table for root in self.roots for table in root.tables)


def load(conn: Connection[Any], manifest: Manifest, area: str | None) -> Model:
    """Bind a manifest to the database behind `conn`. Raises `ManifestInvalid` with every mistake."""
    schema = manifest.configuration.schema_name
    names = [
        name for aggregate in manifest.aggregates for name in (aggregate.table, *(p.table for p in aggregate.parts))
    ]
    names += [aggregate.closed.table for aggregate in manifest.aggregates if aggregate.closed]
    found = read_tables(conn, schema, names)
    if mistakes := tuple(check(conn, manifest, found, area)):
        raise ManifestInvalid(mistakes)
    roots = {aggregate.table: _root(manifest, aggregate, found) for aggregate in manifest.aggregates}
    return Model(manifest, area, tuple(roots[name] for name in _in_reference_order(roots)), fingerprint(found))


def fingerprint(tables: Mapping[str, CatalogueTable]) -> str:
    """A digest of everything about the tables that a replica was built on (indexes and defaults are not)."""
    shape = [
        [name, *([c.name, c.type, c.nullable, c.generated] for c in table.columns), table.primary_key]
        for name, table in sorted(tables.items())
    ]
    return hashlib.sha256(canonical_json(shape).encode()).hexdigest()


def _root(manifest: Manifest, aggregate: Aggregate, found: Mapping[str, CatalogueTable]) -> Root:
    own = manifest.organisations
    is_organisations = own is not None and own.table == aggregate.table
    return Root(
        table=_table(manifest, aggregate, aggregate, found),
        parts=tuple(_table(manifest, aggregate, part, found) for part in aggregate.parts),
        # An organisation belongs to itself: a workplace gets its own rows of the organisations table.
        organisation=own.key if own and is_organisations else aggregate.organisation,
        access=aggregate.access,
        policy=aggregate.policy,
        number=aggregate.number.column if aggregate.number else None,
        closed=aggregate.closed,
        title=aggregate.title,
    )


def _table(
    manifest: Manifest, aggregate: Aggregate, described: Aggregate | Part, found: Mapping[str, CatalogueTable]
) -> Table:
    table = found[described.table]
    left_out = {*described.exclude, manifest.configuration.area_column}
    kept = [column for column in table.columns if column.name not in left_out]
    columns = tuple(_column(column, at, described.key) for at, column in enumerate(kept, start=1))
    by_name = {column.name: column for column in columns}
    keys = described.keys or ("range" if any(_is_sequence(table, name) for name in described.key) else "natural")
    parent = described.parent if isinstance(described, Part) else None
    foreign_keys = tuple(_foreign_keys(manifest, aggregate, described, table))
    return Table(
        schema=manifest.configuration.schema_name,
        name=table.name,
        columns=columns,
        key=tuple(by_name[name] for name in described.key),
        keys=keys,
        parent=parent,
        leased=_leased(table, described.key) if keys == "range" else None,
        references=tuple(dict.fromkeys(key.target for key in table.foreign_keys if key.target != table.name)),
        foreign_keys=foreign_keys,
        indexes=tuple(_indexes(described, parent, table, by_name, foreign_keys)),
        leaves=table.leaves,
    )


def _column(column: CatalogueColumn, ordinal: int, key: tuple[str, ...]) -> Column:
    return Column(
        name=column.name,
        type=column.type,
        cast=column.cast,
        ordinal=ordinal,
        nullable=column.nullable,
        generated=column.generated,
        key_ordinal=key.index(column.name) + 1 if column.name in key else None,
        default=_literal(column),
        default_expression=column.default,
    )


def _literal(column: CatalogueColumn) -> str | None:
    """A default that SQLite understands too: a number, a boolean or a text, whose cast changes nothing."""
    default = column.default
    if (
        default is None
        or kind(column.type) in {"bytea", "array"}
        or column.type.startswith(("date", "time", "interval"))
    ):
        return None
    if default in {"true", "false"}:
        return "1" if default == "true" else "0"
    number = re.fullmatch(r"\(?(-?\d+(?:\.\d+)?)\)?(?:::[\w ]+)?", default)
    if number:
        return f"'{number[1]}'" if kind(column.type) == "numeric" else number[1]
    text = re.fullmatch(r"('(?:[^'\\]|'')*')::[\w \".]+(?:\([\d,]+\))?", default)
    return text[1] if text else None


def _is_sequence(table: CatalogueTable, name: str) -> bool:
    return any(column.name == name and column.sequence for column in table.columns)


def _leased(table: CatalogueTable, key: tuple[str, ...]) -> str:
    return next((name for name in key if _is_sequence(table, name)), key[-1])


def _foreign_keys(
    manifest: Manifest,
    aggregate: Aggregate,
    described: Aggregate | Part,
    table: CatalogueTable,
) -> Iterator[ForeignKey]:
    """The references whose target is in the replica for certain (protocol.md, Package)."""
    area = manifest.configuration.area_column
    targets = {target.table: target for target in manifest.aggregates}
    for key in table.foreign_keys:
        target = targets.get(key.target)
        # Columns that say whose row it is stand beside the key in many constraints; the key alone identifies it.
        whose = {(area, area), (aggregate.organisation, target.organisation if target else None)}
        identifying = set(target.key if target else ())
        matched = zip(key.columns, key.target_columns, strict=True)
        pairs = [pair for pair in matched if pair not in whose or pair[1] in identifying]
        columns, target_columns = tuple(own for own, _ in pairs), tuple(other for _, other in pairs)
        if target is None or set(target_columns) != set(target.key) or set(columns) & set(described.exclude):
            continue
        is_root = isinstance(described, Part) and key.target == aggregate.table and columns == (described.parent,)
        is_organisation = manifest.organisations is not None and key.target == manifest.organisations.table
        is_shared = target.organisation is None and not is_organisation
        of_own_organisation = is_organisation and columns == (aggregate.organisation,)
        if is_root or is_shared or of_own_organisation or set(columns) & set(described.within_scope):
            yield ForeignKey(columns, key.target, target_columns)


def _indexes(
    described: Aggregate | Part,
    parent: str | None,
    table: CatalogueTable,
    columns: Mapping[str, Column],
    foreign_keys: Iterable[ForeignKey],
) -> Iterator[tuple[str, ...]]:
    """Plain indexes: secondary uniques, the parent of parts, and what foreign keys look up."""
    wanted: list[tuple[str, ...]] = [(parent,)] if parent else []
    wanted += [tuple(name for name in unique if name in columns) for unique in table.uniques]
    wanted += [key.columns for key in foreign_keys]
    seen = {tuple(described.key)}
    for index in wanted:
        if index and index not in seen:
            seen.add(index)
            yield index


def _in_reference_order(roots: Mapping[str, Root]) -> list[str]:
    """Root tables, referred before referring; within a cycle as the manifest has them."""
    of_table = {table.name: name for name, root in roots.items() for table in root.tables}
    ordered: list[str] = []
    under_way: set[str] = set()

    def visit(name: str) -> None:
        if name in ordered or name in under_way:
            return
        under_way.add(name)
        for table in roots[name].tables:
            for reference in table.references:
                if reference in of_table:
                    visit(of_table[reference])
        ordered.append(name)

    for name in roots:
        visit(name)
    return ordered
