"""Page, lines 45-47 and 64-82: the package, its download, its files, the tables of its replica."""

import hashlib
import io
import json
import sqlite3
import zipfile
from urllib.parse import unquote

import pytest

from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Json, good, refused

pytestmark = pytest.mark.xdist_group("contract")


class Packed:
    """One package for the whole module, as bytes and unpacked."""

    def __init__(self, office: Office) -> None:
        self.organisation = office.organisation("Упакованная")
        office.order(self.organisation, lines=3, comment="packed", net="10.00")
        office.order(office.second, comment="foreign")
        office.insert("closing_dates", {"organisation_id": self.organisation, "closed_until": "2020-01-01"})
        self.document = office.ready(organisations=[self.organisation])
        self.path = f"/workplaces/{self.document['id']}/package"
        self.bytes = office.package(self.document["id"])
        self.archive = zipfile.ZipFile(io.BytesIO(self.bytes))
        self.workplace: Workplace = office.unpack(self.bytes)
        self.manifest: Json = json.loads(self.archive.read("manifest.json"))


@pytest.fixture(scope="module")
def packed(office: Office) -> Packed:
    return Packed(office)


def test_the_download_is_what_the_document_says(office: Office, packed: Packed) -> None:
    """Lines 41 and 45."""
    answer = office.admin.get(packed.path)
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == packed.document["package"]["size"] == len(packed.bytes)
    assert hashlib.sha256(answer.content).hexdigest() == packed.document["package"]["sha256"]
    assert answer.headers["etag"].startswith('"')
    assert office.admin.get(packed.path).content == packed.bytes, "any number of times"


def test_content_disposition_has_a_plain_and_a_utf8_name(office: Office, packed: Packed) -> None:
    """Lines 45-46."""
    kind, *params = [p.strip() for p in office.admin.get(packed.path).headers["content-disposition"].split(";")]
    names = dict(p.split("=", 1) for p in params)
    assert kind == "attachment"
    assert names["filename"].strip('"').isascii()
    assert names["filename"].strip('"').endswith(".zip")
    assert names["filename*"].lower().startswith("utf-8''")
    assert unquote(names["filename*"][7:]) == "Автономная работа.zip"


@pytest.mark.parametrize(("given", "first", "last"), [("0-99", 0, 99), ("100-", 100, None), ("-50", -50, None)])
def test_a_range_is_that_part_of_the_file(
    office: Office, packed: Packed, given: str, first: int, last: int | None
) -> None:
    """Line 45."""
    answer = office.admin.get(packed.path, headers={"Range": f"bytes={given}"})
    assert answer.status_code == 206
    expected = packed.bytes[first:] if last is None else packed.bytes[first : last + 1]
    assert answer.content == expected
    start = first % len(packed.bytes)
    end = len(packed.bytes) - 1 if last is None else last
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(packed.bytes)}"
    assert answer.headers["etag"]


def test_a_range_behind_the_end_is_416(office: Office, packed: Packed) -> None:
    """Line 45."""
    answer = office.admin.get(packed.path, headers={"Range": f"bytes={len(packed.bytes)}-"})
    refused(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(packed.bytes)}"


