import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg

from services.snapshot_builder.accept_request import accept_request
from services.snapshot_builder.claim_job import claim_job, renew_lease, seconds_until_next
from services.snapshot_builder.end_workplace import end_workplace
from services.snapshot_builder.finish_job import finish_failed
from services.snapshot_builder.tables import Job
from shared.contracts.provisioning import PackageRequested
from shared.contracts.snapshot_builder import BuildFailed, PackageBuilt
from shared.runtime.database import create_engine, sessions
from tests.integration.snapshot_builder.stand import Stand, database_of, ended, requested, until


@asynccontextmanager
async def orders_locked(stand: Stand) -> AsyncIterator[None]:
    """A build that reads the orders waits inside."""
    async with await psycopg.AsyncConnection.connect(stand.application.url) as conn:
        await conn.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield


async def asked(stand: Stand, *requests: PackageRequested) -> None:
    """As the consumer does, one transaction each, while no builder runs."""
    for request in requests:
        async with stand.sessions.begin() as session:
            await accept_request(session, request)


async def claimed(stand: Stand, lease: float = 30) -> Job | None:
    async with stand.sessions.begin() as session:
        return await claim_job(session, uuid4(), lease)


async def package_of(job: Job | None) -> UUID | None:
    return job.package if job else None


async def test_a_request_told_twice_is_built_once(stand: Stand) -> None:
    async with stand.running() as running:
        request = await running.request()
        await running.send(request)
        await running.witness.next(PackageBuilt)
        await running.send(request)
    assert len(await stand.jobs()) == 1
    assert sum(isinstance(event, PackageBuilt) for event in running.witness.all) == 1


async def test_the_job_of_a_lost_worker_is_taken_over_when_its_lease_ends(stand: Stand) -> None:
    request = requested()
    await asked(stand, request)
    lost = await claimed(stand, lease=1)
    assert lost is not None
    async with stand.running() as running:
        event = await running.witness.next(PackageBuilt)
    assert event.package.id == request.package
    job = (await stand.jobs())[request.package]
    assert (job.state, job.claim, job.attempts) == ("done", 2, 2)


async def test_a_worker_that_lost_its_job_can_neither_renew_nor_end_it(stand: Stand) -> None:
    await asked(stand, requested())
    lost = await claimed(stand, lease=0.001)
    taken = await claimed(stand)
    assert lost is not None
    assert taken is not None
    assert (taken.package, taken.claim) == (lost.package, 2)
    async with stand.sessions.begin() as session:
        assert not await renew_lease(session, lost, "reading", 1, 2, 30)
        assert not await finish_failed(session, lost, "build_failed", "…")
        assert await renew_lease(session, taken, "reading", 1, 2, 30)


async def test_a_job_whose_workers_are_lost_again_and_again_fails(stand: Stand) -> None:
    stand.having(build_attempts=2)
    request = requested()
    await asked(stand, request)
    for _ in range(2):
        assert await claimed(stand, lease=0.001)
    async with stand.running() as running:
        event = await running.witness.next(BuildFailed)
    assert (event.package_id, event.code) == (request.package, "build_failed")


async def test_competing_workers_take_different_jobs_and_wait_for_none(stand: Stand) -> None:
    await asked(stand, *(requested() for _ in range(4)))
    async with stand.sessions() as one, stand.sessions() as other:
        first, second = await claim_job(one, uuid4(), 30), await claim_job(other, uuid4(), 30)
        assert first is not None
        assert second is not None
        assert first.package != second.package


async def test_a_job_that_fell_due_a_moment_ago_is_not_waited_for(stand: Stand) -> None:
    await asked(stand, requested())
    async with stand.sessions() as session:
        seconds = await seconds_until_next(session)
    assert seconds is not None
    assert seconds <= 0


async def test_packages_of_one_workplace_are_built_in_the_order_they_were_asked_for(stand: Stand) -> None:
    workplace = uuid4()
    first, second = requested(workplace=workplace), requested(workplace=workplace)
    await asked(stand, first, second)
    assert await package_of(await claimed(stand)) == first.package
    assert await claimed(stand) is None


async def test_a_cancelled_build_stops_at_once_and_leaves_no_object(stand: Stand) -> None:
    async with stand.running() as running, orders_locked(stand):
        request = await running.request()
        await stand.until_running(request.package)
        await running.end(request.workplace)
        await until(lambda: no_work(stand))
        job = (await stand.jobs())[request.package]
        assert (job.state, job.claim) == ("cancelled", 1)
    assert await stand.stored("") == []
    assert running.witness.all == []


async def test_an_end_between_upload_and_record_leaves_no_object(stand: Stand) -> None:
    async with stand.running() as running, stand.sessions() as session:
        async with orders_locked(stand):
            request = await running.request()
            await stand.until_running(request.package)
            await session.get_one(Job, request.package, with_for_update=True)  # nobody ends the job meanwhile
        await until(lambda: uploaded(stand))
        await end_workplace(session, ended(request.workplace))
        await session.commit()
        await until(lambda: no_work(stand))
        assert await stand.stored("packages/") == []
    assert (await stand.jobs())[request.package].state == "cancelled"
    assert not any(isinstance(event, PackageBuilt | BuildFailed) for event in running.witness.all)


async def uploaded(stand: Stand) -> bool:
    return bool(await stand.stored("packages/"))


async def no_work(stand: Stand) -> bool:
    return not list((stand.settings.service.home / "snapshot-builder" / "work").iterdir())


async def test_an_end_that_arrives_before_the_request_leaves_nothing_to_build(stand: Stand) -> None:
    async with stand.running() as running:
        workplace = uuid4()
        await running.end(workplace)
        request = await running.request(workplace=workplace)
        other = await running.request()
        assert (await running.witness.next(PackageBuilt)).package.id == other.package
    assert (await stand.jobs())[request.package].state == "cancelled"


async def test_a_request_and_the_end_of_its_workplace_at_one_moment_leave_nothing_to_build(stand: Stand) -> None:
    async with stand.running() as running:
        requests = [requested() for _ in range(20)]
        ends = [running.end(request.workplace) for request in requests]
        await asyncio.gather(*(running.send(request) for request in requests), *ends)
    assert {job.state for job in (await stand.jobs()).values()} == {"cancelled"}


async def test_a_builder_that_is_stopped_puts_its_job_back_for_others(stand: Stand) -> None:
    async with orders_locked(stand), stand.running() as running:
        request = await running.request()
        await stand.until_running(request.package)
    job = (await stand.jobs())[request.package]
    assert (job.state, job.attempts, job.lease_until) == ("waiting", 0, None)
    async with stand.running() as running:
        assert (await running.witness.next(PackageBuilt)).package.id == request.package


async def test_the_lease_is_renewed_while_the_build_is_under_way(stand: Stand) -> None:
    stand.having(build_lease=0.3, build_progress_interval=5)
    async with stand.running() as running:
        async with orders_locked(stand):
            request = await running.request()
            await stand.until_running(request.package)
            engine = create_engine(database_of(stand.settings))
            for _ in range(5):
                await asyncio.sleep(0.2)
                async with sessions(engine).begin() as session:
                    assert await claim_job(session, uuid4(), 30) is None
            await engine.dispose()
        await running.witness.next(PackageBuilt)
    assert (await stand.jobs())[request.package].claim == 1
