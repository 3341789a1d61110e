"""One stack for the contract and one whose times are short; an application of the contract's own in each."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Caller

HASTY = {
    "YURT_EXCHANGE_EXPIRES": "2",
    "YURT_PACKAGE_LIFE": "4",
    "YURT_LAPSE_INTERVAL": "0.5",
    "YURT_LOGIN_LOCK_FAILURES": "5",
    "YURT_LOGIN_LOCK": "2",
    "YURT_MINIMAL_PROGRAM": "contract/1.0",
    "YURT_DELTA_DIRECT_LIMIT": "30000",
    "YURT_BASE_IMAGE_MAX_AGE": "0.5",
}


def settings_of(home: Path, postgres_url: str | None, s3_url: str, mark: str) -> StackSettings:
    """Databases and bucket of this stack alone; without a URL it starts a PostgreSQL of its own."""
    return StackSettings(
        home=home,
        port=0,
        postgres_url=postgres_url,
        database_prefix=mark.replace("-", "_"),
        s3_url=urlunsplit(urlsplit(s3_url)._replace(path=f"/{mark}")),
        amqp_url=None,
    )


def environment_with(**more: str) -> dict[str, str]:
    """Ours without settings of Yurt, and these."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("YURT_")}
    return {**ours, "YURT_ALLOW_DSN": "1", **more}


def _stacks(s3_url: str, **more: str) -> Iterator[Stack]:
    """A stack with a PostgreSQL of its own: other tests' connections do not count there."""
    mark = f"contract-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="yurt-contract-") as folder:
        Path(folder).chmod(0o755)
        with Stack(settings_of(Path(folder), None, s3_url, mark), environment=environment_with(**more)) as stack:
            yield stack


def _offices(stack: Stack) -> Iterator[Office]:
    code = f"contract-steppe-{uuid4().hex[:8]}"
    with (
        Caller(stack.url, stack.operator_token) as operator,
        tempfile.TemporaryDirectory(prefix="yurt-contract-") as folder,
    ):
        office = Office(stack.url, operator, stack.postgres_url, Path(folder), code)
        try:
            yield office
        finally:
            office.close()


@pytest.fixture(scope="session")
def stack(s3_url: str) -> Iterator[Stack]:
    """A stack with the usual settings; a DSN may stand for the name of a connection."""
    yield from _stacks(s3_url)


@pytest.fixture(scope="session")
def office(stack: Stack) -> Iterator[Office]:
    """The application `steppe` on the usual stack."""
    yield from _offices(stack)


@pytest.fixture(scope="session")
def common_workplace(office: Office) -> Workplace:
    """For tests that leave nothing behind: activated, nothing pushed."""
    return office.workplace(office.first)


@pytest.fixture(scope="session")
def hasty_stack(s3_url: str) -> Iterator[Stack]:
    """A stack where exchanges, packages and locks last seconds and a small delta is a large one."""
    yield from _stacks(s3_url, **HASTY)


@pytest.fixture(scope="session")
def hasty_office(hasty_stack: Stack) -> Iterator[Office]:
    """The application `steppe` on the hasty stack."""
    yield from _offices(hasty_stack)


@pytest.fixture
def organisation(office: Office) -> str:
    """An organisation of this test alone."""
    return office.organisation(f"Of one test {uuid4().hex[:6]}")


@pytest.fixture
def nobody(stack: Stack) -> Iterator[Caller]:
    """A caller without a token."""
    with Caller(stack.url) as caller:
        yield caller
