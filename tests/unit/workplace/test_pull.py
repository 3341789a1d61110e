"""Deltas: proven first, applied whole, nothing unsent overwritten."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from shared.protocol.digest import bucket_of, row_encoder, table_digests
from tests.unit.workplace.scripted_gateway import Answer, Gateway, Request, delta
from tests.unit.workplace.test_push import silent, sync
from workplace.engine import problems, verify
from workplace.engine.clock import age_seconds
from workplace.engine.exchange import synchronise
from workplace.engine.failures import Busy, NoConnection, UnexpectedAnswer
from workplace.engine.lock import ExchangeLock
from workplace.engine.repair import repairs
from workplace.engine.replica import Replica
from workplace.engine.service import Service


def order(key: str, note: str, *lines: str) -> dict[str, Any]:
    """A put of an order with lines."""
    row = {"id": key, "number": "A-1", "customer_id": "ALFKI", "ordered_on": None, "total": "1.00", "note": note}
    parts = [{"id": line, "order_id": key, "good_id": 1, "quantity": 1, "price": "1.00"} for line in lines]
    return {"op": "put", "table": "orders", "key": {"id": key}, "row": row, "parts": {"order_lines": parts}}


def customer(key: str, name: str) -> dict[str, Any]:
    """A put of a customer."""
    row = {"id": key, "name": name, "stamp": "AQ==", "active": True}
    return {"op": "put", "table": "customers", "key": {"id": key}, "row": row, "parts": {}}


def notes(replica: Replica) -> dict[str, str]:
    return dict(replica.connection.execute("SELECT id, note FROM orders ORDER BY id").fetchall())


def lines(replica: Replica) -> list[tuple[str, str]]:
    return replica.connection.execute("SELECT id, order_id FROM order_lines ORDER BY id").fetchall()


def test_puts_and_removes_arrive_with_all_lines(replica: Replica, service: Service, gateway: Gateway) -> None:
    remove = {"op": "remove", "table": "orders", "key": {"id": "o2"}}
    gateway.deltas.append(delta([remove, order("o1", "new", "l1", "l9")], position="p5"))
    outcome = sync(replica, service)
    assert notes(replica) == {"o1": "new"}
    assert lines(replica) == [("l1", "o1"), ("l9", "o1")]
    assert (outcome.put, outcome.removed) == ({"orders": 1}, {"orders": 1})
    assert replica.get("position") == "p5"
    assert replica.connection.execute("SELECT count(*) FROM yurt_changes").fetchone() == (0,)
    assert replica.connection.execute("SELECT count(*) FROM yurt_paused").fetchone() == (0,)


def test_the_order_of_the_lines_does_not_matter(replica: Replica, service: Service, gateway: Gateway) -> None:
    """The line l1 moves to another order that stands before its old one; the customer comes after both."""
    changed = [order("o2", "takes", "l1"), order("o1", "gives", "l2"), customer("NEW", "New")]
    changed[0]["row"]["customer_id"] = "NEW"
    gateway.deltas.append(delta(changed, position="p5"))
    sync(replica, service)
    assert lines(replica) == [("l1", "o2"), ("l2", "o1")]


def test_wire_values_become_replica_values(replica: Replica, service: Service, gateway: Gateway) -> None:
    good = {"id": 7, "name": "Вес", "price": "3.10", "weight": "NaN"}
    gateway.deltas.append(delta([{"op": "put", "table": "goods", "key": {"id": 7}, "row": good, "parts": {}},
                                 customer("c1", "x")], position="p5"))  # fmt: skip
    sync(replica, service)
    assert replica.connection.execute("SELECT price, weight FROM goods WHERE id = 7").fetchone() == ("3.10", "NaN")
    assert replica.connection.execute("SELECT stamp, active FROM customers WHERE id = 'c1'").fetchone() == (b"\x01", 1)


@pytest.mark.parametrize("damage", ["cut", "hash", "count"])
def test_a_delta_that_is_not_proven_changes_nothing(
    replica: Replica, service: Service, gateway: Gateway, damage: str
) -> None:
    good = delta([order("o1", "new")], position="p5")
    bad = {
        "cut": good[: good.rindex(b'{"end"')],
        "hash": good.replace(b'"new"', b'"ney"'),
        "count": good.replace(b'"count": 1', b'"count": 2'),
    }[damage]
    gateway.deltas += [bad, bad]
    with pytest.raises(UnexpectedAnswer) as raised:
        sync(replica, service)
    assert raised.value.code == "damaged_delta"
    assert notes(replica)["o1"] == "first"
    assert replica.get("position") == "p0"


def test_a_delta_damaged_once_is_asked_for_again(replica: Replica, service: Service, gateway: Gateway) -> None:
    good = delta([order("o1", "new")], position="p5")
    gateway.deltas += [good[:-20], good]
    sync(replica, service)
    assert notes(replica)["o1"] == "new"


def test_edits_made_while_the_exchange_runs_are_not_overwritten(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    def edit(step: str, done: int, total: int) -> None:
        if step == "download" and done == 0:
            replica.connection.execute("UPDATE orders SET note = 'mine' WHERE id = 'o1'")

    gateway.deltas.append(delta([order("o1", "theirs"), order("o2", "theirs")], position="p5"))
    synchronise(replica, service, "me", edit)
    assert notes(replica) == {"o1": "mine", "o2": "theirs"}
    change = replica.connection.execute("SELECT base, before FROM yurt_changes").fetchall()
    assert change == [("p0", '{"note":"first"}')]
    sync(replica, service)
    assert gateway.lines(1)[0]["base"] == "p0"


def test_what_was_made_and_deleted_while_the_service_told_of_it_stands_as_the_service_has_it(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    """Made here and deleted again it leaves nothing to send, and the delta that brought the service's was passed over:
    the copies differed for ever. Found by random histories.
    """

    def make(step: str, done: int, total: int) -> None:
        if step == "download" and done == 0:
            replica.connection.execute("INSERT INTO customers (id, name) VALUES ('TWICE', 'mine')")

    gateway.deltas.append(delta([customer("TWICE", "theirs"), customer("OTHER", "theirs")], position="p5"))
    synchronise(replica, service, "me", make)
    names = "SELECT id, name FROM customers WHERE id IN ('TWICE', 'OTHER') ORDER BY id"
    assert replica.connection.execute(names).fetchall() == [("OTHER", "theirs"), ("TWICE", "mine")]
    replica.connection.execute("DELETE FROM customers WHERE id = 'TWICE'")
    assert replica.connection.execute("SELECT * FROM yurt_changes").fetchall() == []
    sync(replica, service)
    assert replica.connection.execute(names).fetchall() == [("OTHER", "theirs"), ("TWICE", "theirs")]
    assert replica.connection.execute("SELECT * FROM yurt_passed").fetchall() == []
    assert replica.connection.execute("SELECT * FROM yurt_changes").fetchall() == []


def test_a_reset_empties_everything_but_what_is_unsent(replica: Replica, service: Service, gateway: Gateway) -> None:
    def edit(step: str, done: int, total: int) -> None:
        if step == "download" and done == 0:
            replica.connection.execute("UPDATE order_lines SET quantity = 5 WHERE id = 'l1'")

    gateway.opening = {
        "resync": {"reason": "generation", "upload_first": True},
        "ranges": {"goods": {"column": "id", "spans": [[500, 509]]}},
    }
    gateway.deltas.append(delta([customer("ALFKI", "x"), order("o1", "theirs", "l1"), order("o5", "new", "l5")],
                                position="q1", reset=True, generation="g2"))  # fmt: skip
    outcome = synchronise(replica, service, "me", edit)
    assert outcome.reset
    assert notes(replica) == {"o1": "first", "o5": "new"}
    assert lines(replica) == [("l1", "o1"), ("l2", "o1"), ("l5", "o5")]
    assert (replica.get("generation"), replica.get("position")) == ("g2", "q1")
    ranges = replica.connection.execute("SELECT table_name, next, last FROM yurt_ranges").fetchall()
    assert ranges == [("goods", 500, 509)]


def test_void_ranges_are_reported_as_none_left(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.opening = {"resync": {"reason": "reissued", "upload_first": True}}
    gateway.deltas.append(delta([], position="q1", reset=True))
    sync(replica, service)
    assert gateway.requests[0].document["free"] == {"goods": 10}
    sync(replica, service)
    openings = [request.document for request in gateway.requests if request.path.endswith("/exchanges")]
    assert openings[-1]["free"] == {"goods": 0}


def test_a_bucket_loses_what_the_service_does_not_have(replica: Replica, service: Service, gateway: Gateway) -> None:
    encode = row_encoder(["text"])
    replica.connection.execute("PRAGMA foreign_keys = OFF")
    replica.connection.execute("INSERT INTO yurt_paused VALUES (1)")
    replica.connection.execute("INSERT INTO orders VALUES ('stray', NULL, 'ALFKI', NULL, '0', NULL)")
    replica.connection.execute("INSERT INTO order_lines VALUES ('orphan', 'gone', 1, 1, '1')")
    replica.connection.execute("DELETE FROM yurt_paused")
    replica.connection.execute("PRAGMA foreign_keys = ON")
    buckets = [
        {"op": "bucket", "table": "orders", "bucket": bucket_of(encode([key])), "keys": keys}
        for key, keys in (("stray", []), ("gone", []), ("o1", [{"id": "o1"}]))
    ]
    gateway.deltas.append(delta([*buckets, order("o1", "repaired", "l1")], position="p5"))
    sync(replica, service)
    assert notes(replica) == {"o1": "repaired", "o2": None}
    assert lines(replica) == [("l1", "o1"), ("l3", "o2")]


def test_a_reference_left_open_by_a_local_edit_does_not_block_the_delta(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    def edit(step: str, done: int, total: int) -> None:
        if step == "download" and done == 0:
            replica.connection.execute("INSERT INTO orders (id, customer_id, total) VALUES ('o9', 'БЕРЁЗ', '0')")

    gateway.deltas.append(delta([{"op": "remove", "table": "customers", "key": {"id": "БЕРЁЗ"}}], position="p5"))
    synchronise(replica, service, "me", edit)
    assert replica.get("position") == "p5"
    assert "o9" in notes(replica)
    assert replica.connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_both_versions_of_a_conflict_stand_side_by_side(replica: Replica, service: Service, gateway: Gateway) -> None:
    gateway.results[1] = [{"seq": 1, "status": "conflict", "code": "conflict", "detail": "note", "problem": "pr-9"}]
    gateway.deltas.append(delta([order("o1", "theirs", "l1")], position="p5"))
    replica.connection.execute("UPDATE orders SET note = 'mine' WHERE id = 'o1'")
    sync(replica, service)
    (problem,) = problems.open_problems(replica.connection)
    assert problem.pushed["row"]["note"] == "mine"
    assert problem.service is not None
    assert problem.service["row"]["note"] == "theirs"
    assert notes(replica)["o1"] == "theirs"


def test_a_new_schema_is_applied_with_its_delta_and_late_edits_keep_the_old_version(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    sql = (
        "ALTER TABLE orders ADD COLUMN channel TEXT; -- a comment; with a semicolon\n"
        "INSERT INTO yurt_columns VALUES ('orders', 7, 'channel', 'text', 1, 0, NULL);\n"
        "UPDATE yurt_workplace SET value = '\"2.0.0\"' WHERE key = 'version';\n"
    )
    gateway.opening = {"schema": {"version": "2.0.0", "url": "/api/v1/schemas/2"}}
    gateway.faults.append(lambda request: Answer(200, sql.encode()) if request.path.endswith("/schemas/2") else None)
    changed = order("o2", "two", "l3")
    changed["row"]["channel"] = "shop"
    gateway.deltas.append(delta([changed], position="p5"))

    def edit(step: str, done: int, total: int) -> None:
        if step == "download" and done == 0:
            replica.connection.execute("UPDATE orders SET note = 'late' WHERE id = 'o1'")

    outcome = synchronise(replica, service, "me", edit)
    assert outcome.schema == "2.0.0"
    assert replica.connection.execute("SELECT channel FROM orders WHERE id = 'o2'").fetchone() == ("shop",)
    assert replica.get("version") == "2.0.0"
    assert replica.connection.execute("SELECT message, version FROM yurt_outbox").fetchall() == [(1, "1.0.0")]
    gateway.opening = {}
    sync(replica, service)
    assert gateway.versions == {1: "1.0.0"}


def test_digests_prove_the_copy_or_name_the_buckets_which_the_next_exchange_repairs_at_once(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    equal = table_digests(replica.connection)
    gateway.deltas.append(delta([], position="p5", digests=equal))
    assert synchronise(replica, service, "me", silent, prove=True).verified is True
    theirs = table_digests(replica.connection, buckets=True)
    wanted = bucket_of(row_encoder(["text"])(["ALFKI"]))
    told = {"op": "put", "table": "customers", "key": {"id": "ALFKI"}, "parts": {}, "row": {
        "id": "ALFKI", "name": "Alfreds Futterkiste", "stamp": None, "active": True,
    }}  # fmt: skip
    bucket = {"op": "bucket", "table": "customers", "bucket": wanted, "keys": [{"id": "ALFKI"}]}
    damaged(replica, "UPDATE customers SET name = 'damaged' WHERE id = 'ALFKI'")
    gateway.deltas += [
        delta([], position="p6", digests=theirs),
        delta([], position="p7", digests=theirs),
        delta([bucket, told], position="p8", digests=equal),
    ]
    outcome = synchronise(replica, service, "me", silent, prove=True)
    assert (outcome.verified, outcome.differing) == (True, {"customers": [wanted]})
    found = {"customers": {"missing": 0, "extra": 0, "different": 1}}
    first, second = [request.document for request in gateway.requests if request.path.endswith("/completion")][-2:]
    assert first == {"position": "p7", "applied": 0, "verified": False, "differing": {"customers": [wanted]}}
    assert second == {"position": "p8", "applied": 2, "verified": True, "repaired": found}
    (repair,) = repairs(replica)
    assert (repair["tables"], repair["rows"], repair["equal"]) == ({"customers": 1}, found, True)


def test_a_repair_whose_line_breaks_is_made_and_recorded_by_the_next_exchange(
    replica: Replica, service: Service, gateway: Gateway
) -> None:
    theirs = table_digests(replica.connection, buckets=True)
    damaged(replica, "DELETE FROM order_lines WHERE id = 'l3'")
    gateway.deltas += [delta([], position="p6", digests=theirs), delta([], position="p7", digests=theirs)]
    gateway.faults.append(lambda request: Answer(0, drop=True) if request.path.endswith("/exchanges")
                          and len(gateway.requests) > 1 else None)  # fmt: skip
    with pytest.raises(NoConnection):
        synchronise(replica, service, "me", silent, prove=True)
    assert repairs(replica) == []
    gateway.faults.clear()
    wanted = bucket_of(row_encoder(["text"])(["o2"]))
    bucket = {"op": "bucket", "table": "orders", "bucket": wanted, "keys": [{"id": "o2"}]}
    gateway.deltas.append(delta([bucket, order("o2", "two", "l3")], position="p8"))
    assert sync(replica, service).repair is not None
    (repair,) = repairs(replica)
    assert repair["rows"]["order_lines"] == {"missing": 1, "extra": 0, "different": 0}
    assert lines(replica)[-1] == ("l3", "o2")


def test_exchanges_compare_by_themselves_when_it_is_time(
    replica: Replica, service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(hours_later: float) -> bool:
        monkeypatch.setattr(verify, "age_seconds", lambda text: age_seconds(text) + hours_later * 3600)
        sync(replica, service)
        openings = [request.document for request in gateway.requests if request.path.endswith("/exchanges")]
        return bool(openings[-1].get("verify"))

    assert not asked(0), "a package was just proven"
    assert not asked(23.9)
    assert asked(24.1)  # this gateway states no digests: nothing was said
    assert not asked(0.9)
    assert asked(1.1), "so it is asked again soon"
    verify.set_hours_between(replica, 0)
    gateway.deltas.append(delta([], position="p5", digests=table_digests(replica.connection)))
    assert asked(0)
    verify.set_hours_between(replica, None)
    assert not asked(1000)
    verify.set_hours_between(replica, 6)
    assert not asked(5.9)
    assert asked(6.1)


def damaged(replica: Replica, statement: str) -> None:
    """Past the triggers."""
    replica.connection.execute("INSERT INTO yurt_paused VALUES (1)")
    replica.connection.execute(statement)
    replica.connection.execute("DELETE FROM yurt_paused")


def test_a_large_delta_continues_where_the_line_broke(replica: Replica, service: Service, gateway: Gateway) -> None:
    whole = gzip.compress(delta([order(f"n{n}", "x" * 50, f"nl{n}") for n in range(300)], position="p9"))
    asked: list[str] = []

    def serve(request: Request) -> Answer | None:
        if request.path.startswith("/api/v1/exchanges/x1/changes"):
            return Answer(303, b"", {"Location": "/api/v1/exchanges/x1/delta"})
        if not request.path.endswith("/delta"):
            return None
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        asked.append(f"{request.headers.get('range')} {request.headers.get('if-range')}")
        headers = {"ETag": '"e1"', "Content-Encoding": "gzip"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        rest = whole[start:]
        return Answer(206 if start else 200, rest, headers, cut=len(rest) // 2 if len(asked) < 4 else None)

    gateway.faults.append(serve)
    gateway.opening = {"backoff": None}
    sync(replica, service)
    assert replica.get("position") == "p9"
    assert asked[0] == "None None"
    assert all(entry.endswith('"e1"') for entry in asked[1:])
    assert len(asked) == 4


def test_two_exchanges_at_once_are_refused(replica: Replica, service: Service) -> None:
    with ExchangeLock(replica.path), pytest.raises(Busy):
        sync(replica, service)


def test_nothing_is_left_beside_the_replica(replica: Replica, service: Service, gateway: Gateway, path: Path) -> None:
    gateway.deltas.append(delta([order("o1", "new")], position="p5"))
    sync(replica, service)
    assert {entry.name for entry in path.parent.iterdir()} == {"infobase.db", "infobase.db.lock"}
