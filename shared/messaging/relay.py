"""From the outbox to the bus: woken by NOTIFY, many at once, for ever."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.messaging import inbox
from shared.messaging.bus import Bus, BusUnavailable, NotDelivered
from shared.messaging.outbox import CHANNEL, Claimed, Outbox, Postponed
from shared.runtime import telemetry
from shared.runtime.database import conninfo
from shared.runtime.notifications import notifications
from shared.runtime.repeated import repeated

# When one event is done, others follow in a moment: they are settled together.
GATHER_SECONDS = 0.005

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How a relay works; times in seconds.

    `in_flight`: events under way at once. `lease`: so long a row is ours, unless extended. `idle`: the outbox is read
    at least so often. `pause_first` to `pause_longest`: waits, doubling, while bus or database is away. `unexpected`: a
    row waits so long after an error nobody foresaw. `sweep`: between two cleanings of the inbox.
    """

    in_flight: int = 100
    lease: float = 30
    idle: float = 30
    pause_first: float = 0.2
    pause_longest: float = 5
    unexpected: float = 5
    sweep: float = 3600


class Relay:
    """Publishes the outbox of one service. Any number may run on the same outbox: each row is held by one of them.

    A row is claimed with a lease, published outside of any transaction, and deleted when it is safe with the bus. One
    that cannot be published stays, and comes again after a delay; a crash only means that its lease runs out.
    """

    def __init__(self, service: str, engine: AsyncEngine, bus: Bus, pace: Pace | None = None) -> None:
        self._service = service
        self._engine = engine
        self._bus = bus
        self._pace = pace or Pace()
        self._outbox = Outbox(engine, timedelta(seconds=self._pace.lease))
        self._wake = asyncio.Event()
        self._flights: dict[asyncio.Task[Postponed | None], Claimed] = {}
        self._claiming: asyncio.Task[list[Claimed]] | None = None
        self._pause = 0.0
        self._resume_at = 0.0
        self._extended_at = time.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside, the relay runs; afterwards it does not, and what it held is due again."""
        task = asyncio.create_task(self.run(), name=f"relay of {self._service}")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def run(self) -> None:
        """Runs until cancelled. Survives the loss of bus and database."""
        listening = asyncio.create_task(self._listen())
        try:
            async with repeated(f"sweeping the inbox of {self._service}", self._pace.sweep, self._sweep_inbox):
                while True:
                    try:
                        await self._round()
                    except (SQLAlchemyError, OSError) as error:
                        _log.warning("%s: outbox not reachable (%s); trying again", self._service, type(error).__name__)
                    except Exception:  # noqa: BLE001 - a relay that ends is worse than one that complains
                        _log.exception("%s: unexpected error; trying again", self._service)
                    else:
                        continue
                    self._back_off()
                    await asyncio.sleep(self._pause)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self._let_go()

    async def _round(self) -> None:
        """Claims what there is room for, waits until something happens, settles what is done."""
        self._wake.clear()
        paused = max(self._resume_at - time.monotonic(), 0)
        room = 0 if paused else self._pace.in_flight - len(self._flights)
        claimed = await self._claim(room) if room else 0
        limits = [self._pace.idle]
        if paused:
            limits.append(paused)
        if self._flights:
            limits.append(self._pace.lease / 3)
        if claimed < room:
            due = await self._outbox.next_due()
            limits.append(self._pace.idle if due is None else max(due.total_seconds(), 0.01))
        await self._wait(min(limits), woken=claimed < room)
        await self._settle()

    async def _claim(self, count: int) -> int:
        """A cancellation in the middle leaves the claim in `_claiming`: the database may have made it already."""
        self._claiming = asyncio.create_task(self._outbox.claim(count))
        try:
            claimed = await asyncio.shield(self._claiming)
        except Exception:
            self._claiming = None
            raise
        self._claiming = None
        for row in claimed:
            self._flights[asyncio.create_task(self._publish(row))] = row
        return len(claimed)

    async def _wait(self, seconds: float, *, woken: bool) -> None:
        """Until an event is done, a new one is recorded (if `woken`), or the time is over."""
        waker = asyncio.create_task(self._wake.wait() if woken else asyncio.sleep(seconds))
        try:
            await asyncio.wait({waker, *self._flights}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if len(self._flights) > 1 and not waker.done():
                await asyncio.wait(self._flights, timeout=GATHER_SECONDS)
        finally:
            waker.cancel()

    async def _publish(self, row: Claimed) -> Postponed | None:
        """None when the event is safe with the bus."""
        envelope = row.envelope
        attributes = {"messaging.message.id": str(envelope.id), "messaging.destination.name": envelope.name}
        name = f"publish {envelope.name}"
        try:
            with telemetry.continued(self._service, name, SpanKind.PRODUCER, envelope.headers, attributes):
                headers = {**envelope.headers, **telemetry.inject()}
                await self._bus.publish(envelope.model_copy(update={"headers": headers}), row.attempt)
        except BusUnavailable as error:
            _log.info("%s: %s waits: %s", self._service, envelope.id, error)
            return Postponed(envelope.id, timedelta(0), counted=False, bus_away=True)
        except NotDelivered as error:
            return Postponed(envelope.id, timedelta(seconds=error.delay), counted=error.counted)
        except Exception:  # noqa: BLE001 - one event's trouble must not stop the others
            _log.exception("%s: %s %s could not be published", self._service, envelope.name, envelope.id)
            return Postponed(envelope.id, timedelta(seconds=self._pace.unexpected), counted=False)
        return None

    async def _settle(self) -> None:
        """What is done leaves the outbox or waits for its next time; what is not stays ours."""
        done = {task: row for task, row in self._flights.items() if task.done()}
        held = [row.envelope.id for task, row in self._flights.items() if task not in done]
        postponed = [result for result in (task.result() for task in done) if result is not None]
        published = [row.envelope.id for task, row in done.items() if task.result() is None]
        if done:
            await self._outbox.settle(published, postponed)
        for task in done:
            del self._flights[task]
        if held and time.monotonic() - self._extended_at > self._pace.lease / 3:
            await self._outbox.extend(held)
            self._extended_at = time.monotonic()
        if any(row.bus_away for row in postponed):
            self._back_off()
        elif published:
            self._pause = 0

    async def _let_go(self) -> None:
        """At the end: what is under way is cancelled and due again at once."""
        for task in self._flights:
            task.cancel()
        results = await asyncio.gather(*self._flights, return_exceptions=True)
        rows = [row.envelope.id for row in self._flights.values()]
        published = [row for row, result in zip(rows, results, strict=True) if result is None]
        try:
            if self._claiming is not None:
                rows += [row.envelope.id for row in await self._claiming]
            postponed = [Postponed(row, timedelta(0), counted=False) for row in rows if row not in published]
            await self._outbox.settle(published, postponed)
        except (SQLAlchemyError, OSError) as error:
            _log.warning(
                "%s: the leases of %s events will run out (%s)", self._service, len(rows), type(error).__name__
            )

    def _back_off(self) -> None:
        self._pause = min(max(self._pause * 2, self._pace.pause_first), self._pace.pause_longest)
        self._resume_at = time.monotonic() + self._pause

    async def _listen(self) -> None:
        async with contextlib.aclosing(notifications(conninfo(self._engine), CHANNEL)) as woken:
            async for _ in woken:
                self._wake.set()

    async def _sweep_inbox(self) -> None:
        await inbox.forget_old(self._engine)
