"""Page, lines 48, 76, 134, 147-149: scopes that change, reissue, resync, schemas, area columns."""

import shutil
from uuid import uuid4

import pytest

from tests.e2e.contract.lines import task
from tests.e2e.contract.office import MANIFEST, PASSWORD, Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import good, refused
from tests.e2e.contract.test_09_open import own_application

pytestmark = pytest.mark.xdist_group("contract-exchange")


def organisations(workplace: Workplace) -> set[str]:
    return {r[0] for r in workplace.rows("SELECT id FROM organisations")}


def test_widening_brings_the_old_documents_and_narrowing_removes_them(office: Office, organisation: str) -> None:
    """Line 48 and the mission's promise."""
    added = office.organisation()
    old = office.order(added, comment="old")
    workplace = office.workplace(organisation, synchronised=True)
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"organisations": [organisation, added]}))
    done = workplace.exchange()
    assert done.delta
    assert done.delta.put("orders", id=old)
    assert done.delta.first["scope_version"] == 2 == workplace.state("scope_version")
    assert organisations(workplace) == {organisation, added}
    assert workplace.verified(done.delta)
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"organisations": [organisation]}))
    done = workplace.exchange()
    assert done.delta
    assert {"op": "remove", "table": "orders", "key": {"id": old}} in done.delta.lines
    assert organisations(workplace) == {organisation}
    assert workplace.verified(done.delta)


def test_unsent_edits_on_what_left_the_scope_are_kept_as_problems(office: Office, organisation: str) -> None:
    """Lines 134 and 141; the mission."""
    leaving = office.organisation()
    values = task(leaving)
    office.insert("tasks", values)
    workplace = office.workplace(organisation, leaving, synchronised=True)
    workplace.db.execute("UPDATE tasks SET title = 'offline' WHERE id = ?", [values["id"]])
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"organisations": [organisation]}))
    done = workplace.exchange()
    assert [(r["status"], r["code"]) for r in done.results] == [("rejected", "outside_scope")]
    assert workplace.rows("SELECT 1 FROM tasks WHERE id = ?", values["id"]) == []
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert problem["pushed"]["row"]["title"] == "offline"


def test_from_some_organisations_to_all_and_back(office: Office, organisation: str) -> None:
    """Lines 37-38, 48."""
    workplace = office.workplace(organisation, synchronised=True)
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"organisations": None}))
    done = workplace.exchange()
    assert done.delta
    assert len(organisations(workplace)) == len(office.sql("SELECT 1 FROM organisations"))
    assert workplace.verified(done.delta)
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"organisations": [organisation]}))
    done = workplace.exchange()
    assert done.delta
    assert organisations(workplace) == {organisation}
    assert workplace.verified(done.delta)


def test_a_replica_restored_from_a_backup_is_older_and_resets_with_its_message_numbers_going_on(
    office: Office, organisation: str
) -> None:
    """Lines 147-148."""
    workplace = office.workplace(organisation, synchronised=True)
    backup = workplace.folder / "backup.db"
    workplace.db.execute("VACUUM INTO ?", [str(backup)])
    for n in range(2):
        workplace.db.execute("INSERT INTO tasks VALUES (?, ?, ?, 0)", [str(uuid4()), organisation, f"sent {n}"])
        workplace.exchange()
    workplace.db.close()
    shutil.copy(backup, workplace.file)
    workplace.db = workplace.connect()
    edited = str(uuid4())
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 'after the backup', 0)", [edited, organisation])
    void = workplace.rows("SELECT last FROM yurt_ranges WHERE table_name = 'items'")[0][0]
    done = workplace.exchange()
    assert done.opening["resync"]["reason"] == "replica_is_older"
    assert done.opening["next_message"] == 3
    assert [span for span in done.opening["ranges"]["items"]["spans"] if span[0] <= void] == [], "fresh ranges"
    assert done.delta
    assert done.delta.first["reset"] is True
    assert {r[0] for r in workplace.rows("SELECT title FROM tasks")} == {"sent 0", "sent 1", "after the backup"}
    assert len(office.sql("SELECT 1 FROM tasks WHERE organisation_id = %s", organisation)) == 3
    assert workplace.verified(done.delta)


