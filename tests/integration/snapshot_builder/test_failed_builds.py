import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.processes import free_port
from services.snapshot_builder.tables import Job
from shared.contracts.snapshot_builder import BuildFailed, PackageBuilt
from shared.runtime.settings import ObjectSettings
from tests.integration.snapshot_builder.stand import Running, Stand, until


async def postponed(stand: Stand) -> Job:
    """The only job, once it was put back."""
    found: list[Job] = []

    async def put_back() -> bool:
        jobs = (await stand.jobs()).values()
        found.extend(job for job in jobs if job.postponements > 0 and job.state == "waiting")
        return bool(found)

    await until(put_back)
    return found[0]


async def failed(running: Running) -> BuildFailed:
    request = await running.request()
    event = await running.witness.next(BuildFailed)
    assert (event.package_id, event.workplace) == (request.package, request.workplace)
    return event


async def test_a_manifest_that_does_not_fit_fails_at_once_with_its_mistakes(stand: Stand) -> None:
    stand.application.described["manifest"] = stand.application.described["manifest"].replace("goods", "wares")
    async with stand.running() as running:
        event = await failed(running)
    assert event.code == "manifest_invalid"
    assert "wares" in event.text
    assert [job.attempts for job in (await stand.jobs()).values()] == [1]


async def test_an_altered_table_fails_at_once(stand: Stand) -> None:
    stand.application.execute("ALTER TABLE goods ADD COLUMN colour text")
    async with stand.running() as running:
        assert (await failed(running)).code == "catalogue_changed"


async def test_an_unknown_connection_fails_at_once_and_shows_no_secret(stand: Stand) -> None:
    stand.application.described["connection"] = "postgresql://me:secret@nowhere/x"
    async with stand.running() as running:
        event = await failed(running)
    assert event.code == "unknown_connection"
    assert "secret" not in event.text


async def test_an_unknown_application_fails_at_once(stand: Stand) -> None:
    stand.application.code = "another"
    async with stand.running() as running:
        assert (await failed(running)).code == "not_found"


async def test_other_failures_are_tried_a_few_times_and_leave_nothing(stand: Stand) -> None:
    (stand.settings.builder.program_dir / "ReadMe.html.in").write_text("$nonsense")
    async with stand.running() as running:
        assert (await failed(running)).code == "build_failed"
    (job,) = (await stand.jobs()).values()
    assert (job.state, job.attempts) == ("failed", 3)
    assert await stand.stored("packages/") == []
    assert list((stand.settings.service.home / "snapshot-builder" / "work").iterdir()) == []


async def test_an_application_database_that_is_away_is_waited_for(stand: Stand) -> None:
    name = sql.Identifier(urlsplit(stand.application.url).path.strip("/"))
    server = urlunsplit(urlsplit(stand.application.url)._replace(path="/postgres"))
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as admin, stand.running() as running:
        await admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        request = await running.request()
        job = await postponed(stand)
        assert (job.attempts, job.unreachable_since is not None) == (0, True)
        await admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        assert (await running.witness.next(PackageBuilt)).package.id == request.package


async def test_an_application_database_that_stays_away_fails_the_build(stand: Stand) -> None:
    stand.having(build_patience=0.5)
    name = sql.Identifier(urlsplit(stand.application.url).path.strip("/"))
    server = urlunsplit(urlsplit(stand.application.url)._replace(path="/postgres"))
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as admin, stand.running() as running:
        await admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        assert (await failed(running)).code == "build_failed"


async def test_a_store_that_is_away_costs_no_attempt(stand: Stand, bucket: ObjectSettings) -> None:
    stand.having(build_attempts=1)
    port = free_port()
    there = urlsplit(bucket.s3_url)
    away = there._replace(netloc=f"{there.username}:{there.password}@127.0.0.1:{port}")
    stand.settings = replace(stand.settings, objects=ObjectSettings(s3_url=urlunsplit(away)))
    async with stand.running() as running:
        request = await running.request()
        job = await postponed(stand)
        assert (job.attempts, job.unreachable_since) == (0, None)
        async with door(port, there.hostname or "", there.port or 80):
            assert (await running.witness.next(PackageBuilt)).package.id == request.package
    assert (await stand.jobs())[request.package].attempts == 1


@asynccontextmanager
async def door(port: int, host: str, behind: int) -> AsyncIterator[None]:
    """Inside, what listens on `host:behind` is reached on `port` too."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, behind)
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    server = await asyncio.start_server(enter, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
