"""Several subscribers in one database: the database itself keeps them apart, and so does what a workplace receives."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from shared.replication import capture, image, manifest, model
from shared.replication.scope import Scope
from shared.replication.session import configure
from tests.integration.applications.conftest import APPLICATIONS
from tests.integration.applications.rows import Database, one, tables

_NO_AREA = {"areas", "standard_accounts"}


@pytest.fixture
def books(accounting: Database) -> Database:
    """300 documents of three organisations in each of two areas."""
    accounting.execute("select generate(300, 3, 1, 2)")
    return accounting


@contextmanager
def _working_for(books: Database, area: str) -> Iterator[Database]:
    """As the application's own connections work."""
    books.execute("set role accounting_app")
    books.execute("select set_config('accounting.area', %s, false)", [area])
    try:
        yield books
    finally:
        books.execute("reset role")
        books.execute("reset accounting.area")


def _per_area(books: Database) -> dict[str, dict[int, int]]:
    counts = sql.SQL("select area_id, count(*)::int from {} group by 1")
    names = [name for name in tables(books) if name not in _NO_AREA]
    return {name: dict(books.execute(counts.format(sql.Identifier(name))).fetchall()) for name in names}


def test_the_application_sees_the_rows_of_its_area_alone(books: Database) -> None:
    everything = _per_area(books)
    assert all({*areas} == {1, 2} for areas in everything.values())
    for area in (1, 2):
        with _working_for(books, str(area)):
            assert _per_area(books) == {name: {area: areas[area]} for name, areas in everything.items()}
            assert books.execute("select id from areas").fetchall() == [(area,)]


def test_a_connection_that_names_no_area_sees_nothing(books: Database) -> None:
    with _working_for(books, ""):
        assert _per_area(books) == {name: {} for name in _per_area(books)}
        assert not books.execute("select id from areas").fetchall()
        assert not books.execute("select id from posted_documents").fetchall()


def test_the_application_cannot_write_a_row_of_another_area(books: Database) -> None:
    foreign = one(books, "select id from organisations where area_id = 2 order by id limit 1")
    with _working_for(books, "1"):
        for statement in (
            "insert into units (area_id, code, name, name_kk) values (2, '999', 'x', 'x')",
            "update items set area_id = 2",
            f"insert into closing_dates (area_id, organisation_id, closed_until) values (2, '{foreign}', '2026-01-01')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                books.execute(statement.encode())
        assert books.execute("update invoices set note = 'mine' where area_id = 2").rowcount == 0
        assert books.execute("delete from payments where area_id = 2").rowcount == 0
        assert books.execute("update invoices set note = 'mine'").rowcount == 150
    assert one(books, "select count(*) from invoices where area_id = 2 and note = 'mine'") == 0


def test_no_reference_leads_into_another_area(books: Database) -> None:
    """Also for the owner, whom no policy holds."""
    for statement in (
        "update invoices set area_id = 2 where area_id = 1",
        "update invoice_lines l set invoice_id = (select id from invoices where area_id = 2 limit 1) where area_id = 1",
        "update invoice_lines l set item_id = (select id from items where area_id = 2 limit 1) where area_id = 1",
        "update items set unit_id = (select id from units where area_id = 2 limit 1) where area_id = 1",
        "update counterparties set organisation_id = (select id from organisations where area_id = 2 limit 1)"
        " where area_id = 1",
        "update payments p set invoice_id = (select id from invoices where area_id = 2 limit 1) where area_id = 1",
    ):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            books.execute(statement.encode())


def test_the_application_works_without_naming_its_area_in_each_statement(books: Database) -> None:
    with _working_for(books, "2"):
        invoice = one(
            books,
            "insert into invoices (organisation_id, counterparty_id, status)"
            " select organisation_id, id, 'posted' from counterparties order by id limit 1 returning id",
        )
        books.execute(
            "insert into invoice_lines (invoice_id, item_id, quantity, price)"
            " values (%s, (select id from items order by code limit 1), 3, 100)",
            [invoice],
        )
        entry = "select area_id, amount::text from journal_entries where id = %s"
        assert books.execute(entry, [invoice]).fetchall() == [(2, "300.00")]
        assert one(books, "select number from invoices where id = %s", invoice) == "00000051"


def test_the_journal_is_not_written_by_hand(books: Database) -> None:
    with _working_for(books, "1"):
        for statement in (
            "update journal_lines set debit = debit + 1 where debit > 0",
            "delete from journal_entries",
            "select book(array(select id from invoices))",
            "update standard_accounts set name = 'x'",
            "truncate invoices cascade",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                books.execute(statement.encode())


def test_a_bin_a_code_and_a_number_may_be_the_same_in_two_areas(books: Database) -> None:
    assert one(books, "select count(*) from items a join items b using (code) where a.area_id < b.area_id") == 60
    books.execute(
        "insert into organisations (area_id, bin, name, full_name)"
        " select 2, bin, name, full_name from organisations where area_id = 1"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        books.execute(
            "insert into organisations (area_id, bin, name, full_name)"
            " select 1, bin, name, full_name from organisations where area_id = 1"
        )


def test_two_areas_attached_as_two_applications_give_images_without_one_foreign_row(
    books: Database, tmp_path: Path
) -> None:
    described = manifest.parse((APPLICATIONS / "accounting_kz" / "manifest.toml").read_text(encoding="utf-8"))
    everything = _per_area(books)
    keys: dict[int, set[str]] = {}
    configure(books)
    for area in (1, 2):
        bound = model.load(books, described, str(area))
        capture.install(books, f"books-{area}", bound)
        path = tmp_path / f"{area}.db"
        cut = image.build(books, bound, Scope(None), path, lambda *_: None)
        image.verify(path, cut.digests)
        assert cut.rows == {table.name: everything[table.name][area] for table in bound.tables}
        with closing(sqlite3.connect(path)) as replica:
            roots = [root for root in bound.roots if root.name != "accounts"]  # their codes are everybody's
            queries = [f"select {root.table.key_names[0]} from {root.name}" for root in roots]
            found = {key for query in queries for (key,) in replica.execute(query)}
        ours = {
            str(key)
            for root in roots
            for (key,) in books.execute(
                sql.SQL("select {} from {} where area_id = %s").format(
                    sql.Identifier(root.table.key_names[0]), sql.Identifier(root.name)
                ),
                [area],
            )
        }
        assert found == ours
        keys[area] = found
    assert not keys[1] & keys[2]


def test_what_the_application_writes_under_its_role_is_captured_for_its_area(books: Database) -> None:
    described = manifest.parse((APPLICATIONS / "accounting_kz" / "manifest.toml").read_text(encoding="utf-8"))
    for area in ("1", "2"):
        capture.install(books, f"books-{area}", model.load(books, described, area))
    with _working_for(books, "2"):
        books.execute("update invoices set status = 'draft' where status = 'posted'")
    marks = books.execute("select distinct table_name, area from yurt.history order by 1").fetchall()
    assert marks == [("invoices", "2"), ("journal_entries", "2")]
