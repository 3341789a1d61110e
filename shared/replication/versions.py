"""The configuration versions an application had, each with the replica it gave, so that older replicas can follow."""

from typing import Any

from psycopg import Connection
from psycopg.types.json import Json

from shared.replication.blueprint import Blueprint, blueprint
from shared.replication.manifest import Mistake
from shared.replication.model import Model
from shared.replication.upgrade import MigrationFails, upgrade

_ALTERED = "replicas of version {version} are in use and the tables are not what they hold: this wants a new version"


def former(conn: Connection[Any], application: str) -> dict[str, Blueprint]:
    """By version, every replica the application ever gave. Empty when it is not attached."""
    if conn.execute("SELECT to_regclass('yurt.versions') IS NULL").fetchone() == (True,):
        return {}
    rows = conn.execute("SELECT version, blueprint FROM yurt.versions WHERE application = %s", [application])
    return {version: Blueprint.from_json(document) for version, document in rows}


def find(conn: Connection[Any], application: str, version: str) -> Blueprint | None:
    """The replica the application gave in this version, None when it never had it."""
    row = conn.execute(
        "SELECT blueprint FROM yurt.versions WHERE application = %s AND version = %s", [application, version]
    ).fetchone()
    return Blueprint.from_json(row[0]) if row else None


def record(conn: Connection[Any], application: str, model: Model) -> None:
    """Remember what replicas of the present version are.

    What the first of them were stays: indexes and references, which may come and go, differ from replica to replica.
    """
    version, now = model.manifest.configuration.version, blueprint(model)
    known = find(conn, application, version)
    if known and known.holds_as(now):
        return
    conn.execute(
        "INSERT INTO yurt.versions (application, version, blueprint) VALUES (%s, %s, %s)"
        " ON CONFLICT (application, version) DO UPDATE SET blueprint = excluded.blueprint",
        [application, version, Json(now.to_json())],
    )


def mistakes(conn: Connection[Any], application: str, model: Model) -> list[Mistake]:
    """What of the manifest contradicts the replicas that earlier versions gave."""
    before = former(conn, application)
    found = []
    version, now = model.manifest.configuration.version, blueprint(model)
    same = before.get(version)
    if same and not same.holds_as(now) and _in_use(conn, application):
        found.append(Mistake("configuration.version", _ALTERED.format(version=version)))
    for at, migration in enumerate(model.manifest.migrations):
        if migration.from_version in before:
            try:
                upgrade(before[migration.from_version], model, migration)
            except MigrationFails as error:
                found.append(Mistake(f"migrations[{at}].sqlite", str(error)))
    return found


def _in_use(conn: Connection[Any], application: str) -> bool:
    found = conn.execute("SELECT EXISTS (SELECT 1 FROM yurt.workplaces WHERE application = %s)", [application])
    return found.fetchone() == (True,)
