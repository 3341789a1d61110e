"""The internal door of licensing."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from services.licensing import seats
from services.licensing.change_subscription import change_subscription
from services.licensing.grant_seat import seats_held
from services.licensing.release_seat import release_seat
from services.licensing.tables import Subscription
from shared.runtime.problem import Problem

Code = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction per request, committed before the answer leaves."""
    async with request.app.state.sessions.begin() as session:
        yield session


Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
router = APIRouter()


class SubscriptionTerms(BaseModel):
    """What the subscriber has paid for. `valid_until`: the last valid date in UTC, null = without an end."""

    model_config = ConfigDict(extra="forbid")

    plan: seats.Plan
    extra_seats: int = Field(default=0, ge=0, le=100_000, strict=True)
    valid_until: date | None = None
    local_licence: bool = Field(strict=True)


class SubscriptionDocument(SubscriptionTerms):
    """A subscription with what it allows, what is in use and whether its lapse was announced.

    `over`: how many of the seats in use go beyond `limit`, or beyond none without a local licence. Until `grace_until`
    all that work go on; null: nothing runs out, whoever is over is suspended already.
    """

    subscriber: str
    limit: int
    used: int
    lapsed: bool
    over: int
    grace_until: datetime | None


@router.put("/subscriptions/{subscriber}")
async def put_subscription(
    subscriber: Code, body: SubscriptionTerms, session: Transaction, request: Request, response: Response
) -> SubscriptionDocument:
    """Conclude (201) or change (200) a subscription."""
    terms = seats.Terms(body.plan, body.extra_seats, body.valid_until, body.local_licence)
    subscription, new = await change_subscription(session, subscriber, terms, request.app.state.downgrade_grace)
    response.status_code = 201 if new else 200
    return await _document(session, subscription)


@router.get("/subscriptions/{subscriber}")
async def get_subscription(subscriber: Code, session: Transaction) -> SubscriptionDocument:
    """The subscription; 404 `not_found`."""
    subscription = await session.get(Subscription, subscriber)
    if subscription is None:
        raise Problem("not_found", f"There is no subscription of {subscriber}.")
    return await _document(session, subscription)


@router.delete("/subscriptions/{subscriber}/seats/{workplace}", status_code=204)
async def delete_seat(subscriber: Code, workplace: UUID, session: Transaction) -> None:
    """Take the seat of an ended workplace back at once; the event that says so may come later."""
    await release_seat(session, subscriber, workplace)


async def _document(session: AsyncSession, subscription: Subscription) -> SubscriptionDocument:
    used = await seats_held(session, subscription.subscriber)
    return SubscriptionDocument(
        subscriber=subscription.subscriber,
        plan=subscription.plan,
        extra_seats=subscription.extra_seats,
        valid_until=subscription.valid_until,
        local_licence=subscription.local_licence,
        limit=seats.limit(subscription.terms()),
        used=used,
        lapsed=subscription.lapsed,
        over=max(0, used - seats.entitled(subscription.terms())),
        grace_until=subscription.grace_until,
    )
