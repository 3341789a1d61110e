"""Events of licensing: seats."""

from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.envelope import Event

RefusalCode = Literal["seat_limit_reached", "local_licence_required", "subscription_lapsed"]


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
