"""Events of licensing: seats."""

from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Event

RefusalCode = Literal["seat_limit_reached", "local_licence_required", "subscription_lapsed"]
ReductionCode = Literal["seats_reduced", "local_licence_required"]


class SeatGranted(Event):
    """The workplace holds a seat until it is released."""

    wire_name: ClassVar[str] = "licensing.seat_granted.v1"

    workplace: UUID
    subscriber: str


class SeatRefused(Event):
    """The subscription has no seat for the workplace; none is held."""

    wire_name: ClassVar[str] = "licensing.seat_refused.v1"

    workplace: UUID
    subscriber: str
    code: RefusalCode
    text: str


class SeatReleased(Event):
    """The workplace holds no seat any more."""

    wire_name: ClassVar[str] = "licensing.seat_released.v1"

    workplace: UUID
    subscriber: str


class SubscriptionLapsed(Event):
    """The subscription is not valid any more; the workplaces holding its seats are to be suspended.

    `revision` numbers lapses and renewals of a subscriber, so that two that come in the wrong order are told apart.
    """

    wire_name: ClassVar[str] = "licensing.subscription_lapsed.v1"

    subscriber: str
    workplaces: list[UUID]
    revision: int = 0


class SubscriptionRenewed(Event):
    """The subscription is valid again: what its lapse suspended is to be resumed. `revision` as of the lapse."""

    wire_name: ClassVar[str] = "licensing.subscription_renewed.v1"

    subscriber: str
    workplaces: list[UUID]
    revision: int = 0


class SeatsReduced(Event):
    """More seats are held than the terms allow and the grace is over: these workplaces are to be suspended for `code`.

    They keep their seats. One that is suspended for another `code` is from now on suspended for this one. `revision`
    numbers reductions and restorations of a subscriber: of two that name the same workplace the greater holds.
    """

    wire_name: ClassVar[str] = "licensing.seats_reduced.v1"

    subscriber: str
    workplaces: list[UUID]
    code: ReductionCode
    revision: int


class SeatsRestored(Event):
    """These workplaces fit into the terms again and are to be resumed, if nothing else suspends them.

    `revision` as in SeatsReduced.
    """

    wire_name: ClassVar[str] = "licensing.seats_restored.v1"

    subscriber: str
    workplaces: list[UUID]
    revision: int
