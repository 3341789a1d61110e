"""Change capture: schema `yurt` and the triggers that append to the history (architecture.md, Change history)."""

import hashlib
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg import Connection, errors
from psycopg.rows import class_row

from shared.replication import versions
from shared.replication.manifest import ManifestInvalid, Mistake
from shared.replication.model import Model
from shared.replication.triggers import OPERATIONS, function_name, statements

LOCK_TIMEOUT = "5s"

# Installing and removing exclude each other; writers are never involved.
_EXCLUSIVE = "SELECT pg_advisory_xact_lock(hashtext('yurt.capture'))"


class ApplicationBusy(Exception):
    """A writer holds the application's tables for longer than the lock time-out; nothing was changed, try again."""


@dataclass(frozen=True)
class Capture:
    """How an application is attached. `generation` names the history; positions of another one mean nothing in it."""

    code: str
    area: str | None
    configuration: str
    version: str
    fingerprint: str
    generation: str


def install(conn: Connection[Any], application: str, model: Model) -> Capture:
    """Attach an application or bring its capture up to date, in one transaction which is committed.

    Afterwards every committed change of a synchronised table is marked in the history, and the catalogue fingerprint of
    `model` is the accepted one; what replicas of this version are is remembered. Raises `ApplicationBusy`, and
    `ManifestInvalid` when another configuration captures one of the tables already, or when tables were altered while
    replicas of the same version are in use.
    """
    with conn.transaction():
        conn.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        conn.execute("SET LOCAL client_min_messages = warning")
        _exclude_others(conn)
        try:
            conn.execute(files(__package__).joinpath("schema.sql").read_bytes())
            if mistakes := versions.mistakes(conn, application, model):
                raise ManifestInvalid(mistakes)
            _install_triggers(conn, application, model)
            versions.record(conn, application, model)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            raise ApplicationBusy(str(error)) from error
        configuration = model.manifest.configuration
        conn.execute(
            """
            INSERT INTO yurt.applications
                (code, area, configuration, version, fingerprint, generation, system_identifier)
            SELECT %s, %s, %s, %s, %s, %s, system_identifier::text FROM pg_control_system()
            ON CONFLICT (code) DO UPDATE SET area = excluded.area, configuration = excluded.configuration,
                version = excluded.version, fingerprint = excluded.fingerprint, attached_at = now()
            """,
            (
                application,
                model.area,
                configuration.name,
                configuration.version,
                model.fingerprint,
                secrets.token_hex(8),
            ),
        )
        return _attached(conn, application)


def remove(conn: Connection[Any], application: str) -> None:
    """Detach an application, in one transaction which is committed. The last one takes the schema `yurt` with it.

    Its history, messages and problems are gone then; the application's own data are untouched.
    """
    with conn.transaction():
        conn.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        conn.execute("SET LOCAL client_min_messages = warning")
        _exclude_others(conn)
        if conn.execute("SELECT to_regclass('yurt.applications') IS NULL").fetchone() == (True,):
            return
        row = conn.execute(
            "DELETE FROM yurt.applications WHERE code = %s RETURNING configuration", [application]
        ).fetchone()
        if row is None:
            return
        remaining = conn.execute(
            "SELECT count(*) FILTER (WHERE configuration = %s), count(*) FROM yurt.applications", row
        )
        same, all_others = remaining.fetchone() or (0, 0)
        conn.execute(
            "DELETE FROM yurt.problem_events e USING yurt.problems p WHERE e.problem = p.id AND p.application = %s",
            [application],
        )
        for table in ("yurt.problems", "yurt.leases", "yurt.versions"):
            conn.execute(f"DELETE FROM {table} WHERE application = %s", [application])
        conn.execute(
            "DELETE FROM yurt.messages m USING yurt.workplaces w"
            " WHERE m.workplace = w.workplace AND w.application = %s",
            [application],
        )
        conn.execute("DELETE FROM yurt.workplaces WHERE application = %s", [application])
        try:
            if not same:
                for schema, name in conn.execute(
                    "SELECT schema_name, table_name FROM yurt.captured WHERE configuration = %s", row
                ).fetchall():
                    _drop_triggers(conn, schema, name)
            if not all_others:
                conn.execute("DROP SCHEMA yurt CASCADE")
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            raise ApplicationBusy(str(error)) from error


