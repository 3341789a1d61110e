"""Messages written by replicas of other configuration versions (architecture.md, Configuration of an application)."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.protocol.values import BOOLEAN, DOUBLE, INTEGER, NUMERIC, REAL, TEXT, canonical_json, from_wire, kind
from shared.replication.blueprint import Blueprint
from shared.replication.manifest import Migration
from shared.replication.model import Model, Table
from shared.replication.problem import ProtocolProblem

Translation = Callable[[dict[str, Any]], None]
Row = Mapping[str, Any]


_WHOLE = re.compile(r"(-?\d+)\.0+")


def translation(model: Model, version: str, former: Blueprint | None) -> Translation | None:
    """A function that turns a line of `version` into today's names, in place; None when it is today's.

    Raises `ProtocolProblem` `invalid_body` for a version that neither the manifest nor the service knows.
    """
    if version == model.manifest.configuration.version:
        return None
    migration = model.manifest.migration(version)
    if migration is None and former is None:
        raise ProtocolProblem("invalid_body", 400, f"Unknown Yurt-Version {version!r}.", line=None)
    tables = {table.name: _TableTranslation.of(table, migration, former) for table in model.tables}
    gone = {row[1] for row in former.aggregates} - tables.keys() if former else set()
    return lambda document: _translate(tables, gone, document)


@dataclass(frozen=True)
class _TableTranslation:
    """`renames`: today's name of a former one. `gone`: former columns that are no more. `defaults`: what new columns
    hold in rows that knew nothing of them. `families`: the kinds of those whose type is another today.
    """

    renames: Mapping[str, str]
    gone: frozenset[str]
    defaults: Row
    families: Mapping[str, str]

    @classmethod
    def of(cls, table: Table, migration: Migration | None, former: Blueprint | None) -> "_TableTranslation":
        renames = migration.renames.get(table.name, {}) if migration else {}
        defaults = dict(migration.defaults.get(table.name, {})) if migration else {}
        had = former.columns_of(table.name) if former else {}
        types = {renames.get(name, name): type_text for name, type_text in had.items()}
        if had:
            defaults = {column.name: None for column in table.writable if column.name not in types} | defaults
        return cls(
            renames,
            frozenset(types.keys() - table.by_name.keys()),
            defaults,
            {
                column.name: kind(column.type)
                for column in table.columns
                if column.name in types and types[column.name] != column.type
            },
        )

    def row(self, row: Row) -> dict[str, Any]:
        renamed = {self.renames.get(name, name): value for name, value in row.items()}
        return {
            name: _respelt(self.families[name], value) if name in self.families else value
            for name, value in renamed.items()
            if name not in self.gone
        }

    def filled(self, row: Row) -> dict[str, Any]:
        return {**self.defaults, **self.row(row)}


def _respelt(family: str, value: Any) -> Any:
    """A value as another kind spells it, where PostgreSQL's own cast leaves no doubt; else as it is."""
    if family in {NUMERIC, TEXT} and isinstance(value, bool | int | float):
        return canonical_json(value)
    if family == INTEGER and isinstance(value, bool):
        return int(value)
    if family == INTEGER and isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return whole[1]
    if family == BOOLEAN and type(value) is int:
        return value != 0
    if family in {REAL, DOUBLE} and isinstance(value, str):
        with suppress(ValueError):
            return from_wire("double precision", value)
    return value


def _translate(tables: Mapping[str, _TableTranslation], gone: set[str], document: dict[str, Any]) -> None:
    own = tables.get(document["table"])
    if own is None:
        return  # no longer synchronised: refused as an unknown table
    for name, translate in (("key", own.row), ("row", own.filled), ("before", own.row)):
        if document.get(name):
            document[name] = translate(document[name])
    for name in ("parts", "parts_before"):
        parts = document.get(name) or {}
        for part, lines in list(parts.items()):
            if part in gone:
                del parts[part]
            elif part in tables and isinstance(lines, list):
                translate = tables[part].filled if name == "parts" else tables[part].row
                parts[part] = [translate(line) if isinstance(line, dict) else line for line in lines]
