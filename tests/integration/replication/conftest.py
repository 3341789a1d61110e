"""A PostgreSQL server without neighbours."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.servers.postgres import WheelPostgres


@pytest.fixture(scope="session")
def quiet_postgres() -> Iterator[str]:
    """A server of ours alone: a transaction of anybody else, in whatever database, holds back what may be forgotten."""
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as folder:
        server = WheelPostgres(Path(folder) / "postgres", forgetful=True)
        try:
            yield server.start().url
        finally:
            server.stop()
