"""A base image for a package: the fresh one there is, or a new one – built once, however many ask for it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import anyio.to_thread
from isal import isal_zlib
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select

from services.snapshot_builder.build_image import Cut, Identity, build_base, identify
from services.snapshot_builder.build_steps import BuildSteps, BuildStopped
from services.snapshot_builder.tables import BaseImage
from services.snapshot_builder.workshop import Workshop
from shared.replication.history import has_seen, position_of
from shared.replication.image import ImageDamaged
from shared.runtime.objects import ObjectMissing, Objects

CHUNK = 1 << 20
GZIP = 16 + isal_zlib.MAX_WBITS


async def obtain_base_image(
    workshop: Workshop, cut: Cut, workplace: UUID, target: Path, steps: BuildSteps
) -> BaseImage:
    """Write a base image of the cut to `target`; its row says what it is. Its user verifies it, and may `forget` it.

    It is not older than the last message of the workplace.

    Of several that want the same image at once, in any process, one builds it and the others wait.
    """
    wanted = await anyio.to_thread.run_sync(identify, cut, workplace, steps)
    if found := await _fetch(workshop, wanted, target):
        return found
    async with _only_one(workshop.engine, wanted.key, steps):
        if found := await _fetch(workshop, wanted, target):
            return found
        return await _build(workshop, cut, target, steps)


async def _build(workshop: Workshop, cut: Cut, target: Path, steps: BuildSteps) -> BaseImage:
    identity, built = await anyio.to_thread.run_sync(build_base, cut, target, steps)
    rows, digests = dict(built.rows), {table: dict(digest) for table, digest in built.digests.items()}
    total = sum(rows.values())
    number = uuid4()
    name = f"base/{identity.key}/{number}.db.gz"
    stored = await workshop.objects.put_stream(name, _compressed(target, lambda: steps.step("reading", total, total)))
    row = BaseImage(
        id=number,
        key=identity.key,
        application=cut.application,
        object=name,
        size=stored.size,
        sha256=stored.sha256,
        position=position_of(identity.generation, built.snapshot),
        generation=identity.generation,
        rows=rows,
        digests=digests,
    )
    async with workshop.sessions.begin() as session:
        session.add(row)
    await anyio.to_thread.run_sync(workshop.cache.keep, number, target)
    return row


async def _fetch(workshop: Workshop, wanted: Identity, target: Path) -> BaseImage | None:
    """The newest fresh image, written to `target`; one that turns out lost or damaged is forgotten."""
    fresh = datetime.now(UTC) - timedelta(seconds=workshop.settings.base_image_max_age)
    statement = select(BaseImage).where(col(BaseImage.key) == wanted.key, col(BaseImage.built_at) > fresh)
    async with workshop.sessions.begin() as session:
        row = (await session.exec(statement.order_by(col(BaseImage.built_at).desc()).limit(1))).one_or_none()
    if row is None or not has_seen(row.position, wanted.last_message):
        return None
    if await anyio.to_thread.run_sync(workshop.cache.copy, row.id, target):
        return row
    try:
        await _download(workshop.objects, row, target)
    except (ObjectMissing, ImageDamaged):
        await forget(workshop, row)
        return None
    await anyio.to_thread.run_sync(workshop.cache.keep, row.id, target)
    return row


async def forget(workshop: Workshop, row: BaseImage) -> None:
    """Nobody uses this image any more; its object is swept as a leftover."""
    workshop.cache.drop(row.id)
    async with workshop.sessions.begin() as session:
        await session.exec(delete(BaseImage).where(col(BaseImage.id) == row.id))


async def _download(objects: Objects, row: BaseImage, target: Path) -> None:
    """Raises `ObjectMissing`, and `ImageDamaged` when the object is not the one that was stored."""
    await objects.stat(row.object)  # rclone's answer to a GET of a missing object is one that minio cannot read
    digest, inflate = hashlib.sha256(), isal_zlib.decompressobj(wbits=GZIP)
    with target.open("wb") as file:
        async for chunk in objects.open(row.object):
            digest.update(chunk)
            try:
                inflated = await anyio.to_thread.run_sync(inflate.decompress, chunk)
            except isal_zlib.IsalError as error:  # type: ignore[misc] # its stub calls the class an instance
                raise ImageDamaged(row.object) from error
            await anyio.to_thread.run_sync(file.write, inflated)
    if digest.hexdigest() != row.sha256:
        raise ImageDamaged(row.object)


def _compressed(path: Path, on_read: Callable[[], None]) -> Iterator[bytes]:
    deflate = isal_zlib.compressobj(level=1, wbits=GZIP)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            on_read()
            yield deflate.compress(chunk)
    yield deflate.flush()


@asynccontextmanager
async def _only_one(engine: AsyncEngine, key: str, steps: BuildSteps) -> AsyncIterator[None]:
    """Hold the key's lock in PostgreSQL; a lost process loses it with its connection. `BuildStopped` ends the wait."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        statement = text("SELECT pg_advisory_lock(hashtextextended('base image ' || :key, 0))").bindparams(key=key)
        locking = asyncio.ensure_future(connection.execute(statement))
        stopping = asyncio.ensure_future(steps.stopped.wait())
        try:
            await asyncio.wait({locking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not locking.done():
                raise BuildStopped
            await locking
            yield
        finally:
            locking.cancel()
            stopping.cancel()
            await asyncio.gather(locking, stopping, return_exceptions=True)
            await connection.invalidate()
