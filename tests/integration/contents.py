"""Everything that stands in a database, to be compared with what stands there later."""

import psycopg
from psycopg import sql

_TABLES = """
SELECT schemaname, tablename FROM pg_tables
WHERE schemaname <> 'information_schema' AND NOT starts_with(schemaname, 'pg_') ORDER BY 1, 2"""
_ROWS = "SELECT format('%s rows, %s', count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text))) FROM {} AS t"


def contents(url: str) -> dict[str, str]:
    """For each table of each schema the number of its rows and the md5 of all of them, every column as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(_TABLES).fetchall()
        return {
            f"{schema}.{table}": said
            for schema, table in tables
            for (said,) in connection.execute(sql.SQL(_ROWS).format(sql.Identifier(schema, table)))
        }
