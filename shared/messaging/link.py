"""A connection to the broker that is made again whenever it is lost, with everything that belongs on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

BROKER_ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError)
CONNECT_SECONDS = 10
PAUSE_FIRST, PAUSE_LONGEST = 0.2, 5.0

_log = logging.getLogger(__name__)


@contextmanager
def broken_off() -> Iterator[None]:
    """A cancellation that nobody asked for is a `ConnectionError`: so aiormq ends who waits on a line it gave up."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the broker was not heard of any more") from error


class Link:
    """`set_up` makes the channels on a fresh connection and returns them; the loss of any of them means a fresh start.

    Why not aio_pika's robust connection: it restores what was declared, but not a channel the broker closed for a
    reason, and here one rule covers both.
    """

    def __init__(
        self, url: str, name: str, set_up: Callable[[AbstractConnection], Awaitable[Sequence[AbstractChannel]]]
    ):
        self._url = url
        self._name = name
        self._set_up = set_up
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """All is set up and nothing was lost since, as far as one knows."""
        return self._ready.is_set()

    async def open(self, patience: float) -> bool:
        """Keeps the link up from now on. True when it is ready within `patience` seconds; else it goes on trying."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_up(), name=f"link {self._name}")
        if self.ready:
            return True
        try:
            await asyncio.wait_for(self._ready.wait(), patience)
        except TimeoutError:
            _log.warning("%s: the broker does not answer; trying on", self._name)
            return False
        return True

    async def close(self) -> None:
        """The connection ends and is not made again; the broker redelivers what was not acknowledged."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _keep_up(self) -> None:
        pause = PAUSE_FIRST
        while True:
            try:
                with broken_off():
                    connection = await aio_pika.connect(
                        self._url, timeout=CONNECT_SECONDS, client_properties={"connection_name": self._name}
                    )
                    async with connection:
                        channels = await self._set_up(connection)
                        closings = [connection.closed(), *(channel.closed() for channel in channels)]
                        self._ready.set()
                        pause = PAUSE_FIRST
                        await self._until_lost(closings)
                _log.warning("%s: the broker closed the connection; making it again", self._name)
            except BROKER_ERRORS as error:
                _log.warning("%s: no broker (%s: %s); trying again", self._name, type(error).__name__, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_LONGEST)

    async def _until_lost(self, closings: Sequence[Awaitable[object]]) -> None:
        lost = [asyncio.ensure_future(closed) for closed in closings]
        try:
            await asyncio.wait(lost, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ready.clear()
            for future in lost:
                future.cancel()
