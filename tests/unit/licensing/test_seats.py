"""The rules of plans, without a database."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.licensing.seats import (
    Plan,
    Terms,
    entitled,
    grace_after_change,
    lapsed,
    limit,
    reduction_code,
    refusal,
    restorable,
    surplus,
)

TODAY = date(2026, 3, 31)
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
GRACE = timedelta(days=14)
EARLIER = NOW + timedelta(days=3)


def terms(plan: Plan = "prof", extra: int = 0, until: date | None = None, *, licence: bool = True) -> Terms:
    return Terms(plan, extra, until, licence)


@pytest.mark.parametrize(("plan", "seats"), [("prof", 5), ("extended", 5), ("optimal", 2), ("starter", 1)])
def test_a_plan_has_its_seats_and_additional_ones_come_on_top(plan: Plan, seats: int) -> None:
    assert limit(terms(plan)) == seats
    assert limit(terms(plan, extra=3)) == seats + 3


def test_the_last_valid_date_is_still_valid() -> None:
    assert not lapsed(terms(until=TODAY), TODAY)
    assert lapsed(terms(until=date(2026, 3, 30)), TODAY)
    assert not lapsed(terms(until=None), date.max)


def test_a_free_seat_is_not_refused() -> None:
    assert refusal(terms("starter"), 0, TODAY) is None
    assert refusal(terms("starter", extra=1, until=TODAY), 1, TODAY) is None


@pytest.mark.parametrize(
    ("held", "used", "code"),
    [
        (terms("starter"), 1, "seat_limit_reached"),
        (terms("optimal"), 7, "seat_limit_reached"),
        (terms(licence=False), 0, "local_licence_required"),
        (terms(until=date(2026, 1, 1)), 0, "subscription_lapsed"),
        (terms(until=date(2026, 1, 1), licence=False), 9, "subscription_lapsed"),
        (None, 0, "subscription_lapsed"),
    ],
)
def test_a_refusal_names_what_has_to_be_done_first(held: Terms | None, used: int, code: str) -> None:
    refused = refusal(held, used, TODAY)
    assert refused is not None
    assert refused.code == code
    assert refused.text.endswith(".")


def test_a_withdrawn_local_licence_entitles_to_nothing() -> None:
    assert entitled(terms("prof", extra=3)) == 8
    assert entitled(terms("prof", extra=3, licence=False)) == 0
    assert reduction_code(terms()) == "seats_reduced"
    assert reduction_code(terms(licence=False)) == "local_licence_required"


@pytest.mark.parametrize(
    ("before", "entitled_now", "working", "running", "expected"),
    [
        (5, 2, 4, None, NOW + GRACE),  # a downgrade under the number in use
        (5, 2, 2, None, None),  # one that everybody fits into
        (5, 0, 4, None, NOW + GRACE),  # the licence withdrawn
        (2, 2, 4, EARLIER, EARLIER),  # the same said again
        (2, 3, 4, EARLIER, EARLIER),  # a part bought back
        (2, 1, 4, EARLIER, NOW + GRACE),  # reduced further: new time for all
        (2, 4, 4, EARLIER, None),  # bought back
        (2, 2, 2, None, None),  # after the grace: the newest are suspended, those that work fit
        (2, 1, 2, None, NOW + GRACE),  # and the next reduction has a grace of its own
    ],
)
def test_the_grace_starts_with_each_reduction_under_the_number_that_works(
    before: int, entitled_now: int, working: int, running: datetime | None, expected: datetime | None
) -> None:
    assert grace_after_change(before, entitled_now, working, running, NOW, GRACE) == expected


def test_nobody_is_suspended_while_the_grace_lasts() -> None:
    assert surplus(4, 2, NOW + timedelta(microseconds=1), NOW) == 0
    assert surplus(4, 2, NOW, NOW) == 2
    assert surplus(2, 2, NOW, NOW) == 0
    assert surplus(1, 2, None, NOW) == 0


@pytest.mark.parametrize(
    ("working", "reduced", "entitled_now", "fit"),
    [(2, 2, 2, 0), (1, 2, 2, 1), (2, 2, 9, 2), (2, 2, 3, 1), (4, 0, 2, 0)],
)
def test_as_many_come_back_as_fit(working: int, reduced: int, entitled_now: int, fit: int) -> None:
    assert restorable(working, reduced, entitled_now) == fit
