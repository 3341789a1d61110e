"""Northwind is loaded as it is published; for the scale test it is widened."""

import psycopg
import pytest

from tests.integration.applications.conftest import APPLICATIONS
from tests.integration.applications.rows import Database, fingerprints, one, tables

_WIDEN = (APPLICATIONS / "northwind" / "widen.sql").read_bytes()


def _widen(database: Database, orders: int) -> None:
    database.execute("select set_config('yurt.orders', %s, false)", [str(orders)])
    with database.transaction():
        database.execute(_WIDEN)


def test_northwind_has_14_tables_with_3362_rows(northwind: Database) -> None:
    rows = {name: count for name, (count, _) in fingerprints(northwind, tables(northwind)).items()}
    assert len(rows) == 14
    assert sum(rows.values()) == 3362
    assert (rows["orders"], rows["order_details"]) == (830, 2155)


def test_widened_northwind_has_the_asked_orders_and_every_reference_holds(northwind: Database) -> None:
    original = fingerprints(northwind, ["orders", "order_details"])
    _widen(northwind, 40_000)
    assert one(northwind, "select count(*) from orders") == 40_000
    assert one(northwind, "select max(order_id) from orders") > 32_767
    types = "select string_agg(distinct data_type, ',') from information_schema.columns where column_name = 'order_id'"
    assert one(northwind, types) == "integer"
    empty = "select count(*) from orders o left join order_details d using (order_id) where d.order_id is null"
    assert one(northwind, empty) == 0
    unchecked = "select count(*) from pg_constraint where contype = 'f' and not convalidated"
    assert one(northwind, unchecked) == 0
    orphans = "select count(*) from order_details d left join orders o using (order_id) where o.order_id is null"
    assert one(northwind, orphans) == 0
    northwind.execute("delete from order_details where order_id > 11077")
    northwind.execute("delete from orders where order_id > 11077")
    assert fingerprints(northwind, ["orders", "order_details"]) == original


def test_widening_in_two_steps_makes_the_same_rows_as_in_one(northwind: Database) -> None:
    _widen(northwind, 3_000)
    stepwise = fingerprints(northwind, tables(northwind))
    northwind.execute("delete from order_details where order_id > 11077")
    northwind.execute("delete from orders where order_id > 11077")
    for orders in (1_000, 3_000, 900):
        _widen(northwind, orders)
    assert fingerprints(northwind, tables(northwind)) == stepwise


def test_an_absurd_number_of_orders_is_refused(northwind: Database) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match=r"from 1 to 1000000"):
        _widen(northwind, 5_000_000)
