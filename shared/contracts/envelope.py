"""What travels on the bus: an event with its identity, time and trace context."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Event(BaseModel):
    """A fact in the past tense. `wire_name` is its routing key: written down, versioned, never derived from the class.

    Unknown fields are ignored, so that a consumer survives additions by its producer.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire_name: ClassVar[str]


class Envelope(BaseModel):
    """One event under way. `headers` carry the W3C trace context of the transaction that recorded it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID = Field(default_factory=uuid4)
    name: str
    occurred_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    headers: Mapping[str, str] = Field(default_factory=dict)
    payload: dict[str, Any]
