"""Messages written by replicas of older configuration versions (architecture.md, Configuration of an application)."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.replication.manifest import Manifest, Migration
from shared.replication.problem import ProtocolProblem

Translation = Callable[[dict[str, Any]], None]


def translation(manifest: Manifest, version: str) -> Translation:
    """A function that turns a line of `version` into today's names, in place.

    Raises `ProtocolProblem` `invalid_body` for a version the manifest knows no way from.
    """
    if version == manifest.configuration.version:
        return lambda _document: None
    migration = next((known for known in manifest.migrations if known.from_version == version), None)
    if migration is None:
        raise ProtocolProblem("invalid_body", 400, f"Unknown Yurt-Version {version!r}.", line=None)
    return lambda document: _translate(migration, document)


def _translate(migration: Migration, document: dict[str, Any]) -> None:
    table = document["table"]
    for name in ("key", "row", "before"):
        if document.get(name):
            document[name] = _renamed(migration, table, document[name])
    if document.get("row"):
        document["row"] = {**migration.defaults.get(table, {}), **document["row"]}
    for name in ("parts", "parts_before"):
        parts = document.get(name) or {}
        for part, lines in parts.items():
            if isinstance(lines, list):
                defaults = migration.defaults.get(part, {}) if name == "parts" else {}
                parts[part] = [
                    {**defaults, **_renamed(migration, part, line)} if isinstance(line, dict) else line
                    for line in lines
                ]


def _renamed(migration: Migration, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    renames = migration.renames.get(table, {})
    return {renames.get(name, name): value for name, value in row.items()}
