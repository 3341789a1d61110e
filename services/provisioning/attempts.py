"""How failed logins slow the next one down, then lock it: pure rules, no I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class AttemptRules:
    """The first `free` failures cost nothing, each further one doubles the wait from one second, `lock_after` lock.

    `lock` is also the time without a failure after which the count starts anew.
    """

    free: int
    lock_after: int
    lock: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long a login is not listened to after so many failures in a row."""
        if failures >= self.lock_after:
            return self.lock
        if failures <= self.free:
            return timedelta(0)
        return min(timedelta(seconds=2 ** min(failures - self.free - 1, 30)), self.lock)

    def counted(self, failures: int, blocked_until: datetime, now: datetime) -> int:
        """The failures that still count when the next attempt is made."""
        return 0 if now >= blocked_until + self.lock else failures
