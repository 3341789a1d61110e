"""Whoever is killed at a named place: after everybody tried again, nothing is lost and nothing doubled."""

import os
from collections.abc import Callable

import pytest

from tests.chaos.crash_points.drives import kill_once
from tests.chaos.crash_points.points import POINTS
from tests.chaos.crash_points.strikes import Point
from tests.chaos.crash_points.world import World

pytestmark = pytest.mark.xdist_group("crash points")

KILLS = int(os.environ.get("YURT_CRASH_KILLS", "1"))


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_nothing_is_lost_or_doubled_by_a_kill_at(
    bazaar_world: World, point: Point, record_property: Callable[[str, object], None]
) -> None:
    for _ in range(KILLS):
        kill_once(bazaar_world, point)
    record_property(point.name, f"{KILLS} kills, {KILLS} reached")
