"""Change capture: schema `yurt` and the triggers that append to the history (architecture.md, Change history)."""

import hashlib
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from psycopg import Connection, errors

from shared.replication import upgrade, versions
from shared.replication.history import outlives
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
    """How an application is attached. `generation` names the history; positions of another one mean nothing in it.
    `fingerprint` is empty when captured tables lack their triggers: what was changed meanwhile is not marked.
    """

    code: str
    area: str | None
    configuration: str
    version: str
    fingerprint: str
    generation: str


def install(conn: Connection[Any], application: str, model: Model) -> Capture:
    """Attach an application or bring its capture up to date, in one transaction which is committed.

    Afterwards every committed change of a synchronised table is marked in the history, and the catalogue fingerprint of
    `model` is the accepted one; what replicas of this version are is remembered. Where triggers had been missing, the
    history begins anew, unless such tables come whole with this version. Raises `ApplicationBusy`, and
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
            silenced = _install_triggers(conn, application, model)
            lacking = silenced - _come_whole(conn, application, model)
            versions.record(conn, application, model)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            raise ApplicationBusy(str(error)) from error
        configuration = model.manifest.configuration
        conn.execute(
            """
            INSERT INTO yurt.applications
                (code, area, configuration, version, fingerprint, generation, secret)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
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
                secrets.token_hex(16),
            ),
        )
        conn.execute(_BEAR_MARK)
        if lacking:
            _begin_anew(conn)
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

    A database that was restored without a word – into another cluster, another database, or in its place, whole or only
    some tables – gets a new generation here, because its history may lack what its replicas have seen. So do all other
    applications in it.
    """
    if conn.execute("SELECT to_regclass('yurt.applications') IS NULL").fetchone() == (True,):
        return None
    row = conn.execute(_STATE, [application]).fetchone()
    if row is None:
        return None
    *attached, is_another = row
    if not is_another:
        return Capture(*attached)
    with conn.transaction():
        conn.execute(_EXCLUSIVE)
        if conn.execute(_IS_ANOTHER).fetchone() == (True,):  # another gateway may have seen it first
            _begin_anew(conn)
    return _attached(conn, application)


def restored(conn: Connection[Any], application: str) -> str:
    """Declare that the database was restored from a backup: its history gets a new generation, which is returned."""
    with conn.transaction():
        if conn.execute("SELECT 1 FROM yurt.applications WHERE code = %s", [application]).fetchone() is None:
            raise LookupError(application)
        _begin_anew(conn, application)
    return _attached(conn, application).generation


def recognise(conn: Connection[Any], application: str, workplace: str, position: str) -> None:
    """A workplace shows its position. One that outlives this database tells that its files were put back to a former
    state: all applications in it get a new generation.
    """
    if not outlives(conn, application, workplace, position):
        return
    with conn.transaction():
        conn.execute(_EXCLUSIVE)
        if outlives(conn, application, workplace, position):
            _begin_anew(conn)


def _begin_anew(conn: Connection[Any], application: str | None = None) -> None:
    """New generations. What the history says of transactions that this cluster has not had yet would hide its own."""
    for statement in (_FORGET_FUTURE_MARKS, _FORGET_FUTURE_MOMENTS, _MESSAGES_ARE_PAST, _BEAR_MARK_AGAIN, _RELATIONS):
        conn.execute(statement)
    codes = conn.execute("SELECT code FROM yurt.applications WHERE code = %(code)s OR %(code)s::text IS NULL",
                         {"code": application}).fetchall()  # fmt: skip
    for (code,) in codes:
        conn.execute(_NEW_GENERATION, [secrets.token_hex(8), code])
        conn.execute("UPDATE yurt.workplaces SET acknowledged = NULL, respected = NULL WHERE application = %s", [code])


_BORN_HERE = """
SELECT c.system_identifier::text, d.oid, 'yurt.birthmark'::regclass::oid
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
"""
_BEAR_MARK = f"INSERT INTO yurt.birthmark {_BORN_HERE} AND NOT EXISTS (SELECT FROM yurt.birthmark)".encode()
_BEAR_MARK_AGAIN = f"DELETE FROM yurt.birthmark; INSERT INTO yurt.birthmark {_BORN_HERE}".encode()
_RELATION = "to_regclass(quote_ident(schema_name) || '.' || quote_ident(table_name))::oid"
# Only the tables that are there: a table that is not makes the manifest invalid.
_RELATIONS = f"UPDATE yurt.captured SET relation = {_RELATION} WHERE {_RELATION} <> relation".encode()
# Triggers that are switched off or gone: what is written meanwhile is not marked.
_IS_SILENCED = f"""{len(OPERATIONS)} > (
    SELECT count(*) FROM pg_trigger WHERE tgrelid = {_RELATION} AND tgenabled = 'A'
    AND tgname IN ({", ".join(f"'yurt_{operation}'" for operation in OPERATIONS)}))
