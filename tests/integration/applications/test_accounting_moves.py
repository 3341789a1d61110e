"""Documents that move between organisations: allowed in plain SQL, and whoever had them is told."""

import psycopg
import pytest

from shared.replication import capture, manifest, model
from tests.integration.applications.conftest import APPLICATIONS
from tests.integration.applications.rows import Database, one

_MOVED = """
    create temporary table moved as
    select i.id, (select id from counterparties where organisation_id = %(to)s order by id limit 1) as counterparty_id
    from invoices i where organisation_id = %(from)s
    order by exists (select from payments where invoice_id = i.id) desc, id limit 1000"""

_MOVE_INVOICES = """
    update invoices i set organisation_id = %(to)s, counterparty_id = m.counterparty_id
    from moved m where m.id = i.id"""

_MOVE_PAYMENTS = """
    update payments p set organisation_id = %(to)s, counterparty_id = m.counterparty_id
    from moved m where m.id = p.invoice_id"""


@pytest.fixture
def books(accounting: Database) -> Database:
    """4,000 documents of three organisations of one area, attached."""
    accounting.execute("select generate(4000, 3, 1)")
    described = manifest.parse((APPLICATIONS / "accounting_kz" / "manifest.toml").read_text(encoding="utf-8"))
    capture.install(accounting, "books", model.load(accounting, described, "1"))
    return accounting


def _two(books: Database) -> dict[str, str]:
    (first,), (second,), _ = books.execute("select id::text from organisations order by bin").fetchall()
    return {"from": first, "to": second}


def _move_without_payments(books: Database, way: dict[str, str]) -> None:
    with books.transaction():
        books.execute("set constraints all deferred")
        books.execute(_MOVE_INVOICES, way)


def test_a_thousand_invoices_move_with_their_payments_and_their_entries(books: Database) -> None:
    way = _two(books)
    books.execute(_MOVED, way)
    posted = one(books, "select count(*) from journal_entries where organisation_id = %s", way["to"])
    with books.transaction():
        books.execute("set constraints all deferred")
        assert books.execute(_MOVE_INVOICES, way).rowcount == 1000
        paid = books.execute(_MOVE_PAYMENTS, way).rowcount
        assert paid > 500
    marks = books.execute(
        "select table_name, count(distinct key)::int,"
        " array_agg(distinct organisation_before || '>' || organisation_after) from yurt.history group by 1 order by 1"
    ).fetchall()
    entries = one(books, "select count(*) from journal_entries where organisation_id = %s", way["to"]) - posted
    only = [f"{way['from']}>{way['to']}"]
    assert marks == [("invoices", 1000, only), ("journal_entries", entries, only), ("payments", paid, only)]
    assert entries > 1300
    numbers = "select count(distinct number) - count(*) from invoices where organisation_id = %s"
    assert one(books, numbers, way["to"]) == 0
    strange = """
        select count(*) from journal_entries e
        left join invoices i on i.id = e.id left join payments p on p.id = e.id
        where (e.organisation_id, e.number) is distinct from
              (coalesce(i.organisation_id, p.organisation_id), coalesce(i.number, p.number))"""
    assert one(books, strange) == 0


def test_an_invoice_that_leaves_its_payments_behind_is_refused(books: Database) -> None:
    way = _two(books)
    books.execute(_MOVED, way)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        books.execute(_MOVE_INVOICES, way)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        _move_without_payments(books, way)
    assert one(books, "select count(*) from yurt.history") == 0
