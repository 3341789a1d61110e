"""Workplaces of one subscriber among several: what they receive, what they may reach, what comes back to them."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.replication import capture, manifest, model
from shared.replication.digest import service_digests
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.applications.conftest import ACCOUNTING, APPLICATIONS
from tests.integration.applications.rows import fingerprints, one, tables
from tests.integration.replication.market import APPLICATION, Market
from tests.integration.replication.tiny_replica import TinyReplica

_NEW = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def office(fresh_database: str) -> Iterator[Market]:
    """1,200 documents of three organisations in each of two areas; area 1 is attached."""
    folder = APPLICATIONS / "accounting_kz"
    with connect(fresh_database) as conn:
        for script in ACCOUNTING:
            conn.execute((folder / script).read_bytes())
        conn.execute("select public.generate(1200, 3, 1, 2)")
        conn.execute("set search_path = public")
        bound = model.load(conn, manifest.parse((folder / "manifest.toml").read_text(encoding="utf-8")), "1")
        capture.install(conn, APPLICATION, bound)
        yield Market(conn, bound, fresh_database)


def _organisations(office: Market, area: int = 1) -> list[str]:
    return [key for (key,) in office.sql("select id::text from organisations where area_id = %s order by bin", area)]


def _workplace(office: Market, *organisations: str) -> TinyReplica:
    replica = TinyReplica(office, "W", Scope(organisations))
    replica.pull()
    return replica


def _equal(office: Market, replica: TinyReplica) -> bool:
    return replica.digests() == service_digests(office.conn, office.model, replica.scope)


def _invoice(office: Market, organisation: str, **more: Any) -> dict[str, Any]:
    counterparty = "select id::text from counterparties where organisation_id = %s order by id limit 1"
    row = {"id": _NEW, "organisation_id": organisation, "counterparty_id": office.value(counterparty, organisation)}
    rest = {
        "number": "W-1",
        "issued_on": "2026-02-01",
        "currency": "KZT",
        "exchange_rate": "1.0000",
        "status": "posted",
    }
    return row | rest | {"total_without_vat": "0.00", "vat": "0.00", "total": "0.00"} | more


def _line(office: Market, area: int) -> dict[str, Any]:
    item = office.value("select id::text from items where area_id = %s order by code limit 1", area)
    amounts = {"amount_without_vat": "0.00", "vat_amount": "0.00", "amount": "0.00"}
    line = {"id": _NEW, "invoice_id": _NEW, "line_no": 1, "item_id": item, "quantity": "2.000", "price": "500.00"}
    return line | {"vat_rate": "16.00"} | amounts


def test_documents_that_move_and_scopes_that_change_leave_equal_copies(office: Market) -> None:
    first, second, third = _organisations(office)
    replica = _workplace(office, first, second)
    assert _equal(office, replica)
    with office.conn.transaction():
        office.sql("set constraints all deferred")
        for table in ("invoices", "payments"):
            office.sql(
                f"update {table} set organisation_id = %s, counterparty_id ="
                " (select id from counterparties where organisation_id = %s order by id limit 1)"
                " where organisation_id = %s",
                *(third, third, second),
            )
    lines = replica.pull()
    left = {"invoices": 200, "payments": 100}
    gone = [line["table"] for line in lines if line["op"] == "remove"]
    assert {table: gone.count(table) for table in left} == left
    assert _equal(office, replica)
    replica.scope = Scope((first, second, third), 2)
    replica.pull()
    assert _equal(office, replica)
    assert sum(table == "invoices" for table, _ in replica.rows) == 600
    replica.scope = Scope((third,), 3)
    replica.pull()
    assert _equal(office, replica)
    assert sum(table == "invoices" for table, _ in replica.rows) == 400


def test_an_invoice_posted_offline_comes_back_with_its_entry(office: Market) -> None:
    first, *_ = _organisations(office)
    replica = _workplace(office, first)
    replica.put("invoices", _invoice(office, first), {"invoice_lines": [_line(office, 1)]})
    assert replica.push(version="2.0.0")["results"] == []
    replica.pull()
    entry = replica.at("journal_entries", id=_NEW)
    assert entry is not None
    assert entry["row"]["amount"] == "1160.00"
    sides = [(line["account_code"], line["debit"], line["credit"]) for line in entry["parts"]["journal_lines"]]
    assert sides == [("1210", "1160.00", "0.00"), ("6010", "0.00", "1000.00"), ("3130", "0.00", "160.00")]
    assert _equal(office, replica)
    replica.delete("invoices", id=_NEW)
    assert replica.push(version="2.0.0")["results"] == []
    replica.pull()
    assert replica.at("journal_entries", id=_NEW) is None
    assert _equal(office, replica)


def test_the_journal_is_not_pushed(office: Market) -> None:
    first, *_ = _organisations(office)
    replica = _workplace(office, first)
    key = next(row["row"]["id"] for (table, _), row in replica.rows.items() if table == "journal_entries")
    replica.put("journal_entries", {"id": key, "amount": "1.00"})
    (result,) = replica.push(version="2.0.0")["results"]
    assert (result["status"], result["code"]) == ("rejected", "read_only")
    replica.pull()
    assert _equal(office, replica)


def test_no_forged_key_reaches_another_area(office: Market) -> None:
    first, *_ = _organisations(office)
    stranger, *_ = _organisations(office, 2)
    replica = _workplace(office, first)
    theirs = office.value("select id::text from invoices where area_id = 2 order by id limit 1")
    partner = office.value("select id::text from counterparties where area_id = 2 order by id limit 1")
    names = tables(office.conn)
    before = fingerprints(office.conn, names)
    own = _line(office, 1)
    for row, line in (
        (_invoice(office, first, id=theirs), None),  # the key of their invoice
        (_invoice(office, stranger), own),  # their organisation
        (_invoice(office, first, counterparty_id=partner), own),  # their counterparty
        (_invoice(office, first), _line(office, 2)),  # their item
    ):
        replica.put("invoices", row, {"invoice_lines": [line] if line else []})
        (result,) = replica.push(version="2.0.0")["results"]
        assert result["status"] == "rejected", result
        replica.pull()
    replica.rows["invoices", f'{{"id":"{theirs}"}}'] = {"row": {"id": theirs}, "parts": {"invoice_lines": []}}
    replica.delete("invoices", id=theirs)
    replica.push(version="2.0.0")
    assert fingerprints(office.conn, names) == before
    assert one(office.conn, "select count(*) from invoices where id = %s and area_id = 2", theirs) == 1
