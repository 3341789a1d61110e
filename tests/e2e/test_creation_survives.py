"""A creation on the broker ends in a clear state with a right seat count, whichever service is killed on the way."""

import asyncio
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from deploy.show_trace import read_spans
from deploy.stack.stack import Stack
from shared.contracts.services import SERVICES
from tests.e2e.cloud_office import PLOT, CloudOffice, cloud_office

pytestmark = pytest.mark.xdist_group("broker")


@pytest.fixture(scope="module")
def office(broker_stack: Stack) -> Iterator[CloudOffice]:
    with cloud_office(broker_stack) as office:
        office.sell_seats(5)
        yield office


@pytest.mark.parametrize("moment", ["at once", "while preparing"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_leaves_a_clear_state_and_a_right_seat_count(
    office: CloudOffice, service: str, moment: str
) -> None:
    before = office.seats()["used"]
    victim = office.stack.services[service]
    starts = victim.starts
    identity = office.create(f"{service} dies {moment}")["id"]
    if moment == "while preparing":
        reached = next(state for state in office.followed(identity) if state["state"] != "requested")
        assert reached["state"] == "preparing", "the build was over before anybody could be killed"
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait_for_start(starts + 1, timeout=60)
    *_, last = office.followed(identity)
    assert last["state"] == "ready", last["reason"]
    assert office.seats()["used"] == before + 1
    office.end(identity)
    assert office.seats()["used"] == before
    assert office.operator.call("GET", "/operator/v1/dead-letters")["items"] == []


def test_of_fifty_parallel_requests_one_gets_the_last_seat(office: CloudOffice) -> None:
    used = office.seats()["used"]
    office.sell_seats(used + 1)

    async def all_at_once() -> list[str]:
        headers = dict(office.person.http.headers)
        async with httpx.AsyncClient(base_url=office.person.http.base_url, headers=headers, timeout=120) as client:
            path = f"applications/{PLOT.code}/workplaces"
            answers = await asyncio.gather(*(client.post(path, json={"name": f"No. {n}"}) for n in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        return [answer.json()["id"] for answer in answers]

    identities = asyncio.run(all_at_once())
    states = [list(office.followed(identity))[-1] for identity in identities]
    assert sorted(state["state"] for state in states) == ["ready"] + ["refused"] * 49
    assert {state["reason"]["code"] for state in states if state["reason"]} == {"seat_limit_reached"}
    assert office.seats() == {"limit": used + 1, "used": used + 1}
    (ready,) = (state["id"] for state in states if state["state"] == "ready")
    office.end(ready)
    office.sell_seats(5)


def test_one_trace_shows_a_creation_across_all_services_and_the_broker(office: CloudOffice) -> None:
    identity = office.create("Traced")["id"]
    *_, last = office.followed(identity)
    assert last["state"] == "ready"
    office.end(identity)
    spans = read_spans(office.stack.home / "traces.jsonl")
    requests = [span for span in spans if span["service"] == "sync-gateway" and span["kind"] == "server"]
    creations = {span["trace"] for span in requests if "POST" in span["name"] and "workplaces" in span["name"]}
    across = {trace: {s["service"] for s in spans if s["trace"] == trace} for trace in creations}
    assert set(SERVICES) in across.values()
    kinds = {span["kind"] for span in spans if across.get(span["trace"]) == set(SERVICES)}
    assert {"producer", "consumer"} <= kinds
