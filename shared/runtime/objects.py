"""Object storage: the one door to an S3 endpoint."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import anyio.to_thread
import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.connection import HTTPConnection

from shared.runtime.settings import ObjectSettings
from shared.runtime.silence import socket_options

T = TypeVar("T")

CHUNK = 1024 * 1024
PART = 8 * 1024 * 1024
PARALLEL_PARTS = 3
PAGE = 1000

_MISSING = {"NoSuchKey", "NoSuchObject", "NoSuchBucket", "ResourceNotFound"}
_HELD_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


class ObjectMissing(Exception):
    """There is no object (or no bucket) of this name."""


class ObjectsUnavailable(Exception):
    """The store did not answer, or answered that it cannot now; trying later may help."""


class _Stopped(Exception):
    """Nobody waits for the upload any more."""


@dataclass(frozen=True)
class StoredObject:
    """What `put_stream` stored; `size` in bytes, `sha256` in lower-case hex, over the bytes as given."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class FoundObject:
    """An object as the store describes it."""

    name: str
    size: int
    etag: str
    modified_at: datetime


class Objects:
    """One bucket. Every method raises `ObjectsUnavailable` when the store is away."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._bucket = settings.bucket
        self._client = Minio(
            settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=settings.secure,
            region=settings.s3_region,
            http_client=_Connections(
                timeout=urllib3.Timeout(connect=5, read=60),
                maxsize=32,
                socket_options=[*HTTPConnection.default_socket_options, *socket_options(settings.silence)],
                cert_reqs="CERT_REQUIRED",
                ca_certs=certifi.where(),
                retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
            ),
        )

    async def ensure_bucket(self) -> None:
        """Afterwards the bucket exists, whoever else makes it at the same moment."""

        def ensure() -> None:
            if self._client.bucket_exists(self._bucket):
                return
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in _HELD_ALREADY:
                    raise

        await _in_thread(ensure)

    async def put_stream(
        self, name: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream"
    ) -> StoredObject:
        """The object appears only when whole; an error of `chunks` or a cancellation leaves nothing of it.

        `chunks` is read in another thread, of any length, with flat memory: parts go out while the next is read.
        """
        stream = _Stream(chunks)

        def put() -> StoredObject:
            self._client.put_object(
                self._bucket,
                name,
                stream,  # type: ignore[arg-type] # minio calls nothing of it but read
                length=-1,
                part_size=PART,
                num_parallel_uploads=PARALLEL_PARTS,
                content_type=content_type,
            )
            return StoredObject(name, stream.size, stream.digest.hexdigest())

        try:
            return await _in_thread(put)
        finally:
            stream.stopped = True

    async def open(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The object's bytes from `offset`, `length` of them or all that follow. `ObjectMissing` at the first step."""
        if length == 0:
            return
        response = await _in_thread(lambda: self._client.get_object(self._bucket, name, offset, length or 0))
        try:
            # Some stores ignore a range and send the whole object: what was asked for is cut out here.
            ranged = response.status == 206 or "Content-Range" in response.headers
            skip = 0 if ranged else offset
            left = length
            while left is None or left > 0:
                chunk = await _in_thread(lambda: response.read(CHUNK))
                if not chunk:
                    return
                skipped, skip = min(skip, len(chunk)), max(skip - len(chunk), 0)
                piece = chunk[skipped:] if left is None else chunk[skipped : skipped + left]
                left = None if left is None else left - len(piece)
                if piece:
                    yield piece
        finally:
            response.close()
            response.release_conn()

    async def stat(self, name: str) -> FoundObject:
        """`ObjectMissing` when there is none."""
        return _found(await _in_thread(lambda: self._client.stat_object(self._bucket, name)))

    async def delete(self, name: str) -> None:
        """Afterwards there is no such object; there need not have been one."""
        try:
            await _in_thread(lambda: self._client.remove_object(self._bucket, name))
        except ObjectMissing:
            return

    async def list(self, prefix: str = "") -> AsyncIterator[FoundObject]:
        """Every whole object whose name begins with `prefix`, by name; none while there is no bucket yet."""
        found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
        try:
            while page := await _in_thread(lambda: list(islice(found, PAGE))):
                for entry in page:
                    yield _found(entry)
        except ObjectMissing:
            return


class _Connections(urllib3.PoolManager):
    """Errors come as `text/xml` from some stores (rclone); minio reads only `application/xml`, the same thing."""

    def urlopen(self, *args: Any, **options: Any) -> urllib3.BaseHTTPResponse:
        response = super().urlopen(*args, **options)
        if response.headers.get("Content-Type", "").startswith("text/xml"):
            response.headers["Content-Type"] = "application/xml"
        return response


class _Stream:
    """Chunks of any size as something to read from, counted and digested on the way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.size = 0
        self.digest = hashlib.sha256()
        self.stopped = False

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end."""
        while not self._rest:
            if self.stopped:
                raise _Stopped
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = bytes(chunk)
        piece, self._rest = self._rest[:size], self._rest[size:]
        self.size += len(piece)
        self.digest.update(piece)
        return piece


def _found(entry: Any) -> FoundObject:
    return FoundObject(entry.object_name, entry.size or 0, entry.etag or "", entry.last_modified)


async def _in_thread(call: Callable[[], T]) -> T:
    def translated() -> T:
        with _translation():
            return call()

    return await anyio.to_thread.run_sync(translated)


@contextmanager
def _translation() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in _MISSING:
            raise ObjectMissing(error.object_name or error.bucket_name) from error
        if error.response.status >= 500:
            raise ObjectsUnavailable(error.code) from error
        raise
    except (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError) as error:
        raise ObjectsUnavailable(type(error).__name__) from error
