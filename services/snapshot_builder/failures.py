"""What a failed attempt means for its job: give up, try again, or wait until what it needs is back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import psycopg

from services.snapshot_builder.settings import BuilderSettings
from services.snapshot_builder.tables import Job
from shared.replication.manifest import ManifestInvalid
from shared.runtime.objects import ObjectsUnavailable
from shared.runtime.problem import Problem

TEXT = "The package could not be built: {}. Create it anew; if it fails again, tell the operator."


class ApplicationChanged(Exception):
    """The application is not attached as its manifest says: the operator attaches it again."""


class ApplicationRestored(Exception):
    """The application's database got a new generation while it was read: what was read may belong to neither."""


@dataclass(frozen=True)
class GiveUp:
    """No further attempt helps: code and text go into BuildFailed."""

    code: str
    text: str


@dataclass(frozen=True)
class TryLater:
    """Another attempt after `seconds`; `unreachable_since`: since when the application's side has been away."""

    seconds: float
    counts: bool
    unreachable_since: datetime | None = None


def judge(error: Exception, job: Job, now: datetime, settings: BuilderSettings) -> GiveUp | TryLater:
    """A rule per kind of failure. The object store may be away for ever; the saga's own watchdog bounds that."""
    if final := _final(error):
        return final
    if isinstance(error, ObjectsUnavailable):
        return TryLater(_pause(job.postponements, settings), counts=False)
    if isinstance(error, Problem | httpx.HTTPError | psycopg.OperationalError):
        return _be_patient(job, now, settings)
    if job.attempts >= settings.build_attempts:
        return GiveUp("build_failed", TEXT.format(type(error).__name__))
    return TryLater(_pause(job.attempts - 1, settings), counts=True)


def _final(error: Exception) -> GiveUp | None:
    match error:
        case ManifestInvalid():
            return GiveUp("manifest_invalid", str(error))
        case ApplicationChanged():
            return GiveUp("catalogue_changed", str(error))
        case Problem() if error.status < 500 and error.status != 429:
            return GiveUp(error.code, error.detail)
        case _:
            return None


def _be_patient(job: Job, now: datetime, settings: BuilderSettings) -> GiveUp | TryLater:
    since = job.unreachable_since or now
    if now - since > timedelta(seconds=settings.build_patience):
        return GiveUp("build_failed", TEXT.format("the application's database or provisioning does not answer"))
    return TryLater(_pause(job.postponements, settings), counts=False, unreachable_since=since)


def _pause(failures: int, settings: BuilderSettings) -> float:
    return float(min(settings.build_retry_first * 2 ** min(failures, 16), settings.build_retry_longest))
