"""Work that is done again and again while a service lives."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_log = logging.getLogger(__name__)


@asynccontextmanager
async def repeated(name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Inside, `work` is done at once and then again `seconds` after its end; a failure is logged and does not end this.

    Afterwards it is not running any more.
    """
    task = asyncio.create_task(_repeat(name, seconds, work), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001  whatever it was is logged, and the next round may go well
            _log.exception("%s failed and is tried again in %s s", name, seconds)
        await asyncio.sleep(seconds)
