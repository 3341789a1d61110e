"""Tables of licensing.

Seats are kept after their release, so that every late or repeated event meets the same answer.
"""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from sqlalchemy import Column, Text
from sqlalchemy.orm import registry
from sqlmodel import DateTime, Field, SQLModel

from services.licensing.seats import Plan, Terms
from shared.contracts.licensing import ReductionCode

SeatState = Literal["held", "refused", "released"]


class Table(SQLModel, registry=registry()):
    """The registry of this service: four services may live in one process."""


class Subscription(Table, table=True):
    """What a subscriber has paid for. Its row is the lock under which seats are counted.

    `lapsed` says whether the lapse was announced; `lapse_revision` numbers the announcements of lapse and renewal.
    `grace_until`: until then more workplaces work than the terms allow; `seats_revision` numbers what SeatsReduced and
    SeatsRestored announce.
    """

    __tablename__: ClassVar[str] = "subscriptions"

    subscriber: str = Field(primary_key=True)
    plan: Plan = Field(sa_column=Column(Text, nullable=False))
    extra_seats: int
    valid_until: date | None
    local_licence: bool
    lapsed: bool = False
    lapse_revision: int = 0
    grace_until: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    seats_revision: int = 0

    def terms(self) -> Terms:
        """The part of the row that rules decide on."""
        return Terms(self.plan, self.extra_seats, self.valid_until, self.local_licence)


class Seat(Table, table=True):
    """The answer given to one workplace, for ever.

    `held` counts against the limit; `refused` and `released` do not. `released` may be a tombstone: the workplace ended
    before its request arrived, and nothing is granted to it later. A held seat was granted at `changed_at`: the newest
    is the one granted last. `suspended` marks what the last lapse suspended; `reduced` says why a held seat beyond the
    terms carries no working workplace.
    """

    __tablename__: ClassVar[str] = "seats"

    workplace: UUID = Field(primary_key=True)
    subscriber: str
    state: SeatState = Field(sa_column=Column(Text, nullable=False))
    refusal_code: str | None = None
    refusal_text: str | None = None
    suspended: bool = False
    reduced: ReductionCode | None = Field(default=None, sa_column=Column(Text))
    changed_at: datetime = Field(sa_type=DateTime(timezone=True))
