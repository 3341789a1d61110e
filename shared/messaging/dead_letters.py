"""Events that a consumer gave up: kept whole, with the reason, until a person has them replayed."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.contracts.envelope import Envelope
from shared.messaging.consumer import Dead
from shared.runtime.database import Sessions

NAMESPACE = UUID("8b8f2f4e-6f0f-4b39-9d0b-5b7f6d1f3c52")

LAY_ASIDE = text("""
    INSERT INTO dead_letters (id, failed_at, letter) VALUES (:id, :failed_at, :letter)
    ON CONFLICT (id) DO UPDATE SET failed_at = excluded.failed_at, letter = excluded.letter
""").bindparams(bindparam("letter", type_=JSONB))
ALL = text("SELECT letter FROM dead_letters ORDER BY failed_at, id").columns(letter=JSONB)
ONE = text("SELECT letter FROM dead_letters WHERE id = :id").columns(letter=JSONB)
REMOVE = text("DELETE FROM dead_letters WHERE id = :id")


class DeadLetter(BaseModel):
    """`reason`: `permanent` (no attempt can help) or `exhausted` (all attempts failed).

    `error` is the last one, for the operator. `attempts` counts deliveries to this consumer.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID
    service: str
    consumer: str
    reason: str
    error: str
    attempts: int
    failed_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    envelope: Envelope


def letter_id(service: str, consumer: str, event_id: UUID) -> UUID:
    """The same event, given up by the same consumer again, is the same dead letter."""
    return uuid5(NAMESPACE, f"{service}/{consumer}/{event_id}")


def dead_letter(service: str, consumer: str, envelope: Envelope, verdict: Dead, attempts: int) -> DeadLetter:
    """The letter that says what became of the event."""
    return DeadLetter(
        id=letter_id(service, consumer, envelope.id),
        service=service,
        consumer=consumer,
        reason=verdict.reason,
        error=verdict.error,
        attempts=attempts,
        envelope=envelope,
    )


class DeadLetterTable:
    """The dead letters in the database of one service."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def lay_aside(self, letter: DeadLetter) -> None:
        """Stores the letter; one that is there already is replaced."""
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            row = {"id": letter.id, "failed_at": letter.failed_at, "letter": letter.model_dump(mode="json")}
            await connection.execute(LAY_ASIDE, row)

    async def all(self) -> list[DeadLetter]:
        """Oldest first."""
        async with self._sessions() as session:
            rows = (await (await session.connection()).execute(ALL)).scalars().all()
        return [DeadLetter.model_validate(row) for row in rows]

    async def get(self, letter: UUID) -> DeadLetter | None:
        async with self._sessions() as session:
            row = (await (await session.connection()).execute(ONE, {"id": letter})).scalar_one_or_none()
        return None if row is None else DeadLetter.model_validate(row)

    async def remove(self, letter: UUID) -> None:
        """Afterwards the letter is not there."""
        async with self._sessions() as session, session.begin():
            await (await session.connection()).execute(REMOVE, {"id": letter})
