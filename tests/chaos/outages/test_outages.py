"""An outage of any server loses nothing and doubles nothing, and everything that it met ends by itself.

`YURT_OUTAGE_SECONDS`: how long each lasts. `make outages` takes 30, each server stopped and cut off, and prints what
was seen; by default each server goes out in one of the two ways, for 5 seconds.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from deploy.demo.doors import Operator
from tests.chaos.outages.outage import endure
from tests.chaos.outages.servers import Kind, Name
from tests.chaos.outages.stand import SPARE, WORKPLACES, Stand, stand

ASKED = os.environ.get("YURT_OUTAGE_SECONDS")
SECONDS = float(ASKED or "5")
EVERYTHING = [(server, kind) for server in get_args(Name) for kind in get_args(Kind)]
# Of each server, in turn, one of the two.
ROWS = EVERYTHING if ASKED else [row for at, row in enumerate(EVERYTHING) if at % 4 in {1, 2}]
# A short outage is noticed within its time, as one of 30 seconds is by the defaults of these settings.
SETTINGS = {"YURT_SILENCE": f"{SECONDS / 2:g}", "YURT_BUILD_LEASE": f"{SECONDS:g}"}

pytestmark = pytest.mark.xdist_group("outages")


@pytest.fixture(scope="module")
def office() -> Iterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as home, stand(Path(home), SETTINGS) as running:
        yield running


@pytest.mark.parametrize(("server", "kind"), ROWS)
def test_an_outage_loses_nothing_doubles_nothing_and_all_ends_by_itself(
    office: Stand, server: Name, kind: Kind, record_property: Callable[[str, object], None]
) -> None:
    outage = endure(office, server, kind, SECONDS)
    record_property("outage", str(outage))
    assert set(outage.builds) == {"ready"}
    assert outage.edits.in_force + outage.edits.problems == outage.edits.made
    assert_every_replica_equals_its_scope(office)
    assert_the_seats_are_right(office)
    with Operator(office.stack.url, office.stack.operator_token) as operator:
        assert operator.call("GET", "/operator/v1/dead-letters")["items"] == []


def assert_every_replica_equals_its_scope(office: Stand) -> None:
    for workplace in office.workplaces:
        proven = workplace.exchange(prove=True)
        assert (proven.verified, proven.differing) == (True, {})
        office.oracle.require_equal(workplace)


def assert_the_seats_are_right(office: Stand) -> None:
    ours = {workplace.identity for workplace in office.workplaces} | set(office.spare)
    living = {str(found["id"]) for found in office.office.workplaces() if found["state"] != "deleted"}
    assert ours <= living
    assert office.oracle.seats_held() == office.office.seats()["used"] == len(living)
    for identity in living - ours:
        office.office.end(identity)
    assert office.oracle.seats_held() == WORKPLACES + SPARE
