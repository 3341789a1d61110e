"""A copy that was damaged behind everybody's back: the proof finds it, repairs it in the same run, says what it was."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.computer import Computer
from deploy.demo.told_digests import service_digests
from deploy.stack.stack import Stack
from tests.e2e import test_upgrade
from tests.e2e.cloud_office import PLOT, CloudOffice, cloud_office
from workplace.engine.exchange import synchronise
from workplace.engine.home import InternetAccess
from workplace.engine.replica import Replica
from workplace.engine.service import Service

INVOICES = 1_000
TABLES = ("invoices", "invoice_lines", "items")


@dataclass
class Field:
    """A workplace that was synchronised once."""

    office: CloudOffice
    computer: Computer

    def exchanges(self) -> list[dict[str, Any]]:
        """Those that were completed, as the administrator sees them, the newest first."""
        path = f"applications/{PLOT.code}/exchanges?result=completed"
        items: list[dict[str, Any]] = self.office.person.call("GET", path)["items"]
        return items

    def is_equal(self) -> bool:
        return service_digests(self.office.stack.url, self.computer) == self.computer.digests()

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.computer.run("status", "--json"))
        return document


@pytest.fixture
def field(embedded_stack: Stack, tmp_path: Path) -> Iterator[Field]:
    with cloud_office(embedded_stack, replace(PLOT, after_load=f"SELECT generate({INVOICES}, 3, 1, 1)")) as office:
        computer = test_upgrade.unpacked(office, tmp_path)
        test_upgrade.synchronise(computer)
        yield Field(office, computer)


def damage(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Writes past the triggers and past the foreign keys; what of it a repair must find."""
    chosen = "SELECT id FROM invoices WHERE id IN (SELECT invoice_id FROM invoice_lines) ORDER BY id LIMIT 5"
    changed, gone, donor, taker, lines = (row[0] for row in db.execute(chosen).fetchall())
    of_gone = db.execute("SELECT count(*) FROM invoice_lines WHERE invoice_id = ?", [gone]).fetchone()[0]
    line = "(SELECT min(id) FROM invoice_lines WHERE invoice_id = ?)"
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("INSERT INTO yurt_paused DEFAULT VALUES")
    db.execute("UPDATE invoices SET note = CAST(x'62' AS BLOB) WHERE id = ?", [changed])  # no text at all
    db.execute("DELETE FROM invoice_lines WHERE invoice_id = ?", [gone])
    db.execute("DELETE FROM invoices WHERE id = ?", [gone])
    db.execute(f"UPDATE invoice_lines SET invoice_id = ? WHERE id = {line}", [taker, donor])
    db.execute(f"UPDATE invoice_lines SET quantity = '77' WHERE id = {line}", [lines])
    for table, column, key in (("invoices", "id", "stray"), ("invoice_lines", "invoice_id", "of nobody")):
        db.execute(f"CREATE TEMP TABLE copy AS SELECT * FROM {table} LIMIT 1")
        db.execute(f"UPDATE copy SET {column} = ?", [key])
        db.execute("UPDATE copy SET id = ?", [f"{key} itself" if column != "id" else key])
        db.execute(f"INSERT INTO {table} SELECT * FROM copy")
        db.execute("DROP TABLE copy")
    db.execute("UPDATE items SET weight_kg = 9e999 WHERE id = (SELECT min(id) FROM items)")
    db.execute("DELETE FROM yurt_paused")
    db.execute("PRAGMA foreign_keys = ON")
    return {
        "invoices": {"missing": 1, "extra": 1, "different": 1},
        "invoice_lines": {"missing": of_gone + 1, "extra": 2, "different": 1},
        "items": {"missing": 0, "extra": 0, "different": 1},
    }


def watch(db: sqlite3.Connection) -> None:
    """From now on the file itself notes every row that anybody writes."""
    db.execute("CREATE TABLE written (table_name TEXT, op TEXT, id TEXT)")
    for table in TABLES:
        for op, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
            db.execute(
                f"CREATE TRIGGER watch_{table}_{op} AFTER {op} ON {table} BEGIN"
                f" INSERT INTO written VALUES ('{table}', '{op}', {row}.id); END"
            )


def test_damage_is_found_and_repaired_in_one_run_and_nothing_else_is_written(field: Field) -> None:
    with test_upgrade.replica(field.computer) as db:
        expected = damage(db)
        unsent = db.execute("SELECT max(id) FROM invoices WHERE status = 'draft' AND id < 'g'").fetchone()[0]
        db.execute("UPDATE invoices SET note = 'from the field' WHERE id = ?", [unsent])
        before = db.execute("SELECT count(*) FROM invoices").fetchone()[0]
        watch(db)
    assert not field.is_equal()
    said = field.computer.run("verify")
    assert "different in invoice_lines, invoices, items; repaired:" in said
    assert "both copies are equal" in said
    assert field.is_equal()
    (repair,) = field.status()["repairs"]
    assert repair["rows"] == expected
    assert (repair["equal"], set(repair["tables"])) == (True, set(TABLES))
    with test_upgrade.replica(field.computer) as db:
        assert db.execute("SELECT note FROM invoices WHERE id = ?", [unsent]).fetchone() == ("from the field",)
        touched = db.execute("SELECT count(DISTINCT id) FROM written WHERE table_name = 'invoices'").fetchone()[0]
        assert (db.execute("PRAGMA foreign_key_check").fetchall(), db.execute("PRAGMA integrity_check").fetchone()) == (
            [], ("ok",),
        )  # fmt: skip
    assert touched == 6, f"of {before} invoices: changed, gone, donor, taker, the one with the line, the stray one"
    second, first = field.exchanges()[:2]
    assert (first["verified"], set(first["differing"]), first["repaired"]) == (False, set(TABLES), None)
    assert (second["verified"], second["differing"], second["repaired"]) == (True, None, expected)
    assert "Last repair" in field.computer.run("status")


def test_an_edit_made_while_a_copy_is_repaired_survives_and_is_sent(field: Field) -> None:
    with test_upgrade.replica(field.computer) as db:
        damage(db)
        edited = db.execute("SELECT id FROM invoices WHERE typeof(note) = 'blob'").fetchone()[0]
    openings = 0

    def edit(step: str, done: int, total: int) -> None:
        nonlocal openings
        openings += step == "open"
        if (step, done, openings) == ("download", 0, 2):
            replica.connection.execute("UPDATE invoices SET note = 'meanwhile' WHERE id = ?", [edited])

    credentials = field.computer.credentials()
    service = Service(field.office.stack.url, InternetAccess(proxy="none"), credentials["token"])
    with Replica(field.computer.replica) as replica:
        outcome = synchronise(replica, service, credentials["replica_id"], edit, prove=True)
        assert (bool(outcome.differing), outcome.verified) == (True, None), "something is unsent: nothing can be said"
        assert replica.connection.execute("SELECT note FROM invoices WHERE id = ?", [edited]).fetchone() == (
            "meanwhile",
        )
        again = synchronise(replica, service, credentials["replica_id"], edit, prove=True)
        assert again.sent is not None
        assert again.sent.aggregates == 1
        assert again.verified is True
    assert field.is_equal()
