"""`make serve` as an operator meets it: it answers, ends in order, and starts again after a kill -9."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from deploy.processes import OwnProcess, free_port

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def serving(home: Path, port: int) -> Iterator[OwnProcess]:
    """The process of `python -m deploy.serve`, ready."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("YURT_")}
    env = {**quiet, "YURT_HOME": str(home), "YURT_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "deploy.serve"]
    with OwnProcess(command, log=home / "serve.log", ready="Operator token:", env=env) as process:
        process.wait_until_ready(timeout=120)
        yield process


def below(process: OwnProcess) -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
    return children


def alive(processes: list[psutil.Process]) -> list[str]:
    return [p.name() for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_sigterm_ends_everything_in_order_and_a_kill_does_not_hinder_the_next_start(passable_folder: Path) -> None:
    port = free_port()
    with serving(passable_folder, port) as killed:
        left = below(killed)
        assert {"postgres", "rclone"} <= set(alive(left))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert alive(left), "the kill left processes behind"

        with serving(passable_folder, port) as second:
            token = (passable_folder / "operator-token").read_text()
            url = f"http://127.0.0.1:{port}"
            operator = httpx.get(f"{url}/operator/v1/dead-letters", headers={"Authorization": f"Bearer {token}"})
            assert operator.status_code == 200
            assert httpx.get(f"{url}/operator/v1/dead-letters").status_code == 401
            running = below(second)
            secrets = [
                passable_folder / name for name in ("operator-token", "service-token", "s3-credentials", "objects")
            ]
            assert [oct(path.stat().st_mode & 0o077) for path in secrets] == ["0o0"] * 4
            os.kill(second.pid, signal.SIGTERM)
            assert second.wait() == 0
    assert alive(left) == []
    assert alive(running) == []
    assert "its state stays" in (passable_folder / "serve.log").read_text()


def test_a_second_stack_over_the_same_home_is_refused_and_a_taken_port_is_named(passable_folder: Path) -> None:
    with serving(passable_folder, free_port()):
        quiet = {**os.environ, "YURT_HOME": str(passable_folder), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "deploy.serve"]
        with OwnProcess(command, log=passable_folder / "second.log", ready="Operator token:", env=quiet) as second:
            assert second.wait() == 1
    assert "already runs" in (passable_folder / "second.log").read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        quiet["YURT_PORT"] = str(taken.getsockname()[1])
        with OwnProcess(command, log=passable_folder / "third.log", ready="Operator token:", env=quiet) as third:
            assert third.wait() == 1
    assert "address already in use" in (passable_folder / "third.log").read_text()
