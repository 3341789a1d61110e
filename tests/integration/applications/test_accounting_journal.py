"""The journal says what the posted documents say, after whatever happens to them."""

from decimal import Decimal

import psycopg
import pytest

from tests.integration.applications.rows import Database, one

# The oracle is written apart from the application's own view: straight from the documents.
_WRONG_ENTRIES = """
    select count(*) from (
        select id, organisation_id, number, issued_on as on, round(total_without_vat * exchange_rate, 2) as net,
               round(vat * exchange_rate, 2) as vat, '1210' as debit, '6010' as credit
        from invoices where status = 'posted' and total_without_vat > 0
        union all
        select id, organisation_id, number, paid_on, amount, 0, case direction when 'in' then '1030' else '3310' end,
               case direction when 'in' then '1210' else '1030' end
        from payments where status = 'posted') d
    full join (
        select e.id, e.organisation_id, e.number, e.entered_on as on, e.amount,
               (select jsonb_object_agg(account_code, debit - credit) from journal_lines where entry_id = e.id) as lines
        from journal_entries e) j using (id)
    where (j.organisation_id, j.number, j.on, j.amount, j.lines) is distinct from (d.organisation_id, d.number, d.on,
        d.net + d.vat, jsonb_build_object(d.debit, d.net + d.vat, d.credit, -d.net)
            || case when d.vat > 0 then jsonb_build_object('3130', -d.vat) else '{}' end)"""

_UNBALANCED = """
    select count(*) from journal_entries e
    left join (select entry_id, sum(debit) as debit, sum(credit) as credit from journal_lines group by 1) l
    on l.entry_id = e.id where (l.debit, l.credit) is distinct from (e.amount, e.amount)"""


@pytest.fixture
def books(accounting: Database) -> Database:
    """400 documents of three organisations in each of two areas, two of them in dollars."""
    accounting.execute("select generate(400, 3, 1, 2)")
    return accounting


def _is_right(books: Database) -> bool:
    return (one(books, _WRONG_ENTRIES), one(books, _UNBALANCED)) == (0, 0)


def test_generated_documents_are_in_the_journal_and_each_entry_balances(books: Database) -> None:
    assert _is_right(books)
    posted = one(books, "select count(*) from invoices where status = 'posted'")
    posted += one(books, "select count(*) from payments where status = 'posted'")
    assert one(books, "select count(*) from journal_entries") == posted > 500
    assert one(books, "select count(distinct account_code) from journal_lines") == 5


def test_posting_makes_an_entry_and_unposting_takes_it_back(books: Database) -> None:
    other = "case status when 'posted' then 'draft' else 'posted' end::document_status"
    books.execute(f"update invoices set status = {other}".encode())
    assert _is_right(books)
    books.execute("update payments set status = 'draft'")
    assert one(books, "select count(*) from journal_entries where document = 'payment'") == 0
    books.execute("update invoices set status = 'draft'")
    assert one(books, "select count(*) from journal_entries") == one(books, "select count(*) from journal_lines") == 0
    books.execute("update invoices set status = 'posted'")
    books.execute("update payments set status = 'posted'")
    assert _is_right(books)
    assert one(books, "select count(*) from journal_entries") == 400 + one(books, "select count(*) from payments")


def test_a_posted_document_that_changes_changes_its_entry(books: Database) -> None:
    books.execute("update invoice_lines set price = price + 10, vat_rate = vat_rate * (line_no - 1)")
    books.execute("delete from invoice_lines where line_no = 2")
    books.execute("update invoices set issued_on = issued_on + 1, number = 'X' || number")
    books.execute("update invoices set exchange_rate = 500 where currency = 'USD'")
    books.execute("update payments set amount = amount + 1, direction = 'out', paid_on = paid_on + 1")
    assert _is_right(books)
    books.execute("update invoice_lines set vat_rate = 0")
    assert one(books, "select count(*) from journal_lines where account_code = '3130'") == 0
    assert _is_right(books)


def test_an_entry_that_is_right_already_is_not_written_again(books: Database) -> None:
    before = books.execute("select xmin::text, id from journal_entries order by id").fetchall()
    books.execute("update invoices set note = 'read', internal_note = 'read'")
    books.execute("update payments set purpose = 'read'")
    assert books.execute("select xmin::text, id from journal_entries order by id").fetchall() == before


def test_an_invoice_without_lines_is_booked_when_it_gets_them(books: Database) -> None:
    invoice = one(
        books,
        "insert into invoices (area_id, organisation_id, counterparty_id, status)"
        " select area_id, organisation_id, id, 'posted' from counterparties order by id limit 1 returning id",
    )
    amount = "select amount from journal_entries where id = %s"
    assert not books.execute(amount, [invoice]).fetchall()
    books.execute(
        "insert into invoice_lines (area_id, invoice_id, item_id, quantity, price, vat_rate)"
        " select i.area_id, i.id, items.id, 2, 1000, 16 from invoices i join items using (area_id)"
        " where i.id = %s order by items.id limit 1",
        [invoice],
    )
    assert one(books, amount, invoice) == Decimal("2320.00")
    books.execute("delete from invoice_lines where invoice_id = %s", [invoice])
    assert not books.execute(amount, [invoice]).fetchall()


def test_a_deleted_document_takes_its_entry_with_it(books: Database) -> None:
    books.execute("delete from payments where number < '00000020'")
    books.execute("delete from invoices i where not exists (select from payments p where p.invoice_id = i.id)")
    assert _is_right(books)
    books.execute("truncate payments")
    assert one(books, "select count(*) from journal_entries where document = 'payment'") == 0
    assert _is_right(books)


def test_a_rolled_back_posting_leaves_nothing(books: Database) -> None:
    with books.transaction(force_rollback=True):
        books.execute("update invoices set status = 'draft'")
    assert _is_right(books)


def test_the_standard_chart_of_accounts_has_its_eight_sections_in_both_languages(books: Database) -> None:
    sections = books.execute("select code from accounts where area_id = 2 and code like '_000' order by 1").fetchall()
    assert [code for (code,) in sections] == [f"{section}000" for section in range(1, 9)]
    assert one(books, "select count(*) from accounts where area_id = 1 and name <> '' and name_kk <> ''") == 78
    with pytest.raises(psycopg.errors.CheckViolation):
        books.execute("insert into accounts (area_id, code, name, name_kk) values (1, '9010', 'x', 'x')")
