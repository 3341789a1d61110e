"""Which rows of an application a workplace receives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from shared.replication.expressions import quote
from shared.replication.model import Model, Root, Table


@dataclass(frozen=True)
class Scope:
    """The organisations of a workplace, None = all, also those added later. `version` grows with every change."""

    organisations: tuple[str, ...] | None
    version: int = 1


def parameters(model: Model, scope: Scope) -> dict[str, Any]:
    """The query parameters that `condition` and `source` use."""
    return {"area": model.area, "organisations": list(scope.organisations or ())}


def condition(model: Model, root: Root, scope: Scope, alias: str, organisations: str = "organisations") -> str:
    """SQL that holds for the root rows in scope: of the application's area, and of its organisations."""
    conditions = [area_condition(model, alias)]
    if root.organisation and scope.organisations is not None:
        conditions.append(of_organisations(root, alias, organisations))
    return " AND ".join(conditions)


def area_condition(model: Model, alias: str) -> str:
    """SQL that holds for the application's own rows. The area is the service's own record, never the client's word."""
    return f"{alias}.{quote(model.area_column)}::text = %(area)s" if model.area_column else "true"


def of_organisations(root: Root, alias: str, parameter: str) -> str:
    """SQL that holds for the root rows of the organisations in a query parameter; false for shared aggregates."""
    if not root.organisation:
        return "false"
    cast = root.table.by_name[root.organisation].cast
    return f"{alias}.{quote(root.organisation)} = ANY(%({parameter})s::{cast}[])"


def source(model: Model, root: Root, table: Table, scope: Scope) -> str:
    """FROM and WHERE of the rows of a root or part table in scope; the table is called `t` there."""
    relation = f"{quote(table.schema)}.{quote(table.name)} t"
    if table is root.table:
        return f"FROM {relation} WHERE {condition(model, root, scope, 't')}"
    owner = f"{quote(root.table.schema)}.{quote(root.name)} r"
    on = f"r.{quote(root.table.key_names[0])} = t.{quote(table.parent or '')}"
    if model.area_column:
        on += f" AND r.{quote(model.area_column)} = t.{quote(model.area_column)}"
    return f"FROM {relation} JOIN {owner} ON {on} WHERE {condition(model, root, scope, 'r')}"


def organisations(conn: Connection[Any], model: Model) -> list[Mapping[str, str]]:
    """The organisations of an application as `{key, title}`, by title; empty when its configuration has none."""
    described = model.organisations
    if described is None:
        return []
    root = model.root[described.table]
    rows = conn.execute(
        f"SELECT t.{quote(described.key)}::text, t.{quote(described.title)}::text"
        f" {source(model, root, root.table, Scope(None))} ORDER BY 2, 1".encode(),
        parameters(model, Scope(None)),
    )
    return [{"key": key, "title": title} for key, title in rows]
