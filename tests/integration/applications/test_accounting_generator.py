"""generate(documents, organisations, seed, areas): the same arguments, the same rows."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.integration.applications.conftest import ACCOUNTING, APPLICATIONS
from tests.integration.applications.rows import Database, fingerprints, one, tables


@pytest.fixture
def second_database(postgres_url: str) -> Iterator[Database]:
    """Another database with the same application in it, of another session and another time zone."""
    name = f"yurt_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
        with psycopg.connect(url, autocommit=True) as connection:
            for script in ACCOUNTING:
                connection.execute((APPLICATIONS / "accounting_kz" / script).read_bytes())
            connection.execute("set timezone = 'Pacific/Auckland'")
            yield connection
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_the_same_seed_makes_the_same_rows_to_the_last_byte(accounting: Database, second_database: Database) -> None:
    for database in (accounting, second_database):
        assert one(database, "select generate(1000, 3, 7, 2)") == 1000
        database.execute("set timezone = 'UTC'")
    first, second = (fingerprints(database, tables(database)) for database in (accounting, second_database))
    assert first == second
    assert {name: rows for name, (rows, _) in first.items()} == {
        "accounts": 156,
        "areas": 2,
        "closing_dates": 6,
        "counterparties": 60,
        "invoice_lines": 3000,
        "invoices": 1000,
        "items": 120,
        "journal_entries": 1377,
        "journal_lines": 3506,
        "number_counters": 12,
        "organisations": 6,
        "payments": 498,
        "standard_accounts": 78,
        "units": 16,
    }


def test_another_seed_makes_other_documents(accounting: Database, second_database: Database) -> None:
    accounting.execute("select generate(100, 3, 1)")
    second_database.execute("select generate(100, 3, 2)")
    keys = ({key for (key,) in d.execute("select id from invoices")} for d in (accounting, second_database))
    assert set.isdisjoint(*keys)


def test_what_is_generated_keeps_every_rule_of_the_application(accounting: Database) -> None:
    accounting.execute("select generate(1000, 4, 1)")
    assert one(accounting, "select count(*) from invoices where issued_on <= date '2023-12-31'") == 0
    assert one(accounting, "select count(distinct organisation_id) from payments") == 4
    wrong_totals = """
        select count(*) from invoices i join lateral (
            select sum(net) as net, sum(round(net * vat_rate / 100, 2)) as vat
            from (select round(quantity * price, 2) as net, vat_rate from invoice_lines where invoice_id = i.id) l
        ) s on true
        where (i.total_without_vat, i.vat, i.total) is distinct from (s.net, s.vat, s.net + s.vat)"""
    assert one(accounting, wrong_totals) == 0
    rates = accounting.execute(
        "select distinct issued_on >= date '2026-01-01', vat_rate"
        " from invoices i join invoice_lines l on l.invoice_id = i.id order by 1, 2"
    ).fetchall()
    assert [(after, str(rate)) for after, rate in rates] == [(False, "12.00"), (True, "16.00")]


def test_the_areas_share_the_documents_and_nothing_else(accounting: Database) -> None:
    said: list[str | None] = []
    accounting.add_notice_handler(lambda notice: said.append(notice.message_primary))
    accounting.execute("select generate(1000, 3, 1, 2)")
    assert {"2 areas", "6 organisations", "1000 invoices"} <= {*said}
    counts = accounting.execute("select area_id, count(*) from invoices group by 1 order by 1").fetchall()
    assert counts == [(1, 501), (2, 499)]
    crossing = """
        select count(*) from invoices i join invoice_lines l on l.invoice_id = i.id join items on items.id = l.item_id
        join counterparties c on c.id = i.counterparty_id join organisations o on o.id = i.organisation_id
        where (i.area_id, i.area_id, i.area_id, i.area_id) <> (l.area_id, items.area_id, c.area_id, o.area_id)"""
    assert one(accounting, crossing) == 0


def test_a_database_that_holds_rows_is_not_filled_again(accounting: Database) -> None:
    accounting.execute("select generate(10, 2, 1)")
    with pytest.raises(psycopg.errors.RaiseException, match="holds data already"):
        accounting.execute("select generate(10, 2, 2)")
