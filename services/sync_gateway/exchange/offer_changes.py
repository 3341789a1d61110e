"""Offer a replica what it has not seen (protocol.md, Exchange, 3)."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal
from uuid import uuid4

from isal import isal_zlib
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases, Connection
from services.sync_gateway.exchange.open_exchange import scope_of
from services.sync_gateway.exchange.running_exchange import delta_files
from services.sync_gateway.tables import Exchange, Workplace
from shared.replication import delta, history
from shared.replication.model import Model
from shared.replication.scope import Scope
from shared.runtime.database import Sessions
from shared.runtime.objects import Objects, ObjectsUnavailable
from shared.runtime.problem import Problem

DELTAS = "deltas/"
IN_MEMORY = 4_000_000
GZIP = 31  # zlib's window bits for a gzip member
_PIECE = 1 << 18

Digests = Literal["tables", "buckets"]


@dataclass(frozen=True)
class Offer:
    """A delta ready to leave: `file` to be sent now and closed, or None: it lies in object storage."""

    file: IO[bytes] | None
    gzipped: bool


async def offer_changes(
    sessions: Sessions,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    objects: Objects,
    exchange: Exchange,
    workplace: Workplace,
    after: str,
    digests: Digests | None,
    *,
    gzipped: bool,
    direct_limit: int,
) -> Offer:
    """The delta from `after` to now, spooled first: the database's transaction is over before a byte leaves.

    Beyond `direct_limit` bytes decoded it is put into object storage and recorded with the exchange. Problems
    `invalid_request` (no position of this history), `exchange_over` (the application was upgraded meanwhile),
    `application_unavailable`.
    """
    opened = exchange.opened
    application = await catalogue.get(workplace.application, version=opened["version"])
    if application.version != opened["version"]:
        raise Problem("exchange_over", "The application has another version now. Open a new exchange.")
    now = scope_of(workplace)
    held = opened["scope"]
    before = Scope(None if held[0] is None else tuple(held[0]), held[1]) if held else now

    def spool(connection: Connection, model: Model) -> _Spooled:
        if not history.is_wellformed(after):
            raise Problem("invalid_request", "after: no position of this application.")
        with delta.read(
            connection,
            application.code,
            model,
            str(workplace.id),
            before,
            now,
            after,
            digests=digests,
            repair=opened["repair"],
            reset=opened["reset"],
        ) as found:
            return _spool(found.position, found.lines, gzipped=gzipped)

    spooled = await databases.run(application, spool)
    if spooled.decoded <= direct_limit:
        async with sessions.begin() as db:
            await _record_offer(db, exchange, spooled)
        return Offer(spooled.file, gzipped)
    name = f"{DELTAS}{exchange.id}/{uuid4()}"
    try:
        await objects.ensure_bucket()
        stored = await objects.put_stream(name, _pieces(spooled.file))
    except ObjectsUnavailable as error:
        headers = {"Retry-After": "30"}
        raise Problem(
            "service_unavailable", "The file store does not answer; try again later.", headers=headers
        ) from error
    finally:
        spooled.file.close()
    document = {"object": name, "size": stored.size, "sha256": stored.sha256, "gzipped": gzipped}
    async with sessions.begin() as db:
        await _record_offer(db, exchange, spooled, document)
    return Offer(None, gzipped)


@dataclass(frozen=True)
class _Spooled:
    file: IO[bytes]
    decoded: int
    lines: int
    position: str


def _spool(position: str, lines: Iterator[bytes], *, gzipped: bool) -> _Spooled:
    """All lines in a file that is in memory while it is small, coded as they will be sent."""
    file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by who sends it
    coder = isal_zlib.compressobj(1, isal_zlib.DEFLATED, GZIP) if gzipped else None
    decoded = count = 0
    try:
        for piece, number in _gathered(lines):
            decoded += len(piece)
            count += number
            file.write(coder.compress(piece) if coder else piece)
        if coder:
            file.write(coder.flush())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return _Spooled(file, decoded, count - 2, position)


def _gathered(lines: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """Many lines as one piece, with their number: coders are slow on single lines."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(held), len(held)
            held, size = [], 0
    yield b"".join(held), len(held)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_PIECE), b"")


async def _record_offer(
    db: AsyncSession, exchange: Exchange, spooled: _Spooled, stored: dict[str, object] | None = None
) -> None:
    present = await db.get_one(Exchange, exchange.id, with_for_update=True, populate_existing=True)
    present.offered = {**present.offered, spooled.position: spooled.lines}
    if stored is not None:
        present.delta = {**stored, "objects": [*delta_files(present), stored["object"]]}
