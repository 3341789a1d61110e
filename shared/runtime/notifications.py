"""LISTEN as an endless stream that survives the loss of the connection."""

import asyncio
import logging
from collections.abc import AsyncGenerator

import psycopg
from psycopg import sql

_log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


async def notifications(url: str, channel: str) -> AsyncGenerator[str | None]:
    """Yields the payload of each NOTIFY, and None after every (re)connection: some may have been missed before it.

    Never ends by itself. Close it (`contextlib.aclosing`) or cancel the task that reads it.
    """
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            async with connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield None
                async for notification in connection.notifies():
                    yield notification.payload
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            _log.warning("listening on %s was interrupted (%s); trying again", channel, type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)
