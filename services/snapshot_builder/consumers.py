"""What the snapshot builder listens to."""

from services.snapshot_builder.accept_request import accept_request
from services.snapshot_builder.end_workplace import end_workplace
from shared.contracts.provisioning import PackageRequested, WorkplaceEnded
from shared.messaging.consumer import Subscription

SUBSCRIPTIONS = (
    Subscription("accept-request", PackageRequested, accept_request),
    Subscription("end-workplace", WorkplaceEnded, end_workplace),
)
