"""Forgetting the marks that nobody needs any more (architecture.md, Change history, 4).

A mark goes when every workplace that counts has seen it, or when a later mark of the same object says the same. Only
transactions are touched that had ended a while ago (`keep`), so that whatever was read meanwhile – a package under
construction, a base image – lacks nothing. What went is written down beside the history, in the same statement: whether
a position can still be led to now is decided by the snapshot that reads the history, never by a clock.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from shared.replication.history import is_not_later


@dataclass(frozen=True)
class Forgotten:
    """How many marks went: seen by all, and repeated by later ones."""

    seen: int
    repeated: int


def forget(conn: Connection[Any], *, keep: timedelta, retention: timedelta) -> Forgotten | None:
    """Drop marks of all applications of this database that are older than `keep`; None when somebody else is at it.

    A workplace that was silent for longer than `retention` is not waited for: it has to resync if it returns.
    """
    with conn.transaction():
        if conn.execute("SELECT pg_try_advisory_xact_lock(hashtext('yurt.retention'))").fetchone() != (True,):
            return None
        conn.execute("INSERT INTO yurt.moments DEFAULT VALUES")
        moment = conn.execute(_MOMENT, {"keep": keep}).fetchone()
        if moment is None:
            return Forgotten(0, 0)
        arguments = {"moment": moment[0], "retention": retention}
        seen = conn.execute(_FORGET_SEEN, arguments).fetchone()
        repeated = conn.execute(_FORGET_REPEATED, arguments).fetchone()
    return Forgotten(seen[0] if seen else 0, repeated[0] if repeated else 0)


def since(conn: Connection[Any], application: str, workplace: str, snapshot: str) -> str | None:
    """From where the history tells the holder of a snapshot everything: the snapshot itself, or one before it.

    None: marks it has not seen are gone. Holds for the caller's transaction.
    """
    row = conn.execute(_SINCE, {"application": application, "workplace": workplace, "snapshot": snapshot}).fetchone()
    if row is None:
        return None
    whole, respected = row
    if whole:
        return snapshot
    return respected if respected is not None and is_not_later(respected, snapshot) else None


# SQL that holds for a snapshot from which the history, as it is, leads to now. `a` is the application's row, `w`
# that of the workplace or nothing.
COMPLETE = (
    "pg_snapshot_xmin({snapshot}::pg_snapshot) >= a.forgotten AND (pg_snapshot_xmin({snapshot}::pg_snapshot) >="
    " a.compacted OR w.respected IS NOT DISTINCT FROM {snapshot})"
)

_SINCE = f"""
SELECT {COMPLETE.format(snapshot="%(snapshot)s::text")},
       CASE WHEN pg_snapshot_xmin(w.respected::pg_snapshot) >= a.forgotten THEN w.respected END
FROM yurt.applications a LEFT JOIN yurt.workplaces w ON w.workplace = %(workplace)s
WHERE a.code = %(application)s
"""

# The newest moment that is old enough; those before it have served.
_MOMENT = """
WITH ripe AS (SELECT taken_at, position FROM yurt.moments WHERE taken_at <= now() - %(keep)s::interval
              ORDER BY taken_at DESC LIMIT 1),
     served AS (DELETE FROM yurt.moments m USING ripe WHERE m.taken_at < ripe.taken_at)
SELECT position FROM ripe
"""

_HELD = """
SELECT a.area, w.workplace, w.acknowledged, pg_snapshot_xmin(w.acknowledged::pg_snapshot) AS xmin
FROM yurt.workplaces w JOIN yurt.applications a ON a.code = w.application
WHERE w.acknowledged IS NOT NULL AND w.acknowledged_at >= now() - %(retention)s::interval
"""

# Whole-table marks (key IS NULL) concern every area. Marks of an area that nobody is attached for concern nobody.
_FORGET_SEEN = f"""
WITH held AS MATERIALIZED ({_HELD}),
ripe AS MATERIALIZED (SELECT pg_snapshot_xmin(%(moment)s::pg_snapshot) AS xmin),
everywhere AS MATERIALIZED (
    SELECT least((SELECT xmin FROM ripe), (SELECT min(xmin) FROM held)) AS horizon
),
horizons AS MATERIALIZED (
    SELECT a.area, least((SELECT xmin FROM ripe), min(h.xmin)) AS horizon
    FROM yurt.applications a LEFT JOIN held h ON h.area IS NOT DISTINCT FROM a.area GROUP BY a.area
),
gone AS (
    DELETE FROM yurt.history m WHERE m.xid < (SELECT xmin FROM ripe) AND m.xid < CASE
        WHEN m.key IS NULL THEN (SELECT horizon FROM everywhere)
        ELSE coalesce((SELECT z.horizon FROM horizons z WHERE z.area IS NOT DISTINCT FROM m.area),
                      (SELECT xmin FROM ripe)) END
    RETURNING 1
),
noted AS (
    UPDATE yurt.applications a SET forgotten = greatest(a.forgotten, z.horizon) FROM horizons z
    WHERE z.area IS NOT DISTINCT FROM a.area AND EXISTS (SELECT 1 FROM gone)
)
SELECT count(*) FROM gone
"""

# A mark stands for an earlier one of the same object that says the same; what nobody pushed (origin NULL) stands for an
# echo too. Who holds a position given out before the moment might have seen the later and not the earlier one, while
# both ran: positions that are known are spared here, with others `since` goes back to one that was.
_FORGET_REPEATED = f"""
WITH held AS MATERIALIZED ({_HELD}),
ripe AS MATERIALIZED (SELECT pg_snapshot_xmin(%(moment)s::pg_snapshot) AS xmin),
running AS MATERIALIZED (SELECT DISTINCT pg_snapshot_xip(acknowledged::pg_snapshot) AS xid FROM held),
marks AS (
    SELECT ctid AS place, xid, origin,
           max(xid) FILTER (WHERE origin IS NULL) OVER same AS last_of_all,
           max(xid) OVER (same_origin ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_of_origin,
           row_number() OVER same_origin AS nth
    FROM yurt.history WHERE xid < (SELECT xmin FROM ripe)
    WINDOW same AS (PARTITION BY table_name, key, area, recipient, rejected, alias, organisation_before,
                     organisation_after),
           same_origin AS (PARTITION BY table_name, key, area, recipient, rejected, alias, organisation_before,
                            organisation_after, origin ORDER BY xid DESC)
),
gone AS (
    DELETE FROM yurt.history m USING marks r WHERE m.ctid = r.place AND (
        r.nth > 1 AND (r.xid = r.last_of_origin OR r.xid NOT IN (SELECT xid FROM running))
        OR r.origin IS NOT NULL AND r.xid <= r.last_of_all
           AND (r.xid = r.last_of_all OR r.xid NOT IN (SELECT xid FROM running)))
    RETURNING 1
),
noted AS (
    UPDATE yurt.applications SET compacted = greatest(compacted, (SELECT xmin FROM ripe))
    WHERE EXISTS (SELECT 1 FROM gone)
),
spared AS (
    UPDATE yurt.workplaces w SET respected = (SELECT h.acknowledged FROM held h WHERE h.workplace = w.workplace)
    WHERE EXISTS (SELECT 1 FROM gone)
)
SELECT count(*) FROM gone
"""
