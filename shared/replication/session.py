"""Connections to application databases."""

from typing import Any

from psycopg import Connection

from shared.runtime.silence import watching

# How values are printed is part of the contract (protocol.md, Values), so it must not depend on a role's settings.
# Row security must not hide rows silently: a role that is subject to it gets an error instead.
_SETTINGS = (
    "SELECT set_config('DateStyle', 'ISO, YMD', false), set_config('IntervalStyle', 'postgres', false),"
    " set_config('TimeZone', 'UTC', false), set_config('lc_monetary', 'C', false),"
    " set_config('client_encoding', 'UTF8', false), set_config('standard_conforming_strings', 'on', false),"
    " set_config('extra_float_digits', '1', false), set_config('bytea_output', 'hex', false),"
    " set_config('row_security', 'off', false), set_config('application_name', 'yurt', false),"
    " set_config('default_transaction_isolation', 'read committed', false)"
)


def configure(conn: Connection[Any]) -> None:
    """Make a fresh connection fit for the heart. Pass it as `configure` of a pool.

    Afterwards the connection commits each statement by itself: whoever needs a transaction opens one.
    """
    conn.autocommit = True
    conn.execute(_SETTINGS)
    conn.execute(watching(conn.info).encode())


def connect(url: str) -> Connection[Any]:
    """A connection to an application database, fit for the heart. The caller closes it."""
    conn = Connection.connect(url)
    configure(conn)
    return conn
