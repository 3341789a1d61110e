"""LISTEN that goes on."""

import asyncio
from contextlib import aclosing

import psycopg

from shared.runtime.notifications import notifications


async def test_payloads_arrive_and_a_lost_connection_is_told_by_none(fresh_database: str) -> None:
    async with asyncio.timeout(20), aclosing(notifications(fresh_database, "lamps")) as heard:
        assert await anext(heard) is None
        with psycopg.connect(fresh_database, autocommit=True) as teller:
            teller.execute("SELECT pg_notify('lamps', 'a'), pg_notify('lamps', 'b'), pg_notify('others', 'c')")
            assert [await anext(heard), await anext(heard)] == ["a", "b"]
            teller.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert await anext(heard) is None
            teller.execute("NOTIFY lamps, 'd'")
            assert await anext(heard) == "d"
