"""Whoever is killed at a named place: after everybody tried again, nothing is lost and nothing doubled.

`YURT_CRASH_KILLS`: how often at each. `make crashes` takes 20; by default every third place has its turn, once.
"""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.crash_points import leftovers, oracle
from tests.chaos.crash_points.drives import NotReached, exchange, kill_once, program
from tests.chaos.crash_points.points import NAMED, POINTS
from tests.chaos.crash_points.strikes import Point
from tests.chaos.crash_points.world import World

pytestmark = pytest.mark.xdist_group("crash points")

ASKED = os.environ.get("YURT_CRASH_KILLS")
KILLS = int(ASKED or "1")
PLACES = POINTS if ASKED else POINTS[::3]


@pytest.mark.parametrize("point", PLACES, ids=lambda point: point.name)
def test_nothing_is_lost_or_doubled_by_a_kill_at(
    bazaar_world: World, point: Point, record_property: Callable[[str, object], None]
) -> None:
    for _ in range(KILLS):
        kill_once(bazaar_world, point)
    record_property(f"{point.name:<56}", f"{KILLS:>3} kills, {KILLS:>3} reached")


def test_the_dead_leave_nothing_behind(bazaar_world: World) -> None:
    leftovers.wait_until_gone(bazaar_world)


def test_a_kill_that_did_not_happen_does_not_count(bazaar_world: World) -> None:
    with pytest.raises(NotReached):
        exchange(bazaar_world, Point("a place that nobody passes", "exchange", "before", "nowhere:at_all"))
    with pytest.raises(NotReached):
        program(bazaar_world, replace(NAMED["program: settled"], nth=1000))
    oracle.settle(bazaar_world)


PLANTED = {
    "came in force 0 times": "DELETE FROM journal WHERE note = '{note}'",
    "came in force 2 times": "INSERT INTO journal (key, note) SELECT key, note FROM journal WHERE note = '{note}'",
    "there stands None": "DELETE FROM orders WHERE note = '{note}'",
    "replica has": "DELETE FROM orders WHERE note = '{note}'",
    "replica lacks": "INSERT INTO orders VALUES (gen_random_uuid(), 'A', 'planted', 'planted')",
    "was added up": "UPDATE totals SET amount = amount + 1",
    "is a problem 0 times": "DELETE FROM yurt.problems",
    "problems only there": "UPDATE yurt.problems SET id = gen_random_uuid()",
    "messages, the last is": "UPDATE yurt.workplaces SET last_message = last_message + 1",
    "leased twice": "UPDATE yurt.leases SET last = last + 1",
}


@pytest.fixture(scope="module")
def settled_world(bazaar_world: World) -> World:
    """Everybody has worked and exchanged, and the oracle has nothing to say."""
    bazaar_world.branches[0].work()
    bazaar_world.exchange()
    oracle.settle(bazaar_world)
    return bazaar_world


@pytest.mark.parametrize("complaint", PLANTED)
def test_the_oracle_sees(settled_world: World, complaint: str) -> None:
    edits = settled_world.branches[0].edits
    note = next(edit.note for edit in reversed(edits) if edit.kind == "own" and "deleted" not in edit.note)
    with settled_world.cloud.transaction(force_rollback=True):
        settled_world.sql(PLANTED[complaint].format(note=note))
        assert complaint in "\n".join(oracle.complaints_of(settled_world))


def test_the_oracle_sees_a_message_counted_twice(settled_world: World) -> None:
    counted = "UPDATE exchanges SET sent = sent + %s WHERE workplace = %s AND sent > 0 RETURNING id"
    settled_world.service_sql("sync_gateway", counted, 1, settled_world.branches[0].identity)
    complaints = [*oracle.complaints_of(settled_world)]
    settled_world.service_sql("sync_gateway", counted, -1, settled_world.branches[0].identity)
    assert [complaint for complaint in complaints if "do not add up" in complaint] == complaints != []
