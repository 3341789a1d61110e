"""A line that is cut without a word, or that something on the way has forgotten, is noticed at both of its ends."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from shared.replication.session import configure
from shared.runtime.database import conninfo, create_engine
from shared.runtime.notifications import notifications
from shared.runtime.objects import Objects
from shared.runtime.settings import ObjectSettings
from shared.runtime.silence import watched, watched_at_both_ends
from tests.chaos.outages.line import Line

SILENCE = 2.0
PATIENCE = 20.0  # without being watched, nothing of this ends before a minute
LOCK = text("SELECT pg_advisory_lock(1)")


@pytest.fixture
def line(fresh_database: str) -> Iterator[Line]:
    with Line(fresh_database).open() as line:
        yield line


def forget(line: Line) -> None:
    """Every connection there is stays silent for ever; new ones get through."""
    line.cut()
    line.mend(forgetting=1)


async def test_a_pooled_connection_that_was_forgotten_is_replaced(fresh_database: str, line: Line) -> None:
    engine = create_engine(watched_at_both_ends(line.through(fresh_database), SILENCE))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        forget(line)
        async with asyncio.timeout(PATIENCE), engine.connect() as connection:
            assert (await connection.execute(text("SELECT 2"))).scalar_one() == 2
    finally:
        await engine.dispose()


async def test_who_waits_for_an_answer_over_a_cut_line_is_told(fresh_database: str, line: Line) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        await psycopg.AsyncConnection.connect(fresh_database, autocommit=True) as other,
        await psycopg.AsyncConnection.connect(watched(line.through(fresh_database), SILENCE)) as connection,
    ):
        await other.execute("SELECT pg_advisory_lock(1)")
        waiting = asyncio.create_task(connection.execute("SELECT pg_advisory_lock(1)"))
        await until_somebody_waits(other)
        line.cut()
        with pytest.raises(psycopg.OperationalError):
            await waiting


async def test_listening_goes_on_after_its_connection_was_forgotten(fresh_database: str, line: Line) -> None:
    engine = create_engine(watched_at_both_ends(line.through(fresh_database), SILENCE))
    url = conninfo(engine)
    async with asyncio.timeout(PATIENCE), aclosing(notifications(url, "lamps")) as heard:
        assert await anext(heard) is None
        forget(line)
        assert await anext(heard) is None


async def test_a_service_that_was_cut_off_leaves_no_lock_behind(fresh_database: str, line: Line) -> None:
    engine = create_engine(watched_at_both_ends(line.through(fresh_database), SILENCE))
    async with asyncio.timeout(PATIENCE), await psycopg.AsyncConnection.connect(fresh_database) as other:
        holder = await engine.connect()
        await holder.execute(LOCK)
        line.cut()
        await other.execute("SELECT pg_advisory_lock(1)")
        await holder.invalidate()
        await holder.close()
    await engine.dispose()


def test_a_server_watches_a_service_before_its_first_transaction(fresh_database: str) -> None:
    with psycopg.connect(watched_at_both_ends(fresh_database, SILENCE)) as connection:
        assert connection.execute("SHOW tcp_user_timeout").fetchone() == ("2000",)


async def test_a_gateway_that_was_cut_off_leaves_no_lock_in_an_application(fresh_database: str, line: Line) -> None:
    with psycopg.connect(watched(line.through(fresh_database), SILENCE)) as holder:
        configure(holder)
        holder.execute("SELECT pg_advisory_lock(1)")
        line.cut()
        async with asyncio.timeout(PATIENCE), await psycopg.AsyncConnection.connect(fresh_database) as other:
            await other.execute("SELECT pg_advisory_lock(1)")


async def test_a_store_whose_connection_was_forgotten_answers_over_a_new_one(s3_url: str) -> None:
    bucket = f"test-{uuid4().hex}"
    with Line(s3_url).open() as line:
        url = urlunsplit(urlsplit(line.through(s3_url))._replace(path=f"/{bucket}"))
        objects = Objects(ObjectSettings(s3_url=url, silence=SILENCE))
        await objects.ensure_bucket()
        forget(line)
        async with asyncio.timeout(PATIENCE):
            assert (await objects.put_stream("a", [b"whole"])).size == 5
    await objects_gone(s3_url, bucket)


async def objects_gone(s3_url: str, bucket: str) -> None:
    objects = Objects(ObjectSettings(s3_url=s3_url, s3_bucket=bucket))
    for found in [found async for found in objects.list()]:
        await objects.delete(found.name)


async def until_somebody_waits(connection: psycopg.AsyncConnection) -> None:
    """Returns once a lock of this database is waited for."""
    query = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE NOT granted AND datname = %s"
    while True:
        if await (await connection.execute(query, [connection.info.dbname])).fetchone() == (1,):
            return