def test_a_message_in_the_outbox_is_no_older_replica(office: Office, organisation: str) -> None:
    """Line 148."""
    workplace = office.workplace(organisation, synchronised=True)
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 't', 0)", [str(uuid4()), organisation])
    opened = workplace.begin()
    body = workplace.freeze(opened["next_message"])
    good(workplace.push(opened["id"], opened["next_message"], body), 200)
    assert good(workplace.open(), 201)["resync"] is None


def test_a_reissue_takes_the_old_replicas_edits_first_and_ends_it_when_the_new_one_is_activated(
    office: Office, organisation: str
) -> None:
    """Lines 48, 103, 147, 149."""
    old = office.workplace(organisation, synchronised=True)
    range_of_old = old.rows("SELECT last FROM yurt_ranges WHERE table_name = 'items'")[0][0]
    old.db.execute("INSERT INTO tasks VALUES (?, ?, 'unsent', 0)", [str(uuid4()), organisation])
    package = office.reissue(old.id)
    opened = old.begin()
    assert opened["resync"] == {"reason": "reissued", "upload_first": True}
    body = old.freeze(opened["next_message"])
    assert good(old.push(opened["id"], opened["next_message"], body), 200)["counts"]["applied"] == 1
    fresh = office.unpack(package)
    assert fresh.id == old.id
    assert fresh.state("prefix") == old.state("prefix"), "the same workplace"
    good(fresh.activate(office.admin_login, PASSWORD), 200)
    assert old.open().status_code == 401
    done = fresh.exchange()
    assert done.delta
    assert fresh.rows("SELECT 1 FROM tasks WHERE title = 'unsent'")
    assert fresh.verified(done.delta)
    assert fresh.rows("SELECT min(next) FROM yurt_ranges WHERE table_name = 'items'")[0][0] > range_of_old, (
        "fresh ranges"
    )
    refused(old.activate(office.admin_login, PASSWORD), 409, "activated_elsewhere")


def test_a_new_package_goes_on_behind_the_last_message_and_the_last_number(office: Office, organisation: str) -> None:
    """Lines 75-76, 94: the base image of the first package is still fresh, and does not serve."""
    old = office.workplace(organisation, synchronised=True)
    old.db.execute("INSERT INTO tasks VALUES (?, ?, 'sent', 0)", [str(uuid4()), organisation])
    customer = str(uuid4())
    old.db.execute("INSERT INTO customers (id, organisation_id, name) VALUES (?, ?, 'c')", [customer, organisation])
    numbered = "INSERT INTO orders (id, organisation_id, customer_id, ordered_on) VALUES (?, ?, ?, '2026-01-01')"
    old.db.execute(numbered, [str(uuid4()), organisation, customer])
    old.exchange()
    last = old.state("last_message")
    fresh = office.unpack(office.reissue(old.id))
    assert fresh.state("last_message") == last
    assert fresh.rows("SELECT 1 FROM tasks WHERE title = 'sent'")
    good(fresh.activate(office.admin_login, PASSWORD), 200)
    assert fresh.open(verify="tables").json()["resync"] is None
    fresh.db.execute(numbered, [str(uuid4()), organisation, customer])
    numbers = [row["number"] for row in fresh.rows("SELECT number FROM orders")]
    assert len(numbers) == len(set(numbers)) == 2
    assert fresh.exchange().results == []


def test_another_computer_is_admitted_after_a_reissue_only(office: Office) -> None:
    """Lines 101-103."""
    workplace = office.workplace(office.first)
    other = office.unpack(office.package(workplace.id))
    refused(other.activate(office.admin_login, PASSWORD), 409, "activated_elsewhere")
    fresh = office.unpack(office.reissue(workplace.id))
    good(fresh.activate(office.admin_login, PASSWORD), 200)


