"""What ends by time, on a stack where it ends soon: pages' lines 31, 46, 58, 114-116, 142."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.stack import Stack
from tests.e2e.contract.conftest import HASTY
from tests.e2e.contract.office import PASSWORD, Office, days, subscription
from tests.e2e.contract.replica import Workplace, parse_delta
from tests.e2e.contract.service import Caller, good, refused

pytestmark = pytest.mark.xdist_group("contract-hasty")


def until(said: object, wanted: object, *, within: float) -> None:
    """Asks again until the answer is the wanted one. `said` is called."""
    assert callable(said)
    end = time.monotonic() + within
    while (now := said()) != wanted:
        assert time.monotonic() < end, f"{now} instead of {wanted}"


def test_repeated_failures_lock_for_a_while_and_the_lock_ends(hasty_office: Office) -> None:
    """Line 31."""
    login = hasty_office.person("user")
    with Caller(hasty_office.url) as nobody:
        answers = [nobody.post("/sessions", {"login": login, "password": "wrong"}) for _ in range(12)]
        locked = [a for a in answers if a.status_code == 429]
        assert locked
        assert all(int(a.headers["retry-after"]) >= 1 for a in locked)
        ask = {"login": login, "password": PASSWORD}
        until(lambda: nobody.post("/sessions", ask).status_code, 201, within=20)


def test_a_lapse_suspends_within_a_minute_and_a_renewal_resumes_exactly_those(hasty_office: Office) -> None:
    """Lines 57-58."""
    office = hasty_office
    running, paused = office.active(office.first), office.active(office.first)
    good(office.admin.post(f"/workplaces/{paused.id}/suspend"))
    path = f"/subscribers/{office.subscriber}"
    good(office.operator.operate("PUT", path, subscription(valid_until=days(-1))), 200)
    until(lambda: office.seen(running)["state"], "suspended", within=60)
    assert office.seen(running)["reason"]["code"] == "subscription_lapsed"
    problem = refused(running.open(), 403, "suspended")
    assert "subscription_lapsed" in str(problem)
    good(office.operator.operate("PUT", path, subscription()), 200)
    until(lambda: office.seen(running)["state"], "active", within=60)
    running.exchange()
    assert office.seen(paused)["state"] == "suspended"


def test_a_package_expires_and_a_new_one_is_made_by_post(hasty_office: Office) -> None:
    """Lines 45-47."""
    office = hasty_office
    made = office.ready(organisations=[office.first])
    path = f"/workplaces/{made['id']}/package"
    until(lambda: office.admin.get(path).status_code, 410, within=20)
    refused(office.admin.get(path), 410, "package_expired")
    good(office.admin.post(path), 202)
    until(lambda: office.admin.get(path).status_code, 200, within=30)


def test_an_exchange_expires_after_its_last_request_and_each_request_prolongs_it(hasty_office: Office) -> None:
    """Lines 114-115."""
    office = hasty_office
    workplace = office.workplace(office.first)
    opened = workplace.begin()
    path, params = f"/exchanges/{opened['id']}/changes", {"after": workplace.state("position")}
    end = time.monotonic() + 3  # longer than its two seconds
    while time.monotonic() < end:
        assert workplace.caller.get(path, params=params).status_code == 200
    until(_silence(workplace, opened["id"]), 410, within=20)
    refused(workplace.caller.get(path, params=params), 410, "exchange_over")
    workplace.exchange()


def _silence(workplace: Workplace, exchange: str) -> object:
    """Requests so far apart that the exchange has expired in between."""

    def ask() -> int:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            workplace.caller.get("/ping")
        return workplace.complete(exchange).status_code

    return ask


def test_a_program_that_is_too_old_is_told_so(hasty_office: Office) -> None:
    """Line 116."""
    workplace = hasty_office.workplace(hasty_office.first)
    refused(workplace.open(program="contract/0.9"), 426, "program_too_old")
    workplace.exchange()


def test_a_large_delta_is_a_file_with_etag_and_ranges_over_its_coded_bytes(hasty_office: Office) -> None:
    """Line 142."""
    office = hasty_office
    organisation = office.organisation()
    workplace = office.workplace(organisation, synchronised=True)
    office.sql(
        "INSERT INTO customers (id, organisation_id, name) SELECT gen_random_uuid(), %s, md5(n::text) || repeat('Ж', 50)"
        " FROM generate_series(1, 500) n",
        organisation,
    )
    opened = workplace.begin(verify="tables")
    params = {"after": workplace.state("position"), "digests": "tables"}
    moved = workplace.caller.get(f"/exchanges/{opened['id']}/changes", params=params)
    assert moved.status_code == 303
    assert moved.headers["location"].endswith(f"/exchanges/{opened['id']}/delta")
    for coding in ("gzip", "identity"):
        whole = _raw(workplace, moved.headers["location"], {"Accept-Encoding": coding})
        assert whole.status == 200
        assert whole.headers["etag"]
        pieces, at = [], 0
        while at < len(whole.body):
            given = {"Range": f"bytes={at}-{at + 9_999}", "If-Range": whole.headers["etag"], "Accept-Encoding": coding}
            piece = _raw(workplace, moved.headers["location"], given)
            assert piece.status == 206
            assert piece.headers["content-range"].startswith(f"bytes {at}-")
            pieces.append(piece.body)
            at += len(piece.body)
        assert b"".join(pieces) == whole.body
    delta = parse_delta(workplace.caller.call("GET", moved.headers["location"]).content)
    assert len(delta.of("customers")) == 500
    workplace.apply(delta)
    assert workplace.verified(delta)
    good(workplace.complete(opened["id"], applied=500, verified=True), 200)


def test_events_bring_a_comment_every_fifteen_seconds(hasty_office: Office) -> None:
    """Line 43."""
    office = hasty_office
    workplace = office.active(office.first)
    with office.admin.http.stream("GET", f"/api/v1/workplaces/{workplace.id}/events", timeout=17) as answer:
        started = time.monotonic()
        comment = next(line for line in answer.iter_lines() if line.startswith(":"))
        assert comment
        assert time.monotonic() - started < 16.5


class _Raw:
    """An answer with its body as it was on the wire."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def _raw(workplace: Workplace, location: str, headers: dict[str, str]) -> _Raw:
    with workplace.caller.http.stream("GET", location, headers=headers) as answer:
        return _Raw(answer.status_code, dict(answer.headers), b"".join(answer.iter_raw()))


@pytest.fixture
def in_maintenance(hasty_stack: Stack) -> Iterator[str]:
    """The URL of a gateway over the same data that is in maintenance."""
    settings = hasty_stack._settings
    with tempfile.TemporaryDirectory(prefix="yurt-contract-") as folder:
        again = settings.model_copy(update={"home": Path(folder), "port": 0, "postgres_url": hasty_stack.postgres_url})
        environment = {**hasty_stack._environment, **HASTY, "YURT_MAINTENANCE": "1"}
        with Stack(again, environment=environment) as stack:
            yield stack.url


def test_in_maintenance_it_is_503_with_retry_after(hasty_office: Office, in_maintenance: str) -> None:
    """Line 116."""
    workplace = hasty_office.workplace(hasty_office.first)
    with Caller(in_maintenance, workplace.token) as caller:
        answer = caller.post("/exchanges", workplace.opening())
        refused(answer, 503, "maintenance")
        assert int(answer.headers["retry-after"]) > 0
