"""Messages written by replicas of other configuration versions (architecture.md, Configuration of an application)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.protocol.values import NUMERIC, TEXT, kind
from shared.replication.blueprint import Blueprint
from shared.replication.manifest import Migration
from shared.replication.model import Model, Table
from shared.replication.problem import ProtocolProblem

Translation = Callable[[dict[str, Any]], None]
Row = Mapping[str, Any]


def translation(model: Model, version: str, former: Blueprint | None) -> Translation:
    """A function that turns a line of `version` into today's names, in place.

    Raises `ProtocolProblem` `invalid_body` for a version that neither the manifest nor the service knows.
    """
    if version == model.manifest.configuration.version:
        return lambda _document: None
    migration = next((known for known in model.manifest.migrations if known.from_version == version), None)
    if migration is None and former is None:
        raise ProtocolProblem("invalid_body", 400, f"Unknown Yurt-Version {version!r}.", line=None)
    tables = {table.name: _TableTranslation.of(table, migration, former) for table in model.tables}
    gone = {row[1] for row in former.aggregates} - tables.keys() if former else set()
    return lambda document: _translate(tables, gone, document)


@dataclass(frozen=True)
class _TableTranslation:
    """`renames`: today's name of a former one. `gone`: former columns that are no more. `defaults`: what new columns
    hold in rows that knew nothing of them. `respelt`: columns whose numbers are texts today.
    """

    renames: Mapping[str, str]
    gone: frozenset[str]
    defaults: Row
    respelt: frozenset[str]

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
            frozenset(
                name
                for name, type_text in types.items()
                if name in table.by_name
                and kind(type_text) not in {NUMERIC, TEXT}
                and kind(table.by_name[name].type) in {NUMERIC, TEXT}
            ),
        )

    def row(self, row: Row) -> dict[str, Any]:
        renamed = {self.renames.get(name, name): value for name, value in row.items()}
        return {
            name: str(value) if name in self.respelt and type(value) in {int, float} else value
            for name, value in renamed.items()
            if name not in self.gone
        }

    def filled(self, row: Row) -> dict[str, Any]:
        return {**self.defaults, **self.row(row)}


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
