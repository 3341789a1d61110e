"""Events of the gateway: what workplaces do."""

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.envelope import Event


class WorkplaceActivated(Event):
    """A replica of the workplace was activated on a computer."""

    wire_name: ClassVar[str] = "sync_gateway.workplace_activated.v1"

    workplace: UUID
    application: str
    login: str
    replica: str
    activated_at: AwareDatetime


class ExchangeFinished(Event):
    """An exchange ended. `sent` and `received` count aggregates as the workplace sees them."""

    wire_name: ClassVar[str] = "sync_gateway.exchange_finished.v1"

    exchange: UUID
    workplace: UUID
    application: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    result: str
    sent: int
    received: int
    problems: int
    unsent: int