def test_if_range_gives_the_part_while_the_file_is_the_same_and_else_the_whole(office: Office, packed: Packed) -> None:
    """Line 45."""
    etag = office.admin.get(packed.path).headers["etag"]
    same = office.admin.get(packed.path, headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (same.status_code, same.content) == (206, packed.bytes[10:20])
    other = office.admin.get(packed.path, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, packed.bytes)


def test_a_package_that_is_not_there_yet_is_409(office: Office) -> None:
    """Lines 46-47."""
    made = office.create(organisations=[office.organisation()])
    answer = office.admin.get(f"/workplaces/{made['id']}/package")
    if answer.status_code != 200:  # it may be quicker than we
        refused(answer, 409, "package_not_ready")
    office.admin.wait_until(made["id"], "ready")


def test_a_new_package_is_ordered_by_post(office: Office) -> None:
    """Line 46."""
    made = office.ready(organisations=[office.first])
    ordered = good(office.admin.post(f"/workplaces/{made['id']}/package"), 202)
    assert ordered["id"] == made["id"]


def test_the_zip_holds_the_files_of_the_page_and_an_unzip_program_reads_it(packed: Packed) -> None:
    """Lines 67-74."""
    assert packed.archive.testzip() is None
    names = set(packed.archive.namelist())
    listed = {
        "InfoBase/infobase.db",
        "InfoBase/workplace.json",
        "InfoBase/ReadMe.html",
        "yurt-workplace.pyz",
        "manifest.json",
    }
    assert listed <= names
    endings = {name.rsplit(".", 1)[-1] for name in names - listed}
    assert endings & {"bat", "cmd"}, "a starter for Windows"
    assert "command" in endings, "a starter for macOS"
    assert "sh" in endings or any("." not in name for name in names), "a starter for Linux"
    assert all(i.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for i in packed.archive.infolist())
    assert not any(i.flag_bits & 1 for i in packed.archive.infolist())


def test_manifest_json_has_size_and_hash_of_every_file_but_itself_and_the_rows_of_every_table(packed: Packed) -> None:
    """Line 72."""
    assert packed.manifest["format"] == 1
    assert set(packed.manifest["files"]) == {n for n in packed.archive.namelist() if not n.endswith("/")} - {
        "manifest.json"
    }
    for name, about in packed.manifest["files"].items():
        content = packed.archive.read(name)
        assert about == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    replica = packed.workplace
    counted = {t: replica.rows(f'SELECT count(*) FROM "{t}"')[0][0] for t in replica.tables()}
    assert packed.manifest["rows"] == counted
    assert counted["orders"] > 0


def test_workplace_json_has_every_field(office: Office, packed: Packed) -> None:
    """Lines 68-69."""
    about = packed.workplace.about
    assert set(about) == {
        "service",
        "workplace",
        "name",
        "application",
        "configuration",
        "version",
        "prefix",
        "organisations",
        "generation",
        "position",
        "scope_version",
        "platform",
        "created_at",
    }
    assert about["service"] == office.url
    assert about["workplace"] == packed.document["id"]
    assert about["name"] == packed.document["name"]
    assert about["application"] == office.code
    assert (about["configuration"], about["version"], about["platform"]) == ("steppe", "2.1.0", ">=3.11")
    assert about["prefix"] == packed.document["prefix"]
    assert about["organisations"] == [packed.organisation]


def test_the_read_me_tells_in_the_languages_of_the_application_and_names_the_platform(packed: Packed) -> None:
    """Line 70."""
    page = packed.archive.read("InfoBase/ReadMe.html").decode()
    assert "3.11" in page
    for language in ("en", "ru", "kk"):
        assert f'lang="{language}"' in page


def test_no_secret_and_no_excluded_column_is_inside(office: Office, packed: Packed) -> None:
    """Line 74."""
    everything = b"".join(packed.archive.read(name) for name in packed.archive.namelist())
    for secret in ("secret-note", "secret-rating", "internal_note", "credit_rating", office.dsn, office.operator.token):
        assert secret
        assert secret.encode() not in everything
    assert "foreign" not in [r[0] for r in packed.workplace.rows("SELECT comment FROM orders")]


def test_tables_have_the_names_columns_and_keys_of_the_application_in_catalogue_order(
    office: Office, packed: Packed
) -> None:
    """Line 76."""
    for table in packed.workplace.tables():
        theirs = office.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
            " AND column_name NOT IN ('internal_note', 'credit_rating') ORDER BY ordinal_position",
            table,
        )
        ours = packed.workplace.rows(f'PRAGMA table_info("{table}")')
        assert [c["name"] for c in ours] == [c["column_name"] for c in theirs]
        keyed = [c["name"] for c in sorted(ours, key=lambda c: int(c["pk"])) if c["pk"]]
        assert keyed == packed.workplace.key_columns(table)


def _foreign_keys(packed: Packed) -> set[tuple[str, str, str]]:
    return {
        (table, key["from"], key["table"])
        for table in packed.workplace.tables()
        for key in packed.workplace.rows(f'PRAGMA foreign_key_list("{table}")')
    }


def test_foreign_keys_stand_where_the_target_is_in_the_replica_for_certain(packed: Packed) -> None:
    """Lines 76-78."""
    found = _foreign_keys(packed)
    assert {
        ("order_lines", "order_id", "orders"),
        ("order_notes", "order_id", "orders"),  # part → root
        ("items", "unit_code", "units"),
        ("order_lines", "item_id", "items"),  # → a shared table
        ("orders", "customer_id", "customers"),  # within_scope
    } <= found
    assert not {f for f in found if f[1] in {"twin_id", "manager_id"}}
    for (sql,) in packed.workplace.rows(
        "SELECT sql FROM sqlite_master WHERE sql LIKE '%REFERENCES%' AND type = 'table'"
    ):
        assert sql.count("REFERENCES") == sql.count("DEFERRABLE INITIALLY DEFERRED")


@pytest.mark.parametrize("table", ["closing_dates", "customers", "orders", "entries", "tasks"])
def test_a_foreign_key_to_the_organisation_stands_in_the_replica(packed: Packed, table: str) -> None:
    """Line 77: → the organisation."""
    assert (table, "organisation_id", "organisations") in _foreign_keys(packed)


