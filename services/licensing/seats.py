"""What a subscription allows: pure rules, no I/O."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from shared.contracts.licensing import RefusalCode

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
