"""What the accounting application itself guarantees, whoever writes and however many rows at once."""

from decimal import Decimal
from threading import Event, Thread

import psycopg
import pytest

from tests.integration.applications.rows import Database, one

_WRONG_TOTALS = """
    select count(*) from invoices i left join lateral (
        select coalesce(sum(amount_without_vat), 0) as net, coalesce(sum(vat_amount), 0) as vat,
               coalesce(sum(amount), 0) as total
        from invoice_lines where invoice_id = i.id) s on true
    where (i.total_without_vat, i.vat, i.total) is distinct from (s.net, s.vat, s.total)"""

_NEW_INVOICE = """
    insert into invoices (area_id, organisation_id, counterparty_id, issued_on, number)
    select area_id, organisation_id, id, '2026-02-01', %s from counterparties
    where organisation_id = (select id from organisations order by bin limit 1) order by id limit 1
    returning id"""


@pytest.fixture
def books(accounting: Database) -> Database:
    """300 documents of three organisations."""
    accounting.execute("select generate(300, 3, 1)")
    return accounting


@pytest.mark.parametrize("bin_", ["971240001315", "940140000385", "941240000193"])
def test_numbers_of_the_state_register_are_accepted(accounting: Database, bin_: str) -> None:
    assert one(accounting, "select is_bin(%s)", bin_)


def test_a_wrong_control_digit_is_rejected(accounting: Database) -> None:
    numbers = [f"97124000131{digit}" for digit in range(10)]
    accepted = accounting.execute("select n from unnest(%s::text[]) n where is_bin_or_iin(n)", [numbers]).fetchall()
    assert accepted == [("971240001315",)]
    with pytest.raises(psycopg.errors.CheckViolation):
        accounting.execute(
            "insert into organisations (area_id, bin, name, full_name) values (1, '971240001316', 'x', 'x')"
        )


@pytest.mark.parametrize("text", ["", "97124000131", "9712400013155", "97124000131a", "971340001315"])
def test_what_is_no_bin_is_rejected_without_an_error(accounting: Database, text: str) -> None:
    assert one(accounting, "select is_bin(%s)", text) is False


def test_the_second_row_of_weights_decides_where_the_first_leaves_ten(accounting: Database) -> None:
    def control(number: str) -> int | None:
        for weights in (range(1, 12), [3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]):
            rest = sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11
            if rest < 10:
                return rest
        return None

    numbers = [f"{10**10 + n * 7919:011d}" for n in range(2000)]
    found = accounting.execute("select bin_control_digit(n) from unnest(%s::text[]) n", [numbers]).fetchall()
    assert [digit for (digit,) in found] == [control(number) for number in numbers]
    assert None in {digit for (digit,) in found}


def test_a_bulk_update_of_lines_brings_all_totals_up_to_date(books: Database) -> None:
    before = one(books, "select sum(total) from invoices")
    books.execute("update invoice_lines set price = price * 2, vat_rate = 0 where line_no < 3")
    books.execute("delete from invoice_lines where line_no = 3")
    assert one(books, _WRONG_TOTALS) == 0
    assert one(books, "select sum(total) from invoices") not in {before, Decimal(0)}
    assert one(books, "select sum(vat) from invoices") == 0


def test_lines_moved_in_bulk_leave_and_enter_the_totals(books: Database) -> None:
    invoice = one(books, "select id from invoices order by number, id limit 1")
    books.execute("update invoice_lines set invoice_id = %s where line_no = 1", [invoice])
    assert one(books, "select count(*) from invoice_lines where invoice_id = %s", invoice) == 302
    assert one(books, _WRONG_TOTALS) == 0


def test_amounts_and_totals_written_by_hand_do_not_stand(books: Database) -> None:
    books.execute("update invoices set total = 1, vat = 1, note = 'changed'")
    books.execute("update invoice_lines set amount = 1")
    assert one(books, _WRONG_TOTALS) == 0
    assert one(books, "select count(*) from invoices where note = 'changed'") == 300
    invoice = one(books, _NEW_INVOICE, "B-1")
    books.execute("update invoices set total = 99 where id = %s", [invoice])
    assert one(books, "select total from invoices where id = %s", invoice) == 0


