"""One world for all points, and the table that a run ends with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.crash_points.world import World, world


@pytest.fixture(scope="session")
def bazaar_world(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, s3_url: str) -> Iterator[World]:
    """Databases, bucket and folders are this run's own; the databases are dropped afterwards."""
    home: Path = tmp_path_factory.mktemp("crash")
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("YURT_")}
    with world(home, postgres_url, s3_url, quiet) as made:
        yield made
