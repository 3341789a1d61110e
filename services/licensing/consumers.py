"""What licensing listens to."""

from services.licensing.grant_seat import grant_seat
from services.licensing.release_seat import on_workplace_ended
from shared.contracts.provisioning import WorkplaceEnded, WorkplaceRequested
from shared.messaging.consumer import Subscription

SUBSCRIPTIONS = (
    Subscription("grant_seat", WorkplaceRequested, grant_seat),
    Subscription("release_seat", WorkplaceEnded, on_workplace_ended),
)
