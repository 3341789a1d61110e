"""The heart: change history, delta, apply, merge, snapshot. Knows manifests and PostgreSQL, and no service.

Everything here is synchronous psycopg; services call it in worker threads.
"""