NEXT = (
    MANIFEST.replace('version = "2.1.0"', 'version = "2.2.0"')
    + """
[[migrations]]
from = "2.1.0"
sqlite = \"\"\"
ALTER TABLE customers RENAME COLUMN phone TO telephone;
ALTER TABLE tasks ADD COLUMN channel TEXT DEFAULT 'shop';
\"\"\"
renames = { customers = { phone = "telephone" } }
defaults = { tasks = { channel = "shop" } }
"""
)


def test_a_schema_arrives_in_the_exchange_and_unsent_edits_are_translated(office: Office) -> None:
    """Lines 112, 147-150."""
    code, dsn, workplace = own_application(office, "schema")
    organisation = str(uuid4())
    customer = str(uuid4())
    office.execute(
        dsn,
        f"INSERT INTO organisations VALUES ('{organisation}', 'o')",
        f"INSERT INTO customers (id, organisation_id, name, phone) VALUES ('{customer}', '{organisation}', 'c', '1')",
    )
    workplace.exchange()
    workplace.db.execute("UPDATE customers SET phone = '2'")
    workplace.db.execute("INSERT INTO tasks VALUES (?, ?, 'old shape', 0)", [str(uuid4()), organisation])
    office.execute(
        dsn,
        "ALTER TABLE customers RENAME COLUMN phone TO telephone",
        "ALTER TABLE tasks ADD COLUMN channel text NOT NULL DEFAULT 'db'",
    )
    attachment = office.attachment(connection=dsn, manifest=NEXT)
    assert good(office.operator.operate("PUT", f"/applications/{code}", attachment), 200)["version"] == "2.2.0"
    opened = workplace.begin()
    assert opened["schema"]["version"] == "2.2.0"
    body = workplace.freeze(opened["next_message"])
    answer = good(workplace.push(opened["id"], opened["next_message"], body), 200)
    assert answer["counts"]["applied"] == 2
    workplace.answered(answer)
    migration = workplace.caller.call("GET", opened["schema"]["url"])
    assert migration.status_code == 200
    delta = workplace.pull(opened["id"], "tables")
    workplace.db.executescript(
        f"BEGIN; INSERT INTO yurt_paused DEFAULT VALUES; {migration.text}; DELETE FROM yurt_paused; COMMIT"
    )
    assert workplace.state("version") == "2.2.0"
    workplace.apply(delta)
    assert workplace.verified(delta)
    assert workplace.row("SELECT telephone FROM customers") == {"telephone": "2"}
    assert workplace.row("SELECT channel FROM tasks") == {"channel": "shop"}
    good(workplace.complete(opened["id"]), 200)
    workplace.db.execute("UPDATE customers SET telephone = '3'")
    done = workplace.exchange()
    assert done.results == []


def test_a_message_of_an_older_version_is_translated_by_its_yurt_version(office: Office) -> None:
    """Lines 123 and 150: written in 2.1.0, pushed by the new package of a reissue."""
    code, dsn, old = own_application(office, "translated")
    organisation, customer = str(uuid4()), str(uuid4())
    office.execute(dsn, f"INSERT INTO organisations VALUES ('{organisation}', 'o')")
    old.exchange()
    old.db.execute(
        "INSERT INTO customers (id, organisation_id, name, phone) VALUES (?, ?, 'c', '7')", [customer, organisation]
    )
    old.db.execute("INSERT INTO tasks VALUES (?, ?, 'old shape', 0)", [str(uuid4()), organisation])
    body = old.freeze(1)
    office.execute(
        dsn,
        "ALTER TABLE customers RENAME COLUMN phone TO telephone",
        "ALTER TABLE tasks ADD COLUMN channel text NOT NULL DEFAULT 'db'",
    )
    good(office.operator.operate("PUT", f"/applications/{code}", office.attachment(connection=dsn, manifest=NEXT)), 200)
    fresh = office.unpack(office.reissue(old.id))
    assert fresh.state("version") == "2.2.0"
    good(fresh.activate(office.admin_login, PASSWORD), 200)
    opened = fresh.begin()
    answer = good(fresh.push(opened["id"], opened["next_message"], body, Yurt_Version="2.1.0"), 200)
    assert answer["results"] == []
    assert answer["counts"]["applied"] == 2
    assert office.fetch(dsn, "SELECT telephone FROM customers") == [("7",)]
    assert office.fetch(dsn, "SELECT channel FROM tasks") == [("shop",)]


