"""The rules of plans, without a database."""

from datetime import date

import pytest

from services.licensing.seats import Plan, Terms, lapsed, limit, refusal

TODAY = date(2026, 3, 31)


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
