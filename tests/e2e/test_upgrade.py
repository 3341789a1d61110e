"""A new version of an application reaches a workplace in the field by itself, with what was unsent there."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.demo.cloud import ROOT
from deploy.demo.computer import Computer
from deploy.demo.told_digests import service_digests
from deploy.stack.stack import Stack
from tests.e2e.cloud_office import PASSWORD, PLOT, CloudOffice, cloud_office

MANIFEST = (ROOT / "applications" / "accounting_kz" / "manifest.toml").read_text("utf-8")

ALTERATIONS = [
    "ALTER TABLE invoices RENAME note TO remark",
    "ALTER TABLE invoices ADD channel text NOT NULL DEFAULT 'office'",
    "ALTER TABLE invoice_lines ADD discount numeric(5, 2) NOT NULL DEFAULT 0",
    "ALTER TABLE items ALTER weight_kg TYPE numeric",
    "ALTER TABLE counterparties RENAME payment_days TO days",
]
MIGRATION = """
[[migrations]]
from = "2.0.0"
sqlite = "ALTER TABLE invoices RENAME COLUMN note TO remark; -- the rest by itself"
renames = { invoices = { note = "remark" }, counterparties = { payment_days = "days" } }
defaults = { invoices = { channel = "field" } }
"""
NEXT = MANIFEST.replace('version = "2.0.0"', 'version = "2.1.0"') + MIGRATION
NEW = "00000000-0000-4000-8000-0000000000aa"
# As often as an exchange has moments worth a kill; each is a while later than the one before.
KILLS = 10


@pytest.fixture
def office(embedded_stack: Stack) -> Iterator[CloudOffice]:
    with cloud_office(embedded_stack) as office:
        yield office


def synchronise(computer: Computer, *options: str) -> str:
    sign_in = ("--login", f"admin@{PLOT.code}", "--password-stdin")
    return computer.run("sync", *sign_in, *options, typed=f"{PASSWORD}\n")


@contextmanager
def replica(computer: Computer) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(computer.replica, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        yield db


def unpacked(office: CloudOffice, folder: Path) -> Computer:
    (*_, last) = office.person.follow(office.create("In the field")["id"])
    assert last["state"] == "ready", last["reason"]
    office.person.download_part(last["id"], folder / "package.zip")
    computer = Computer(folder / "workplace", folder / "computer")
    computer.unzip(folder / "package.zip")
    return computer


def test_a_workplace_with_unsent_edits_is_upgraded_by_an_exchange_however_often_it_is_killed(
    office: CloudOffice, tmp_path: Path
) -> None:
    computer = unpacked(office, tmp_path)
    synchronise(computer)
    with replica(computer) as db:
        edited, another = (row[0] for row in db.execute("SELECT id FROM invoices WHERE status = 'draft' LIMIT 2"))
        db.execute("UPDATE invoices SET note = 'from the field' WHERE id = ?", [edited])
        db.execute("UPDATE invoice_lines SET quantity = '7.000' WHERE invoice_id = ?", [another])
        db.execute("UPDATE items SET weight_kg = 2.5 WHERE id = (SELECT min(id) FROM items)")
        db.execute(
            "INSERT INTO invoices (id, organisation_id, issued_on, counterparty_id, status, note, currency)"
            " SELECT ?, organisation_id, '2099-01-01', counterparty_id, 'draft', 'new', currency"
            " FROM invoices WHERE id = ?",
            [NEW, edited],
        )
    with psycopg.connect(cloud_url(office), autocommit=True) as cloud:
        for alteration in ALTERATIONS:
            cloud.execute(alteration.encode())
        attachment = {"subscriber": PLOT.code, "title": PLOT.title, "manifest": NEXT, "connection": PLOT.connection}
        office.operator.put(f"applications/{PLOT.code}", attachment | {"area": PLOT.area})
        for kill in range(KILLS):
            killed(computer.start("sync"), after=0.15 * (kill + 1))
            with replica(computer) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert db.execute("SELECT count(*) FROM yurt_paused").fetchone() == (0,)
                note = "remark" if computer.state()["version"] == "2.1.0" else "note"
                assert db.execute(f"SELECT {note} FROM invoices WHERE id = ?", [edited]).fetchone() == (
                    "from the field",
                )
        synchronise(computer, "--verify")
        assert computer.state()["version"] == "2.1.0"
        assert computer.changes() == []
        assert service_digests(office.stack.url, computer) == computer.digests()
        told = "SELECT remark, channel FROM invoices WHERE id = ANY(%s) ORDER BY remark"
        keys = [edited, NEW]
        assert cloud.execute(told.encode(), [keys]).fetchall() == [("from the field", "office"), ("new", "field")]
        quantities = b"SELECT DISTINCT quantity::text, discount::text FROM invoice_lines WHERE invoice_id = %s"
        assert cloud.execute(quantities, [another]).fetchall() == [("7.000", "0.00")]
        with replica(computer) as db:
            db.execute("UPDATE invoices SET remark = 'after', channel = 'by hand' WHERE id = ?", [edited])
            db.execute("UPDATE invoice_lines SET discount = '5.00' WHERE invoice_id = ?", [another])
        synchronise(computer, "--verify")
        assert cloud.execute(told.encode(), [keys]).fetchall() == [("after", "by hand"), ("new", "field")]
        assert cloud.execute(quantities, [another]).fetchall() == [("7.000", "5.00")]
    assert service_digests(office.stack.url, computer) == computer.digests()


def cloud_url(office: CloudOffice) -> str:
    return office.stack.database_url(office.stack.demo_database(PLOT.application))


def killed(program: "subprocess.Popen[str]", *, after: float) -> Any:
    """It is no more, wherever it stood; unless it was quicker."""
    with program:
        try:
            program.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            program.kill()
            program.communicate()
    return program.returncode