AREA = """
[configuration]
name = "shelves"
version = "1.0.0"
title = { en = "Shelves" }
platform = ">=3.11"
isolation = "column"
area_column = "area_id"

[[aggregates]]
table = "shelves"
key = ["id"]
keys = "uuid"
access = "read_write"
parts = [ { table = "books", key = ["id"], parent = "shelf_id" } ]
"""
AREA_SCHEMA = """
CREATE TABLE shelves (area_id integer NOT NULL, id uuid NOT NULL, title text, PRIMARY KEY (area_id, id));
CREATE TABLE books (area_id integer NOT NULL, id uuid NOT NULL, shelf_id uuid NOT NULL, title text,
                    PRIMARY KEY (area_id, id),
                    FOREIGN KEY (area_id, shelf_id) REFERENCES shelves (area_id, id) ON DELETE CASCADE);
"""


def test_the_area_column_is_neither_in_the_replica_nor_on_the_wire_and_areas_stay_apart(office: Office) -> None:
    """Lines 59 (`area`), 76; a client never names its tenant."""
    dsn = office.empty_database(f"areas-{uuid4().hex[:8]}")
    office.execute(dsn, AREA_SCHEMA)
    shelf = str(uuid4())
    for area in (1, 2):
        office.execute(dsn, f"INSERT INTO shelves VALUES ({area}, '{shelf}', 'area {area}')")
    workplaces = {}
    for area in (1, 2):
        code = f"shelves-{uuid4().hex[:8]}"
        body = office.attachment(connection=dsn, manifest=AREA, area=str(area))
        good(office.operator.operate("PUT", f"/applications/{code}", body), 201)
        path = f"/applications/{code}/users/{office.admin_login}"
        good(office.operator.operate("PUT", path, {"full_name": "A", "role": "administrator"}), 200, 201)
        made = good(office.admin.post(f"/applications/{code}/workplaces"), 202)
        office.admin.wait_until(made["id"], "ready")
        workplaces[area] = office.unpack(office.package(made["id"]))
        good(workplaces[area].activate(office.admin_login, PASSWORD), 200)
    one, two = workplaces[1], workplaces[2]
    assert list(one.columns("shelves")) == ["id", "title"]
    assert [c["name"] for c in one.rows("PRAGMA table_info(shelves)")] == ["id", "title"]
    assert one.row("SELECT title FROM shelves") == {"title": "area 1"}
    one.db.execute("UPDATE shelves SET title = 'edited in 1'")
    one.db.execute("INSERT INTO books VALUES (?, ?, 'book')", [str(uuid4()), shelf])
    done = one.exchange()
    assert done.results == []
    two.exchange()
    assert two.row("SELECT title FROM shelves") == {"title": "area 2"}
    assert two.rows("SELECT 1 FROM books") == []
    assert office.fetch(dsn, "SELECT area_id, title FROM books") == [(1, "book")]
    opened = one.begin()
    line = {
        "seq": 1,
        "table": "shelves",
        "key": {"id": str(uuid4())},
        "op": "put",
        "base": None,
        "before": {},
        "parts": {"books": []},
        "parts_before": {},
        "row": {"id": None, "title": "x", "area_id": 2},
        "edited_at": "2026-01-01T00:00:00.000000Z",
        "edited_by": "x",
    }
    line["row"]["id"] = line["key"]["id"]  # type: ignore[index]  # a document
    (result,) = one.pushed(opened, line)["results"]
    assert result["code"] == "invalid_value"