def test_two_transactions_on_lines_of_one_invoice_do_not_lose_each_others_amounts(
    books: Database, fresh_database: str
) -> None:
    invoice = one(books, "select id from invoices order by number, id limit 1")
    change = "update invoice_lines set price = price + 1000 where invoice_id = %s and line_no = %s"

    waits = Event()

    def change_second_line() -> None:
        with psycopg.connect(fresh_database, options="-c log_lock_waits=on -c deadlock_timeout=10ms") as other:
            other.execute("set client_min_messages = log")
            other.add_notice_handler(lambda notice: waits.set())  # "still waiting for ShareLock …"
            other.execute(change, [invoice, 2])
        waits.set()

    second = Thread(target=change_second_line)
    with psycopg.connect(fresh_database) as first:
        first.execute(change, [invoice, 1])
        second.start()
        assert waits.wait(30)
    second.join()
    assert one(books, _WRONG_TOTALS) == 0


def test_documents_without_a_number_go_on_behind_the_last_one(books: Database) -> None:
    first = one(books, _NEW_INVOICE, "")
    second = one(books, _NEW_INVOICE, None)
    assert one(books, "select number from invoices where id = %s", first) == "00000101"
    assert one(books, "select number from invoices where id = %s", second) == "00000102"


def test_numbers_given_offline_stand_beside_the_applications_own(books: Database) -> None:
    for number in ("A-1", "AA-00000102", "A-2"):
        one(books, _NEW_INVOICE, number)
    own = one(books, _NEW_INVOICE, None)
    assert one(books, "select number from invoices where id = %s", own) == "00000101"
    with pytest.raises(psycopg.errors.UniqueViolation):
        one(books, _NEW_INVOICE, "A-1")


def test_ten_thousand_documents_in_one_statement_get_numbers_without_gaps(books: Database) -> None:
    books.execute(
        "insert into invoices (area_id, organisation_id, counterparty_id, issued_on)"
        " select c.area_id, c.organisation_id, c.id, date '2026-03-01' from counterparties c, generate_series(1, 334)"
    )
    gaps = """select count(*) from (select organisation_id, count(*) as n, max(number::int) as last from invoices
              group by organisation_id) o where n <> last"""
    assert one(books, "select count(*) from invoices") == 300 + 30 * 334
    assert one(books, gaps) == 0


def test_a_number_taken_back_with_a_savepoint_is_given_again(books: Database) -> None:
    with books.transaction():
        with books.transaction(force_rollback=True):
            one(books, _NEW_INVOICE, None)
        invoice = one(books, _NEW_INVOICE, None)
    assert one(books, "select number from invoices where id = %s", invoice) == "00000101"


def test_a_document_moved_to_another_organisation_gets_a_number_there(books: Database) -> None:
    target = one(books, "select id from organisations order by bin desc limit 1")
    books.execute(
        "update invoices i set organisation_id = %s,"
        " counterparty_id = (select id from counterparties where organisation_id = %s limit 1)"
        " where organisation_id <> %s and not exists (select from payments p where p.invoice_id = i.id)",
        [target, target, target],
    )
    numbers = books.execute("select number from invoices where organisation_id = %s order by 1", [target]).fetchall()
    assert len(numbers) > 150
    assert [int(number) for (number,) in numbers] == list(range(1, len(numbers) + 1))


def test_a_document_cannot_refer_to_another_organisations_counterparty(books: Database) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        books.execute(
            "update invoices i set counterparty_id = c.id from counterparties c"
            " where c.organisation_id <> i.organisation_id"
        )


def test_posting_is_stamped_once_and_taken_back_with_the_draft(books: Database) -> None:
    invoice = one(books, _NEW_INVOICE, None)
    stamp = "update invoices set status = %s where id = %s returning posted_at"
    posted = one(books, stamp, "posted", invoice)
    assert posted is not None
    assert one(books, "update invoices set note = 'later' where id = %s returning posted_at", invoice) == posted
    assert one(books, stamp, "draft", invoice) is None


def test_only_a_real_change_moves_the_time_of_the_last_change(books: Database) -> None:
    key = one(books, "select id from counterparties order by id limit 1")
    before = one(books, "select updated_at from counterparties where id = %s", key)
    same = "update counterparties set name = name where id = %s returning updated_at"
    assert one(books, same, key) == before
    assert one(books, "update counterparties set name = name || '!' where id = %s returning updated_at", key) > before
    given = "update counterparties set name = name || '?', updated_at = %s where id = %s returning updated_at"
    assert one(books, given, before, key) == before


def test_every_foreign_key_begins_an_index(accounting: Database) -> None:
    bare = accounting.execute("""
        select f.conrelid::regclass::text, f.conname from pg_constraint f
        where f.contype = 'f' and not exists (
            select from pg_index i where i.indrelid = f.conrelid
            and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)""").fetchall()
    assert not bare
