"""What a subscription allows: pure rules, no I/O."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from shared.contracts.licensing import ReductionCode, RefusalCode

Plan = Literal["prof", "extended", "optimal", "starter"]

SEATS_OF_PLAN: dict[Plan, int] = {"prof": 5, "extended": 5, "optimal": 2, "starter": 1}


@dataclass(frozen=True)
class Terms:
    """What the subscriber has paid for. `valid_until` is the last valid date in UTC; None = without an end."""

    plan: Plan
    extra_seats: int
    valid_until: date | None
    local_licence: bool


@dataclass(frozen=True)
class Refusal:
    """Why there is no seat: a code for programs and a sentence for the person who must act."""

    code: RefusalCode
    text: str


def limit(terms: Terms) -> int:
    """How many workplaces may hold a seat at once."""
    return SEATS_OF_PLAN[terms.plan] + terms.extra_seats


def entitled(terms: Terms) -> int:
    """How many of the held seats may carry a working workplace: the limit, or none without a local licence."""
    return limit(terms) if terms.local_licence else 0


def grace_after_change(
    before: int, now_entitled: int, working: int, grace_until: datetime | None, now: datetime, grace: timedelta
) -> datetime | None:
    """Until when `working` workplaces may go on after the terms changed from `before` entitled seats to `now_entitled`.

    None: they fit. Every further reduction under the number that works starts the time anew; buying only some of the
    seats back, or saying the same again, moves nothing.
    """
    if working <= now_entitled:
        return None
    if now_entitled < before or grace_until is None:
        return now + grace
    return grace_until


def surplus(working: int, now_entitled: int, grace_until: datetime | None, now: datetime) -> int:
    """How many of the working workplaces, the newest first, are to be suspended now: none while the grace lasts."""
    graced = grace_until is not None and now < grace_until
    return 0 if graced else max(0, working - now_entitled)


def restorable(working: int, reduced: int, now_entitled: int) -> int:
    """How many of the `reduced` workplaces, the oldest first, fit again beside the working ones."""
    return min(reduced, max(0, now_entitled - working))


def reduction_code(terms: Terms) -> ReductionCode:
    """What has to be put right before a workplace that does not fit can go on."""
    return "seats_reduced" if terms.local_licence else "local_licence_required"


def lapsed(terms: Terms, today: date) -> bool:
    """Whether the subscription is over on that date (UTC)."""
    return terms.valid_until is not None and today > terms.valid_until


def refusal(terms: Terms | None, used: int, today: date) -> Refusal | None:
    """Why one more seat cannot be granted while `used` are held, or None when it can.

    No terms = no subscription at all.
    """
    if terms is None:
        return Refusal(
            "subscription_lapsed", "There is no subscription. Conclude one, then create the workplace again."
        )
    if lapsed(terms, today):
        return Refusal("subscription_lapsed", f"The subscription ended on {terms.valid_until}. Renew it and try again.")
    if not terms.local_licence:
        return Refusal(
            "local_licence_required", "A workplace needs a licence for the local version of the application."
        )
    if used >= limit(terms):
        text = f"All seats of the subscription are taken ({limit(terms)}). Delete a workplace or buy additional seats."
        return Refusal("seat_limit_reached", text)
    return None
