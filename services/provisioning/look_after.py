"""What nobody else would notice: preparations that stand still, counts of failed logins that do not count any more."""

from datetime import timedelta

from services.provisioning.attempts import AttemptRules
from services.provisioning.authenticate_user import forget_failures
from services.provisioning.fail_stuck import fail_next_stuck
from shared.runtime.database import Sessions


async def look_after(sessions: Sessions, patience: timedelta, rules: AttemptRules) -> None:
    """Give up what is stuck, each workplace in a transaction of its own, then forget old failures."""
    stuck = True
    while stuck:
        async with sessions.begin() as session:
            stuck = await fail_next_stuck(session, patience)
    async with sessions.begin() as session:
        await forget_failures(session, rules)
