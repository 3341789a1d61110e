"""A scripted gateway for each test."""

from collections.abc import Iterator

import pytest

from tests.unit.deploy.yurtctl.scripted import ScriptedGateway, scripted_gateway


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with scripted_gateway() as gateway:
        yield gateway
