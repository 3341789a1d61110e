"""Supervision: a service that dies comes back, one that is stopped does not, a killed stack leaves nobody behind."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.processes import ProcessFailed
from deploy.stack.home import HomeInUse, held, kept_secret
from deploy.stack.service import READY, SupervisedService

SERVING = f"import signal\nprint('{READY} nothing', flush=True)\nsignal.pause()\n"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(tmp_path: Path, said: list[str]) -> Iterator[SupervisedService]:
    service = make(tmp_path, SERVING, said)
    yield service
    service.stop()


def make(folder: Path, program: str, said: list[str]) -> SupervisedService:
    (folder / "served_here.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return SupervisedService("served", sys.executable, "served_here", env, folder, said.append)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_killed_service_is_started_again(service: SupervisedService, said: list[str]) -> None:
    service.start()
    service.wait_until_ready(timeout=30)
    first = service.pid
    os.kill(first, signal.SIGKILL)
    service.wait_for_start(2, timeout=30)
    assert service.pid != first
    assert said == ["served ended with code -9; it is started again."]


def test_a_stopped_service_stays_down(service: SupervisedService, said: list[str], tmp_path: Path) -> None:
    service.start()
    service.wait_until_ready(timeout=30)
    process = psutil.Process(service.pid)
    service.stop()
    assert gone(process)
    assert said == []
    assert not (tmp_path / "run" / "served.pid").exists()


def test_what_a_killed_stack_left_running_is_ended_first(service: SupervisedService, tmp_path: Path) -> None:
    service.start()
    service.wait_until_ready(timeout=30)
    left = psutil.Process(service.pid)
    after_the_crash = make(tmp_path, SERVING, [])
    after_the_crash.start()
    try:
        after_the_crash.wait_until_ready(timeout=30)
        assert gone(left)
    finally:
        service.stop()
        after_the_crash.stop()


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    service = make(tmp_path, "exit('the settings are wrong')", [])
    service.start()
    with pytest.raises(ProcessFailed, match="the settings are wrong"):
        service.wait_until_ready(timeout=30)
    service.stop()


def test_a_home_is_used_by_one_stack_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(HomeInUse, match=str(os.getpid())), held(tmp_path):
        raise AssertionError("two stacks over one home")
    with held(tmp_path):
        assert (tmp_path / "in-use").exists()


def test_a_secret_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path / "token")
    assert kept_secret(tmp_path / "token") == secret
    assert len(secret) >= 32
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0
