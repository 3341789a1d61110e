"""Guessing gets slower and then stops."""

from datetime import UTC, datetime, timedelta

from services.provisioning.attempts import AttemptRules

RULES = AttemptRules(free=3, lock_after=8, lock=timedelta(minutes=15))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_wait_doubles_behind_the_free_failures_until_the_lock() -> None:
    waits = [RULES.wait(failures).total_seconds() for failures in range(1, 10)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 900, 900]


def test_no_wait_is_longer_than_the_lock() -> None:
    patient = AttemptRules(free=0, lock_after=1000, lock=timedelta(seconds=60))
    assert max(patient.wait(failures) for failures in range(1, 1001)) == timedelta(seconds=60)


def test_failures_are_forgotten_after_a_quiet_while() -> None:
    assert RULES.counted(5, NOW, NOW + timedelta(minutes=14)) == 5
    assert RULES.counted(5, NOW, NOW + timedelta(minutes=15)) == 0
