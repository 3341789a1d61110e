"""What the history forgets, and that nobody misses it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.replication import capture, opening, retention
from shared.replication.history import is_not_later
from shared.replication.problem import ProtocolProblem
from tests.integration.replication.market import APPLICATION, Market
from tests.integration.replication.test_apply import converged, replica, uid
from tests.integration.replication.test_convergence import fresh
from tests.integration.replication.test_delta import inspect, keys, partner, writer
from tests.integration.replication.tiny_replica import TinyReplica

DAY = timedelta(days=1)


@pytest.fixture
def market(quiet_postgres: str) -> Iterator[Market]:
    with fresh(quiet_postgres, "service_wins") as found:
        yield found


def forget(market: Market, keep: timedelta = timedelta(0), away: timedelta = DAY) -> tuple[int, int]:
    found = retention.forget(market.conn, keep=keep, retention=away)
    assert found is not None
    return found.seen, found.repeated


def acknowledge(market: Market, one: TinyReplica) -> None:
    opening.acknowledge(market.conn, APPLICATION, one.name, str(one.position))


def snapshot(one: TinyReplica) -> str:
    return str(one.position).partition(".")[2]


def since(market: Market, one: TinyReplica) -> str | None:
    return retention.since(market.conn, APPLICATION, one.name, snapshot(one))


def marks(market: Market) -> int:
    return int(market.value("SELECT count(*) FROM yurt.history"))


def test_a_mark_goes_when_the_last_workplace_has_seen_it(market: Market) -> None:
    one, other = replica(market, "w1"), replica(market, "w2")
    acknowledge(market, one)
    acknowledge(market, other)
    for number in (1, 2, 3):
        partner(market, number)
    one.pull()
    acknowledge(market, one)
    assert forget(market) == (0, 0)
    assert keys(other.pull()) == [1, 2, 3]
    acknowledge(market, other)
    assert forget(market) == (3, 0)
    assert marks(market) == 0
    converged(market, one, other)


def test_marks_younger_than_is_asked_stay(market: Market) -> None:
    partner(market, 1)
    assert forget(market, keep=DAY) == (0, 0)
    market.sql("UPDATE yurt.moments SET taken_at = taken_at - interval '25 hours'")
    partner(market, 2)
    assert forget(market, keep=DAY) == (1, 0)
    assert marks(market) == 1
    for _ in range(3):
        forget(market, keep=DAY)
    assert market.value("SELECT count(*) FROM yurt.moments WHERE taken_at < now() - interval '1 day'") == 1


def test_of_ten_edits_one_mark_is_enough_for_who_was_away(market: Market) -> None:
    partner(market, 1)
    away = replica(market, "w1", ("A",))
    acknowledge(market, away)
    for turn in range(10):
        market.sql("UPDATE partners SET note = %s", f"n{turn}")
    assert forget(market) == (1, 9)
    assert marks(market) == 1
    assert keys(away.pull()) == [1]
    converged(market, away)


def test_every_organisation_that_a_row_left_is_still_told(market: Market) -> None:
    partner(market, 1, "A")
    first, second = replica(market, "w1", ("A",)), replica(market, "w2", ("B",))
    for one in (first, second):
        acknowledge(market, one)
    for firm in "BCBCBC":
        market.sql("UPDATE partners SET firm = %s", firm)
    forget(market)
    assert marks(market) == 3  # A to B, B to C, C to B
    assert keys(first.pull(), "remove") == [1]
    assert keys(second.pull(), "remove") == [1]
    converged(market, first, second)


def test_an_echo_stands_for_an_earlier_echo_and_never_for_what_others_did(market: Market) -> None:
    partner(market, 1)
    one, other = replica(market, "w1"), replica(market, "w2")
    for at in (one, other):
        acknowledge(market, at)
    market.sql("UPDATE partners SET name = 'cloud'")
    one.pull()
    for turn in range(3):
        one.put("partners", {"id": uid(1), "note": f"n{turn}"})
        one.push()
    forget(market)
    origins = market.sql("SELECT DISTINCT origin FROM yurt.history WHERE recipient IS NULL ORDER BY origin NULLS LAST")
    assert origins == [("w1",), (None,)]
    converged(market, one, other)
    assert one.at("partners", id=uid(1))["row"]["name"] == "cloud"  # type: ignore[index]


def test_one_who_was_away_too_long_resyncs_and_its_edits_meet_those_of_others(market: Market) -> None:
    partner(market, 1)
    partner(market, 2)
    away = replica(market, "w1", ("A",))
    acknowledge(market, away)
    away.put("partners", {"id": uid(1), "note": "offline"})
    away.put("partners", {"id": uid(2), "note": "offline"})
    market.sql("UPDATE partners SET note = 'cloud' WHERE id = %s", uid(1))
    market.sql("UPDATE partners SET name = 'cloud' WHERE id = %s", uid(2))
    market.sql("UPDATE yurt.workplaces SET acknowledged_at = acknowledged_at - interval '2 days'")
    assert forget(market)[0] > 0
    found = inspect(market, away)
    assert (found.resync, found.upload_first, found.idle) == ("too_old", True, False)
    with pytest.raises(ProtocolProblem, match="shortened"):
        away.lines()
    assert away.push()["counts"] == {"applied": 0, "merged": 1, "conflict": 1, "rejected": 0}
    away.pull(reset=True)
    acknowledge(market, away)
    converged(market, away)
    assert inspect(market, away).resync is None
    assert market.sql("SELECT note, name FROM partners ORDER BY id") == [("cloud", "p1"), ("offline", "cloud")]


def test_a_replica_restored_from_an_old_backup_is_not_led_across_what_is_gone(market: Market) -> None:
    one = replica(market, "w1")
    old = one.position
    partner(market, 1)
    one.pull()
    acknowledge(market, one)
    forget(market)
    one.position = old
    assert inspect(market, one).resync == "too_old"


def test_a_position_between_two_writers_of_one_document_goes_back_to_one_that_lacks_both(market: Market) -> None:
    """Its completion was lost: nobody knows that it saw the later of the two marks and not the earlier."""
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    one = replica(market, "w1")
    acknowledge(market, one)
    with writer(market, "INSERT INTO order_marks VALUES (1, 1, 5)") as slow:
        market.sql("INSERT INTO order_marks VALUES (1, 2, 5)")
        one.pull()
        slow.commit()
    market.sql("INSERT INTO order_marks VALUES (1, 3, 5)")
    market.sql("INSERT INTO order_marks VALUES (1, 4, 5)")
    assert forget(market) == (1, 3)
    assert since(market, one) != snapshot(one)
    converged(market, one)
    assert len(one.at("orders", id=1)["parts"]["order_marks"]) == 4  # type: ignore[index]


def test_a_known_position_between_two_writers_keeps_the_earlier_mark(market: Market) -> None:
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    one = replica(market, "w1")
    with writer(market, "INSERT INTO order_marks VALUES (1, 1, 5)") as slow:
        market.sql("INSERT INTO order_marks VALUES (1, 2, 5)")
        one.pull()
        acknowledge(market, one)
        slow.commit()
    market.sql("INSERT INTO order_marks VALUES (1, 3, 5)")
    forget(market)
    assert since(market, one) == snapshot(one)
    converged(market, one)


def test_edits_from_before_a_compaction_are_merged_when_others_edits_may_be_gone(market: Market) -> None:
    market.sql("INSERT INTO orders (id, firm, number, ordered_on) OVERRIDING SYSTEM VALUE VALUES (1,'A','1',now())")
    one = replica(market, "w1", ("A",))
    one.put("orders", {"id": 1, "note": "offline"})  # and is kept unsent across a whole exchange
    market.sql("UPDATE orders SET note = 'cloud'")
    one.pull()
    acknowledge(market, one)
    forget(market)
    assert marks(market) == 0
    assert one.push()["counts"]["conflict"] == 1
    converged(market, one)


def test_a_package_on_its_way_holds_back_what_came_after_it(market: Market) -> None:
    one = TinyReplica(market, "w1", replica(market, "other").scope)
    one.pull()
    opening.register(market.conn, APPLICATION, "w1", str(one.position))
    partner(market, 1)
    forget(market)
    assert marks(market) == 1
    assert keys(one.pull()) == [1]


def test_with_no_workplace_and_for_areas_of_nobody_nothing_is_kept(market: Market) -> None:
    partner(market, 1)
    market.sql("INSERT INTO yurt.history (table_name, key, area) VALUES ('partners', '{x}', 'nobody')")
    market.sql("TRUNCATE offers CASCADE")
    before = marks(market)
    assert before >= 3
    assert forget(market) == (before, 0)


def test_only_one_forgets_at_a_time(market: Market) -> None:
    with writer(market, "SELECT pg_advisory_xact_lock(hashtext('yurt.retention'))"):
        assert retention.forget(market.conn, keep=DAY, retention=DAY) is None


def test_a_deleted_workplace_holds_nothing_back(market: Market) -> None:
    one = replica(market, "w1")
    acknowledge(market, one)
    partner(market, 1)
    opening.forget(market.conn, APPLICATION, "w1")
    assert forget(market) == (1, 0)
    assert capture.state(market.conn, APPLICATION) is not None


@pytest.mark.parametrize(
    ("one", "other", "holds"),
    [
        ("5:5:", "5:5:", True), ("5:5:", "7:7:", True), ("7:7:", "5:5:", False), ("5:9:5", "9:9:", True),
        ("9:9:", "5:9:5", False), ("5:9:5,7", "5:9:5", True), ("5:9:5", "5:9:5,7", False), ("5:5:", "5:9:5,7", True),
    ],
)  # fmt: skip
def test_positions_are_compared_by_what_they_have_seen(one: str, other: str, *, holds: bool) -> None:
    assert is_not_later(one, other) is holds
