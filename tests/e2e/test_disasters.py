"""Time and disaster, with the package's own program against whole stacks.

Who comes back is told in words what happened, loses nothing that was not sent, and ends equal to the service.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from deploy.demo.computer import Computer
from deploy.demo.told_digests import service_digests
from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from shared.replication import retention
from shared.replication.session import connect
from tests.e2e.cloud_office import PASSWORD, PLOT, CloudOffice, cloud_office
from tests.e2e.test_upgrade import replica
from tests.integration.replication.test_restores import tool

SIGN_IN = ("--login", f"admin@{PLOT.code}", "--password-stdin")


@dataclass
class Field:
    """A workplace in the field. `stack` is the service as it runs now."""

    stack: Stack
    workplace: dict[str, Any]
    computer: Computer

    def synchronise(self, *, expect: tuple[int, ...] = (0,)) -> str:
        return _synchronise(self.computer, self.stack, expect=expect)

    def edit(self, note: str, *, draft: int = 0) -> str:
        """Of some draft, offline; the draft's key."""
        with replica(self.computer) as db:
            drafts = "SELECT id FROM invoices WHERE status = 'draft' ORDER BY id LIMIT 1 OFFSET ?"
            key = str(db.execute(drafts, [draft]).fetchone()[0])
            db.execute("UPDATE invoices SET note = ? WHERE id = ?", [note, key])
        return key

    def note(self, key: str) -> Any:
        return self.computer.asked("SELECT note FROM invoices WHERE id = :key", {"key": key})

    def is_equal(self) -> bool:
        return service_digests(self.stack.url, self.computer) == self.computer.digests()

    @property
    def database(self) -> str:
        return self.stack.database_url(self.stack.demo_database(PLOT.application))

    def cloud(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []


def _synchronise(computer: Computer, stack: Stack, *, expect: tuple[int, ...] = (0,)) -> str:
    """What the program says, also on its error channel."""
    with computer.start("sync", *SIGN_IN, "--service", stack.url) as program:
        told, complained = program.communicate(f"{PASSWORD}\n", timeout=300)
    assert program.returncode in expect, told + complained
    return str(told + complained)


@pytest.fixture(scope="module")
def office() -> Iterator[CloudOffice]:
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as folder:
        Path(folder).chmod(0o755)
        with Stack(_settings(Path(folder))) as stack, cloud_office(stack) as office:
            office.sell_seats(10)
            yield office


def _settings(home: Path) -> StackSettings:
    return StackSettings(home=home, port=0, postgres_url=None, s3_url=None, amqp_url=None)


def _unpacked(office: CloudOffice, workplace: dict[str, Any], folder: Path) -> Field:
    """The present package of a workplace, unzipped and synchronised."""
    folder.mkdir(parents=True)
    office.person.download_part(workplace["id"], folder / "package.zip")
    computer = Computer(folder / "workplace", folder / "computer")
    computer.unzip(folder / "package.zip")
    field = Field(office.stack, workplace, computer)
    field.synchronise()
    return field


def _created(office: CloudOffice, folder: Path) -> Field:
    (*_, workplace) = office.person.follow(office.create(f"In the field {uuid4().hex[:6]}")["id"])
    assert workplace["state"] == "ready", workplace["reason"]
    return _unpacked(office, workplace, folder)


@pytest.fixture
def field(office: CloudOffice, tmp_path: Path) -> Field:
    return _created(office, tmp_path / "first")


def test_a_folder_restored_from_a_backup_hears_so_and_gets_back_what_it_had_sent(field: Field, tmp_path: Path) -> None:
    shutil.copytree(field.computer.folder, tmp_path / "backup")
    key = field.edit("sent after the backup")
    field.synchronise()
    shutil.rmtree(field.computer.folder)
    shutil.copytree(tmp_path / "backup", field.computer.folder)
    with replica(field.computer) as db:
        db.execute("UPDATE items SET name = name || ' edited after the restore' WHERE id = (SELECT min(id) FROM items)")
    assert "looks restored from an older copy" in field.synchronise()
    assert field.note(key) == "sent after the backup"
    assert field.cloud("SELECT count(*) FROM items WHERE name LIKE '%edited after the restore'") == [(1,)]
    assert field.is_equal()
    assert "up to date" in field.synchronise()


def test_a_folder_copied_to_a_second_computer_is_refused_in_words_and_the_first_goes_on(
    field: Field, tmp_path: Path
) -> None:
    shutil.copytree(field.computer.folder, tmp_path / "copy")
    second = Computer(tmp_path / "copy", tmp_path / "another computer")
    said = _synchronise(second, field.stack, expect=(1,))
    assert "active on another computer. An administrator can issue it anew." in said
    field.edit("the first goes on")
    assert "Sent: 1" in field.synchronise()
    assert field.is_equal()


def test_a_workplace_issued_anew_sends_what_the_old_copy_held_first(
    office: CloudOffice, field: Field, tmp_path: Path
) -> None:
    key = field.edit("unsent when it was issued anew")
    path = f"workplaces/{field.workplace['id']}"
    office.person.call("POST", f"{path}/reissue")
    (*_, workplace) = office.person.follow(field.workplace["id"])
    said = field.synchronise()
    assert "issued anew" in said
    assert "Sent: 1" in said
    fresh = _unpacked(office, workplace, tmp_path / "second")
    assert fresh.note(key) == "unsent when it was issued anew"
    assert fresh.is_equal()
    assert "active on another computer" in field.synchronise(expect=(1,))


def test_offline_longer_than_the_retention_uploads_first_and_is_equal_in_the_end(field: Field) -> None:
    key = field.edit("written in the long absence")
    field.cloud("UPDATE counterparties SET name = name || ' meanwhile'")
    field.cloud("UPDATE yurt.workplaces SET acknowledged_at = acknowledged_at - interval '2 days'")
    with connect(field.database) as connection:
        gone = retention.forget(connection, keep=timedelta(0), retention=timedelta(days=1))
    assert gone is not None
    assert gone.seen > 0
    said = field.synchronise()
    assert "away for too long" in said
    assert "Sent: 1 (taken 1, merged 0" in said or "merged 1" in said
    assert field.cloud("SELECT note FROM invoices WHERE id = %s", key) == [("written in the long absence",)]
    assert field.is_equal()


def test_an_application_database_restored_without_a_word_is_recognised(field: Field, tmp_path: Path) -> None:
    tool("pg_dump", field.database, "--format=custom", f"--file={tmp_path / 'backup.dump'}")
    field.cloud("UPDATE counterparties SET name = name || ' of the lost future'")
    field.synchronise()
    with replica(field.computer) as db:
        assert db.execute("SELECT count(*) FROM counterparties WHERE name LIKE '%lost future'").fetchone()[0] > 0
    key = field.edit("unsent when it happened")
    tool("pg_restore", field.database, "--clean", "--if-exists", str(tmp_path / "backup.dump"))
    said = field.synchronise()
    assert "The service's data were restored; this copy joins again." in said
    assert "Sent: 1 (taken" in said
    assert field.cloud("SELECT note FROM invoices WHERE id = %s", key) == [("unsent when it happened",)]
    with replica(field.computer) as db:
        assert db.execute("SELECT count(*) FROM counterparties WHERE name LIKE '%lost future'").fetchone() == (0,)
    assert field.is_equal()
    assert "up to date" in field.synchronise()


def test_the_whole_service_put_back_from_a_copy_of_its_disk_is_recognised(
    passable_folder: Path, tmp_path: Path
) -> None:
    """All of it: the databases of application and services and the object store, as if nothing had been since."""
    home, kept = passable_folder / "yurt", passable_folder / "kept"
    with _running(home) as stack, cloud_office(stack) as office:
        field = _created(office, tmp_path / "first")
    subprocess.run(["cp", "-a", str(home), str(kept)], check=True)
    with _running(home) as stack:
        field.stack = stack
        field.cloud("UPDATE counterparties SET name = name || ' of the lost future'")
        key = field.edit("sent into the lost future")
        field.synchronise()
        reached = field.cloud("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")[0][0]
    shutil.rmtree(home)
    subprocess.run(["cp", "-a", str(kept), str(home)], check=True)
    with _running(home) as stack:
        field.stack = stack
        with psycopg.connect(field.database, autocommit=True) as connection:
            while (connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or ())[0] <= reached:
                pass  # past every position that was given out: by its number none looks strange
        unsent = field.edit("unsent when it happened", draft=1)
        said = field.synchronise()
        assert "The service's data were restored; this copy joins again." in said
        assert "Sent: 1" in said
        assert field.cloud("SELECT note FROM invoices WHERE id = %s", unsent) == [("unsent when it happened",)]
        assert field.note(key) != "sent into the lost future", "the service has lost it, as everything since the copy"
        with replica(field.computer) as db:
            assert db.execute("SELECT count(*) FROM counterparties WHERE name LIKE '%lost future'").fetchone() == (0,)
        assert field.is_equal()


@contextmanager
def _running(home: Path) -> Iterator[Stack]:
    with Stack(_settings(home)) as stack:
        yield stack