"""
_SILENCED = f"SELECT schema_name, table_name FROM yurt.captured WHERE {_IS_SILENCED}"
_IS_ANOTHER = f"""
SELECT NOT EXISTS (SELECT system_identifier, database, relation FROM yurt.birthmark INTERSECT {_BORN_HERE})
    OR EXISTS (SELECT 1 FROM yurt.captured WHERE {_RELATION} <> relation AND NOT {_IS_SILENCED})
""".encode()
_STATE = f"""
SELECT code, area, configuration, version, CASE WHEN EXISTS ({_SILENCED}) THEN '' ELSE fingerprint END, generation,
       ({_IS_ANOTHER.decode()})
FROM yurt.applications WHERE code = %s
""".encode()

_FORGET_FUTURE_MARKS = b"DELETE FROM yurt.history WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())"
_FORGET_FUTURE_MOMENTS = b"""
DELETE FROM yurt.moments WHERE pg_snapshot_xmax(position::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
"""
_MESSAGES_ARE_PAST = b"""
UPDATE yurt.messages SET xid = pg_current_xact_id() WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
"""
_NEW_GENERATION = b"""
UPDATE yurt.applications SET generation = %s, forgotten = least(forgotten, pg_snapshot_xmin(pg_current_snapshot())),
    compacted = least(compacted, pg_snapshot_xmin(pg_current_snapshot())) WHERE code = %s
"""


def _exclude_others(conn: Connection[Any]) -> None:
    try:
        conn.execute(_EXCLUSIVE)
    except errors.LockNotAvailable as error:
        raise ApplicationBusy(str(error)) from error


def _attached(conn: Connection[Any], application: str) -> Capture:
    row = conn.execute(_STATE, [application]).fetchone()
    if row is None:
        raise LookupError(application)
    return Capture(*row[:-1])


def _come_whole(conn: Connection[Any], application: str, model: Model) -> set[tuple[str, str]]:
    """Tables that every replica given so far gets whole, because this version describes their aggregate otherwise."""
    replicas = versions.former(conn, application).values()
    whole = set.intersection(*(set(upgrade.altered(replica, model)) for replica in replicas)) if replicas else set()
    return {(table.schema, table.name) for root in model.roots if root.name in whole for table in root.tables}


def _install_triggers(conn: Connection[Any], application: str, model: Model) -> set[tuple[str, str]]:
    """The tables whose capture had been interrupted."""
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
    silenced = set(conn.execute(_SILENCED.encode()).fetchall())
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
        if present == definition and (schema, name) not in silenced:
            continue
        _drop_triggers(conn, schema, name)
        for statement in definitions:
            conn.execute(statement.encode())
        conn.execute(
            f"INSERT INTO yurt.captured SELECT schema_name, table_name, %s, %s, {_RELATION}"
            " FROM (VALUES (%s, %s)) AS named (schema_name, table_name)".encode(),
            [configuration, definition, schema, name],
        )
    return silenced & wanted.keys()


def _drop_triggers(conn: Connection[Any], schema: str, name: str) -> None:
    """Dropping the functions drops the triggers on the table and on all its partitions."""
    for operation in OPERATIONS:
        conn.execute(f"DROP FUNCTION IF EXISTS {function_name(schema, name, operation)} CASCADE".encode())
    conn.execute("DELETE FROM yurt.captured WHERE schema_name = %s AND table_name = %s", [schema, name])
