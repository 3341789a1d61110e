"""Parts that are away, and what comes late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlmodel import col, select, update

from services.sync_gateway.administration.kept_replies import ABANDONED_AFTER, Reply, reply_once
from services.sync_gateway.administration.project_workplace import project_workplace
from services.sync_gateway.exchange.complete_exchange import expire_exchanges
from services.sync_gateway.tables import Exchange, KnownScope, Workplace
from services.sync_gateway.tidy import release_histories
from shared.contracts.provisioning import WorkplaceChanged
from shared.runtime.problem import Problem
from tests.integration.sync_gateway.stand import API, Stand, code
from tests.integration.sync_gateway.test_exchanges import active, put


def _allow(database_url: str, postgres_url: str, *, connections: bool) -> None:
    name = database_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(connections))
        )
        if not connections:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


async def test_an_application_database_that_is_away_is_503_and_comes_back(stand: Stand, postgres_url: str) -> None:
    client, workplace = await active(stand)
    anna = await stand.sign_in("anna")
    exchange = (await client.open(pending=1)).json()["id"]
    _allow(stand.application_url, postgres_url, connections=False)
    try:
        for answer in (
            await client.open(),
            await client.pull(exchange),
            await stand.client.get(f"{API}/applications/trade", headers=anna),
            await stand.client.get(f"{API}/workplaces/{workplace}/problems", headers=anna),
        ):
            assert code(answer) == (503, "application_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        listed = await stand.client.get(f"{API}/applications", headers=anna)
        assert listed.json()["items"][0]["organisations"] is None
    finally:
        _allow(stand.application_url, postgres_url, connections=True)
    assert (await client.open(pending=1)).status_code == 201


async def test_a_request_that_failed_while_the_database_was_away_may_be_sent_again_when_it_is_back(
    stand: Stand, postgres_url: str
) -> None:
    times = 0

    async def act() -> Reply:
        nonlocal times
        times += 1
        if times == 1:
            _allow(own_database(stand), postgres_url, connections=False)
            raise Problem("service_unavailable", "It went away in the middle.")
        return 202, {"time": times}

    with pytest.raises(Problem, match="It went away"):
        await reply_once(stand.app.state.parts.sessions, "anna", "key", ["wish"], act)
    _allow(own_database(stand), postgres_url, connections=True)
    assert await until_it_is_not_under_way(stand, act) == (202, {"time": 2})
    assert times == 2


async def test_an_answer_given_while_the_database_was_away_is_kept_when_it_is_back(
    stand: Stand, postgres_url: str
) -> None:
    times = 0

    async def act() -> Reply:
        nonlocal times
        times += 1
        _allow(own_database(stand), postgres_url, connections=False)
        return 202, {"time": times}

    assert await reply_once(stand.app.state.parts.sessions, "anna", "key", ["wish"], act) == (202, {"time": 1})
    _allow(own_database(stand), postgres_url, connections=True)
    assert await until_it_is_not_under_way(stand, act) == (202, {"time": 1})
    assert times == 1


def own_database(stand: Stand) -> str:
    """The gateway's."""
    (url,) = (url for url in stand.databases if url.endswith("sync_gateway"))
    return url


async def until_it_is_not_under_way(stand: Stand, act: Callable[[], Awaitable[Reply]]) -> Reply:
    """What the same request is answered once it counts as under way no longer, long before it counts as abandoned."""
    async with asyncio.timeout(ABANDONED_AFTER.total_seconds() / 4):
        while True:
            try:
                return await reply_once(stand.app.state.parts.sessions, "anna", "key", ["wish"], act)
            except Problem as problem:
                if problem.code != "request_in_progress":
                    raise


async def test_a_silent_exchange_expires_and_is_recorded(stand: Stand) -> None:
    client, _ = await active(stand)
    parts = stand.app.state.parts
    exchange = (await client.open(pending=1)).json()["id"]
    async with parts.sessions.begin() as db:
        await db.exec(update(Exchange).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert code(await client.pull(exchange)) == (410, "exchange_over")
    await expire_exchanges(parts.sessions, parts.objects)
    async with parts.sessions() as db:
        assert (await db.exec(select(Exchange.result))).all() == ["expired"]


async def test_every_request_prolongs_the_exchange(stand: Stand) -> None:
    client, _ = await active(stand)
    parts = stand.app.state.parts
    exchange = (await client.open(pending=1)).json()["id"]
    soon = datetime.now(UTC) + timedelta(seconds=60)
    async with parts.sessions.begin() as db:
        await db.exec(update(Exchange).values(expires_at=soon))
    assert (await client.push(exchange, 1, put(str(uuid4()), None, "x"))).status_code == 200
    async with parts.sessions() as db:
        assert (await db.exec(select(Exchange.expires_at))).one() > soon


async def test_an_older_state_never_replaces_a_newer_one(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.create_workplace(anna)
    parts = stand.app.state.parts
    async with parts.sessions() as db:
        known = (await db.exec(select(Workplace))).one()
        row = known.model_dump(exclude={"id", "history_released"})
    late = WorkplaceChanged.model_validate(
        row | {"workplace": known.id, "revision": 0, "name": "Old", "scope_version": 7, "organisations": ["north"]}
    )
    async with parts.sessions.begin() as db:
        await project_workplace(db, late)
    async with parts.sessions() as db:
        assert (await db.exec(select(Workplace.name))).one() == workplace["name"]
        assert await db.get(KnownScope, (known.id, 7)) is not None, "its scope is learnt all the same"


async def test_a_deleted_workplace_holds_back_no_history(stand: Stand) -> None:
    client, workplace = await active(stand)
    assert (await client.open()).status_code == 200
    anna = await stand.sign_in("anna")
    await stand.client.delete(f"{API}/workplaces/{workplace}", headers=anna)
    parts = stand.app.state.parts
    await release_histories(parts.sessions, parts.catalogue, parts.databases)
    with psycopg.connect(stand.application_url) as connection:
        assert connection.execute("SELECT workplace FROM yurt.workplaces").fetchall() == []
    async with parts.sessions() as db:
        released = select(Workplace.history_released).where(col(Workplace.state) == "deleted")
        assert (await db.exec(released)).all() == [True]
