from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from services.snapshot_builder.failures import ApplicationChanged, GiveUp, TryLater, judge
from services.snapshot_builder.settings import BuilderSettings
from services.snapshot_builder.tables import Job
from shared.replication.image import ImageDamaged
from shared.replication.manifest import ManifestInvalid, Mistake
from shared.runtime.objects import ObjectsUnavailable
from shared.runtime.problem import Problem

NOW = datetime(2026, 5, 4, tzinfo=UTC)
SETTINGS = BuilderSettings(
    public_url="http://yurt",
    program_dir=Path(),
    build_attempts=3,
    build_retry_first=2,
    build_retry_longest=60,
    build_patience=900,
)


def job(**values: object) -> Job:
    asked = {
        "package": uuid4(),
        "workplace": uuid4(),
        "application": "a",
        "name": "n",
        "prefix": "A",
        "scope_version": 1,
    }
    return Job.model_validate({"organisations": None, "attempts": 1, **asked, **values})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ManifestInvalid([Mistake("aggregates[0].table", "no such table")]), "manifest_invalid"),
        (ApplicationChanged("altered"), "catalogue_changed"),
        (Problem("unknown_connection", "there is no connection 'x'"), "unknown_connection"),
        (Problem("not_found", "there is no application"), "not_found"),
    ],
)
def test_what_no_attempt_can_help_fails_at_once_with_its_code(error: Exception, code: str) -> None:
    verdict = judge(error, job(), NOW, SETTINGS)
    assert isinstance(verdict, GiveUp)
    assert verdict.code == code


def test_attempts_are_bounded_and_wait_longer_each_time() -> None:
    error = ImageDamaged("integrity_check")
    assert judge(error, job(attempts=1), NOW, SETTINGS) == TryLater(2, counts=True)
    assert judge(error, job(attempts=2), NOW, SETTINGS) == TryLater(4, counts=True)
    verdict = judge(error, job(attempts=3), NOW, SETTINGS)
    assert isinstance(verdict, GiveUp)
    assert verdict.code == "build_failed"


def test_a_store_that_is_away_costs_no_attempt_however_long_it_lasts() -> None:
    error = ObjectsUnavailable("refused")
    verdict = judge(error, job(attempts=3, postponements=1000), NOW, SETTINGS)
    assert verdict == TryLater(60, counts=False)


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), Problem("service_unavailable", "away")])
def test_an_application_that_is_away_is_waited_for_and_then_given_up(error: Exception) -> None:
    assert judge(error, job(attempts=3), NOW, SETTINGS) == TryLater(2, counts=False, unreachable_since=NOW)
    since = NOW - timedelta(seconds=100)
    waiting = judge(error, job(unreachable_since=since, postponements=3), NOW, SETTINGS)
    assert waiting == TryLater(16, counts=False, unreachable_since=since)
    long_away = judge(error, job(unreachable_since=NOW - timedelta(seconds=901)), NOW, SETTINGS)
    assert isinstance(long_away, GiveUp)
    assert long_away.code == "build_failed"
