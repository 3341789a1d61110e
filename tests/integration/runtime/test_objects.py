"""Object storage on a real S3 endpoint."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psutil
import pytest

from shared.runtime.objects import PART, ObjectMissing, Objects, ObjectsUnavailable
from shared.runtime.settings import ObjectSettings

MEGABYTE = 1_000_000


@pytest.fixture
async def objects(s3_url: str) -> AsyncIterator[Objects]:
    """A bucket of the test's own, emptied afterwards."""
    bucket = f"test-{uuid4().hex}"
    objects = Objects(ObjectSettings(s3_url=urlunsplit(urlsplit(s3_url)._replace(path=f"/{bucket}"))))
    await objects.ensure_bucket()
    yield objects
    for found in [found async for found in objects.list()]:
        await objects.delete(found.name)


def noise(size: int, seed: bytes = b"yurt") -> bytes:
    """Bytes that differ at every place, the same each time."""
    return hashlib.shake_128(seed).digest(size)


async def read(objects: Objects, name: str, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in objects.open(name, offset, length)])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 17])
async def test_what_was_stored_is_read_back(objects: Objects, size: int) -> None:
    content = noise(size)
    chunks = (content[start : start + 300_007] for start in range(0, size, 300_007))
    stored = await objects.put_stream("packages/a.zip", chunks, content_type="application/zip")
    assert (stored.name, stored.size) == ("packages/a.zip", size)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert await read(objects, "packages/a.zip") == content
    found = await objects.stat("packages/a.zip")
    assert found.size == size
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, 5), (3, None), (1_000_000, 1_500_000), (2_999_999, None), (2_999_990, 100), (5, 0)],
)
async def test_a_range_is_exactly_what_was_asked_for(objects: Objects, offset: int, length: int | None) -> None:
    content = noise(3 * MEGABYTE)
    await objects.put_stream("a", [content])
    expected = content[offset:] if length is None else content[offset : offset + length]
    assert await read(objects, "a", offset, length) == expected


async def test_a_missing_object_is_said_to_be_missing(objects: Objects) -> None:
    with pytest.raises(ObjectMissing):
        await objects.stat("none")
    with pytest.raises(ObjectMissing):
        await read(objects, "none")
    await objects.delete("none")


async def test_an_upload_that_fails_in_the_middle_leaves_nothing(objects: Objects) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(3):
            yield noise(PART)
        raise RuntimeError("the source dried up")

    with pytest.raises(RuntimeError, match="dried up"):
        await objects.put_stream("packages/half", broken())
    assert [found async for found in objects.list()] == []
    with pytest.raises(ObjectMissing):
        await objects.stat("packages/half")


async def test_an_upload_nobody_waits_for_any_more_ends_and_leaves_nothing(objects: Objects) -> None:
    ended, many_parts = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            for number in range(1_000):
                yield noise(PART, str(number).encode())
                if number == 2:
                    many_parts.set()
        finally:
            ended.set()

    upload = asyncio.create_task(objects.put_stream("packages/half", endless()))
    await asyncio.to_thread(many_parts.wait, 30)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert await asyncio.to_thread(ended.wait, 30)
    assert [found async for found in objects.list()] == []


async def test_nothing_of_an_upload_is_visible_before_its_end(objects: Objects) -> None:
    some_parts, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield noise(3 * PART)
        some_parts.set()
        go_on.wait(30)
        yield b"end"

    upload = asyncio.create_task(objects.put_stream("packages/slow", slow()))
    await asyncio.to_thread(some_parts.wait, 30)
    assert [found async for found in objects.list()] == []
    go_on.set()
    await upload
    assert [found.name async for found in objects.list()] == ["packages/slow"]


async def test_a_large_object_passes_through_little_memory(objects: Objects) -> None:
    process, part = psutil.Process(), noise(MEGABYTE)
    before, most = process.memory_info().rss, 0

    def many() -> Iterator[bytes]:
        nonlocal most
        for _ in range(300):
            yield part
            most = max(most, process.memory_info().rss)

    await objects.put_stream("large", many())
    read_back = 0
    async for chunk in objects.open("large"):
        read_back += len(chunk)
        most = max(most, process.memory_info().rss)
    assert read_back == 300 * MEGABYTE
    assert most - before < 120 * MEGABYTE


async def test_a_list_holds_what_begins_with_the_prefix(objects: Objects) -> None:
    for name in ("packages/b", "packages/a/1", "base/c", "packagesless"):
        await objects.put_stream(name, [b"x"])
    assert [found.name async for found in objects.list("packages/")] == ["packages/a/1", "packages/b"]
    assert len([found async for found in objects.list()]) == 4


async def test_a_list_before_there_is_a_bucket_is_empty(s3_url: str) -> None:
    """As the sweeper of a new installation asks for it, before the first build."""
    objects = Objects(ObjectSettings(s3_url=s3_url, s3_bucket=f"test-{uuid4().hex}"))
    assert [found async for found in objects.list("packages/")] == []


async def test_the_bucket_may_be_asked_for_by_many_at_once(s3_url: str) -> None:
    bucket = f"test-{uuid4().hex}"
    objects = Objects(ObjectSettings(s3_url=s3_url, s3_bucket=bucket))
    await asyncio.gather(*(objects.ensure_bucket() for _ in range(5)))
    assert [found async for found in objects.list()] == []


async def test_a_store_that_does_not_answer_is_unavailable() -> None:
    objects = Objects(ObjectSettings(s3_url="http://key:secret@127.0.0.1:9/bucket"))
    with pytest.raises(ObjectsUnavailable):
        await objects.stat("a")
    with pytest.raises(ObjectsUnavailable):
        await objects.put_stream("a", [b"x"])


class _WholeAlways(BaseHTTPRequestHandler):
    """A store that ignores ranges."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(3 * MEGABYTE))
        self.end_headers()
        try:
            self.wfile.write(noise(3 * MEGABYTE))
        except ConnectionError:
            self.close_connection = True  # the reader has had enough

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing."""


@pytest.fixture
def ignorant_store() -> Iterator[Objects]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _WholeAlways) as server:
        threading.Thread(target=server.serve_forever).start()
        yield Objects(ObjectSettings(s3_url=f"http://key:secret@127.0.0.1:{server.server_port}/bucket"))
        server.shutdown()


@pytest.mark.parametrize(("offset", "length"), [(0, 5), (1_500_000, None), (1_048_570, 20), (2_999_990, 100)])
async def test_a_range_is_cut_out_of_what_a_store_without_ranges_sends(
    ignorant_store: Objects, offset: int, length: int | None
) -> None:
    content = noise(3 * MEGABYTE)
    expected = content[offset:] if length is None else content[offset : offset + length]
    assert await read(ignorant_store, "a", offset, length) == expected


async def test_wrong_keys_are_not_taken_for_a_missing_object(s3_url: str) -> None:
    parts = urlsplit(s3_url)
    wrong = urlunsplit(parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}"))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - stores name it differently
        await Objects(ObjectSettings(s3_url=wrong)).stat("a")
    assert not isinstance(raised.value, ObjectMissing | ObjectsUnavailable)
