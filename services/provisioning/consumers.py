"""What provisioning listens to."""

from services.provisioning.activate_workplace import activate_workplace
from services.provisioning.follow_build import fail_build, note_progress, store_package
from services.provisioning.follow_subscription import resume_renewed, resume_restored, suspend_lapsed, suspend_reduced
from services.provisioning.prepare_workplace import prepare_workplace, refuse_workplace
from shared.contracts.licensing import (
    SeatGranted,
    SeatRefused,
    SeatsReduced,
    SeatsRestored,
    SubscriptionLapsed,
    SubscriptionRenewed,
)
from shared.contracts.snapshot_builder import BuildFailed, BuildProgressed, PackageBuilt
from shared.contracts.sync_gateway import WorkplaceActivated
from shared.messaging.consumer import Subscription

SUBSCRIPTIONS = (
    Subscription("prepare_workplace", SeatGranted, prepare_workplace),
    Subscription("refuse_workplace", SeatRefused, refuse_workplace),
    Subscription("suspend_lapsed", SubscriptionLapsed, suspend_lapsed),
    Subscription("resume_renewed", SubscriptionRenewed, resume_renewed),
    Subscription("suspend_reduced", SeatsReduced, suspend_reduced),
    Subscription("resume_restored", SeatsRestored, resume_restored),
    Subscription("note_progress", BuildProgressed, note_progress),
    Subscription("store_package", PackageBuilt, store_package),
    Subscription("fail_build", BuildFailed, fail_build),
    Subscription("activate_workplace", WorkplaceActivated, activate_workplace),
)