def test_secondary_uniques_are_plain_indexes_and_generated_columns_plain_columns(packed: Packed) -> None:
    """Line 78."""
    indexes = packed.workplace.rows("PRAGMA index_list('customers')")
    covered = [[c["name"] for c in packed.workplace.rows(f'PRAGMA index_info("{i["name"]}")')] for i in indexes]
    assert ["organisation_id", "code"] in covered
    assert not any(i["unique"] for i in indexes if i["origin"] != "pk")
    assert {c["hidden"] for c in packed.workplace.rows("PRAGMA table_xinfo('orders')")} == {0}
    assert packed.workplace.rows("SELECT 1 FROM orders WHERE gross = '11.2000'")


def test_yurt_workplace_holds_workplace_json_and_the_moving_state_as_json_text(packed: Packed) -> None:
    """Line 79."""
    stored = {r["key"]: json.loads(r["value"]) for r in packed.workplace.rows("SELECT key, value FROM yurt_workplace")}
    assert packed.workplace.about.items() <= stored.items()
    assert stored["last_message"] == 0


def test_yurt_columns_describes_every_column_as_the_catalogue_does(office: Office, packed: Packed) -> None:
    """Lines 80-81."""
    replica = packed.workplace
    header = [c["name"] for c in replica.rows("PRAGMA table_info(yurt_columns)")]
    assert header == ["table_name", "ordinal", "column_name", "type", "nullable", "generated", "key_ordinal"]
    theirs = office.sql(
        "SELECT c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), a.atttypmod) AS kind,"
        " NOT (a.attnotnull OR t.typnotnull) AS nullable, a.attgenerated <> '' AS generated"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
        " AND a.attname NOT IN ('internal_note', 'credit_rating')"
    )
    expected = {(r["relname"], r["attname"], r["kind"], int(r["nullable"]), int(r["generated"])) for r in theirs}
    ours = {(r[0], r[2], r[3], r[4], r[5]) for r in replica.rows("SELECT * FROM yurt_columns")}
    assert ours == {e for e in expected if e[0] != "employees"}
    assert replica.columns("every_type")["counted"]["type"] == "integer", "domains by base type"
    assert [c["key_ordinal"] for c in replica.columns("rates").values()] == [1, 2, None, None]
    ordinals = [c["ordinal"] for c in replica.columns("orders").values()]
    assert ordinals == sorted(ordinals)


def test_yurt_aggregates_has_a_row_per_root_and_one_per_part(packed: Packed) -> None:
    """Line 82."""
    replica = packed.workplace
    header = [c["name"] for c in replica.rows("PRAGMA table_info(yurt_aggregates)")]
    assert header == [
        "table_name",
        "part_table",
        "parent_column",
        "access",
        "keys",
        "organisation_column",
        "number_column",
        "closed",
    ]
    roots = {r["table_name"]: r for r in replica.rows("SELECT * FROM yurt_aggregates WHERE part_table IS NULL")}
    assert set(roots) == {
        "organisations",
        "closing_dates",
        "units",
        "items",
        "customers",
        "orders",
        "entries",
        "rates",
        "tasks",
        "every_type",
    }
    assert roots["units"]["access"] == "read_only"
    assert roots["orders"]["access"] == "read_write"
    assert [roots[t]["keys"] for t in ("orders", "items", "rates")] == ["uuid", "range", "natural"]
    assert roots["orders"]["organisation_column"] == "organisation_id"
    assert roots["items"]["organisation_column"] is None
    assert roots["orders"]["number_column"] == "number"
    assert roots["orders"]["closed"]
    assert roots["tasks"]["closed"] is None
    assert replica.parts("orders") == {"order_lines": "order_id", "order_notes": "order_id"}


def test_the_other_yurt_tables_have_the_columns_of_the_page(packed: Packed) -> None:
    """Lines 83-91."""
    expected = {
        "yurt_changes": ["seq", "table_name", "key", "op", "base", "before", "parts_before", "edited_at", "edited_by"],
        "yurt_outbox": ["message", "body", "digest", "version"],
        "yurt_paused": ["paused"],
        "yurt_ranges": ["table_name", "column_name", "next", "last"],
        "yurt_workplace": ["key", "value"],
    }
    for table, columns in expected.items():
        found = packed.workplace.rows(f"PRAGMA table_info({table})")
        assert [c["name"] for c in found] == columns
    (paused,) = packed.workplace.rows("PRAGMA table_info(yurt_paused)")
    assert (paused["type"], paused["notnull"], paused["dflt_value"]) == ("INTEGER", 1, "1")
    seq = packed.workplace.rows("PRAGMA table_info(yurt_changes)")[0]
    assert (seq["type"], seq["pk"]) == ("INTEGER", 1)
    assert packed.workplace.rows("SELECT * FROM yurt_paused") == []


def test_the_replica_is_sound_and_equals_the_cloud(packed: Packed) -> None:
    """Lines 64-78."""
    assert [r[0] for r in packed.workplace.rows("PRAGMA integrity_check")] == ["ok"]
    assert packed.workplace.rows("PRAGMA foreign_key_check") == []
    assert isinstance(packed.workplace.db, sqlite3.Connection)
