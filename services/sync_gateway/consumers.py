"""What the gateway listens to."""

from services.sync_gateway.administration.project_workplace import project_workplace, record_progress
from shared.contracts.provisioning import WorkplaceChanged
from shared.contracts.snapshot_builder import BuildProgressed
from shared.messaging.consumer import Subscription

SUBSCRIPTIONS = (
    Subscription("project_workplace", WorkplaceChanged, project_workplace),
    Subscription("record_progress", BuildProgressed, record_progress),
)
