"""No workplace waits for ever: what has shown no sign of life for too long is given up."""

import logging
from datetime import UTC, datetime, timedelta

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.provisioning.follow_build import give_up
from services.provisioning.states import UNDER_WAY
from services.provisioning.tables import Workplace

log = logging.getLogger(__name__)


async def fail_next_stuck(session: AsyncSession, patience: timedelta) -> bool:
    """Give up one workplace under way, or package ordered anew, without a sign for `patience`; False: there is none.

    Its reason is `preparation_timed_out`. Several instances may do this side by side.
    """
    under_way = or_(col(Workplace.state).in_(UNDER_WAY), col(Workplace.awaited_package).is_not(None))
    statement = (
        select(Workplace)
        .where(under_way, col(Workplace.last_sign_at) < datetime.now(UTC) - patience)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    workplace = (await session.exec(statement)).one_or_none()
    if workplace is None:
        return False
    log.warning("workplace %s: no sign for %s, given up", workplace.id, patience)
    await give_up(session, workplace, "preparation_timed_out", "The preparation gave no sign for too long. Try again.")
    return True