def state(conn: Connection[Any], application: str) -> Capture | None:
    """How the application is attached, None when it is not.

    A database that was restored into another cluster gets a new generation here, because its history may lack what its
    replicas have seen.
    """
    if conn.execute("SELECT to_regclass('yurt.applications') IS NULL").fetchone() == (True,):
        return None
    if conn.execute(
        "SELECT 1 FROM yurt.applications a, pg_control_system() c"
        " WHERE code = %s AND a.system_identifier <> c.system_identifier::text",
        [application],
    ).fetchone():
        restored(conn, application)
    with conn.cursor(row_factory=class_row(Capture)) as cursor:
        return cursor.execute(_ATTACHED, [application]).fetchone()


def restored(conn: Connection[Any], application: str) -> str:
    """Declare that the database was restored from a backup: its history gets a new generation, which is returned."""
    row = conn.execute(
        "UPDATE yurt.applications SET generation = %s, system_identifier = c.system_identifier::text"
        " FROM pg_control_system() c WHERE code = %s RETURNING generation",
        [secrets.token_hex(8), application],
    ).fetchone()
    if row is None:
        raise LookupError(application)
    return str(row[0])


_ATTACHED = "SELECT code, area, configuration, version, fingerprint, generation FROM yurt.applications WHERE code = %s"


def _exclude_others(conn: Connection[Any]) -> None:
    try:
        conn.execute(_EXCLUSIVE)
    except errors.LockNotAvailable as error:
        raise ApplicationBusy(str(error)) from error


def _attached(conn: Connection[Any], application: str) -> Capture:
    with conn.cursor(row_factory=class_row(Capture)) as cursor:
        capture = cursor.execute(_ATTACHED, [application]).fetchone()
    if capture is None:
        raise LookupError(application)
    return capture


def _install_triggers(conn: Connection[Any], application: str, model: Model) -> None:
    configuration = model.manifest.configuration.name
    # A configuration that was renamed keeps its triggers, unless another application still goes by the old name.
    conn.execute(
        "UPDATE yurt.captured SET configuration = %(new)s"
        " WHERE configuration = (SELECT configuration FROM yurt.applications WHERE code = %(code)s)"
        " AND NOT EXISTS (SELECT 1 FROM yurt.applications a"
        "  WHERE a.code <> %(code)s AND a.configuration = captured.configuration)",
        {"new": configuration, "code": application},
    )
    captured = {
        (schema, name): (owner, definition)
        for schema, name, owner, definition in conn.execute(
            "SELECT schema_name, table_name, configuration, definition FROM yurt.captured"
        )
    }
    wanted = {
        (table.schema, table.name): list(statements(model, root, table))
        for root in model.roots
        for table in root.tables
    }
    for (schema, name), (owner, _) in captured.items():
        if owner == configuration and (schema, name) not in wanted:
            _drop_triggers(conn, schema, name)
    for (schema, name), definitions in wanted.items():
        definition = hashlib.sha256("\n".join(definitions).encode()).hexdigest()
        owner, present = captured.get((schema, name), (configuration, None))
        if owner != configuration:
            raise ManifestInvalid(
                [Mistake("configuration.name", f"table {name} is captured for configuration {owner}")]
            )
        if present == definition:
            continue
        _drop_triggers(conn, schema, name)
        for statement in definitions:
            conn.execute(statement.encode())
        conn.execute("INSERT INTO yurt.captured VALUES (%s, %s, %s, %s)", [schema, name, configuration, definition])


def _drop_triggers(conn: Connection[Any], schema: str, name: str) -> None:
    """Dropping the functions drops the triggers on the table and on all its partitions."""
    for operation in OPERATIONS:
        conn.execute(f"DROP FUNCTION IF EXISTS {function_name(schema, name, operation)} CASCADE".encode())
    conn.execute("DELETE FROM yurt.captured WHERE schema_name = %s AND table_name = %s", [schema, name])
