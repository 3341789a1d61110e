"""The body of a message on its way in: counted, checked and spooled, so that a slow or hostile sender costs nothing."""

import hashlib
import tempfile
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from typing import IO

import anyio.to_thread

from services.sync_gateway.settings import ExchangeSettings
from shared.runtime.problem import Problem

GZIP = 31  # zlib's window bits for a gzip member
_STEP = 1 << 18
_IN_MEMORY = 1 << 20


class MessageBody:
    """A message as it was sent, spooled beyond a megabyte. `decode` gives its NDJSON; close it afterwards.

    `large`: it takes so much memory, by its bytes or its values, that it should be the only such one there.
    """

    def __init__(self, file: IO[bytes], *, gzipped: bool, decoded_size: int, large: bool) -> None:
        self._file = file
        self._gzipped = gzipped
        self.decoded_size = decoded_size
        self.large = large

    def decode(self) -> bytes | bytearray:
        """The decoded bytes, whose size was found to be within the limits; they are in memory once."""
        self._file.seek(0)
        if not self._gzipped:
            return self._file.read()
        decoder, decoded, end = _Gunzip(), bytearray(self.decoded_size), 0
        for chunk in iter(lambda: self._file.read(_STEP), b""):
            for piece in decoder.feed(chunk):
                decoded[end : (end := end + len(piece))] = piece
        return decoded

    def close(self) -> None:
        """Drop the spooled bytes."""
        self._file.close()


async def receive(
    chunks: AsyncIterator[bytes], content_digest: str | None, encoding: str | None, limits: ExchangeSettings
) -> MessageBody:
    """Take a body in, never more of it than the limits allow.

    Problems `digest_missing`, `digest_mismatch` (the digest is over the bytes as sent), `message_too_large`,
    `aggregate_too_large`, `invalid_body` (gzip that cannot be read), `unsupported_media_type` (another coding).
    """
    expected = expected_digest(content_digest)
    coding = (encoding or "identity").strip().lower()
    if coding not in {"gzip", "x-gzip", "identity"}:
        raise Problem("unsupported_media_type", f"Content-Encoding {coding!r}: only gzip is known.")
    gzipped = coding != "identity"
    file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed by the caller
    try:
        size = await _spool(file, chunks, expected, limits, gzipped=gzipped)
    except BaseException:
        file.close()
        raise
    large = size.bytes > limits.message_limit or size.values > limits.message_values // 2
    return MessageBody(file, gzipped=gzipped, decoded_size=size.bytes, large=large)


async def _spool(
    file: IO[bytes], chunks: AsyncIterator[bytes], expected: bytes, limits: ExchangeSettings, *, gzipped: bool
) -> "_Size":
    """Write the bytes as sent into `file`; the size of the decoded ones."""
    size = _Size(limits)
    decoder = _Gunzip() if gzipped else None
    digest = hashlib.sha256()
    sent = 0
    async for chunk in chunks:
        if not chunk:
            continue  # the end of the body
        sent += len(chunk)
        digest.update(chunk)
        if sent > limits.aggregate_limit:
            raise _too_large(single=size.lines <= 1, limits=limits)
        await anyio.to_thread.run_sync(_take, file, decoder, size, chunk)
    if digest.digest() != expected:
        raise Problem("digest_mismatch", "The body arrived damaged: its SHA-256 is not the one in Content-Digest.")
    if decoder is not None and not decoder.whole:
        raise invalid_body("The gzip stream ends too early.")
    return size


def expected_digest(header: str | None) -> bytes:
    """The SHA-256 in a Content-Digest header (RFC 9530), whose lines are joined by commas.

    It is a dictionary (RFC 8941): parameters of a member mean nothing here, of several members of one name the last
    counts. Problems `digest_missing`, `digest_mismatch`.
    """
    members = (member.partition(";")[0].strip().partition("=") for member in (header or "").split(","))
    value = next((value for name, _, value in reversed(list(members)) if name.strip().lower() == "sha-256"), None)
    if value is None:
        raise Problem("digest_missing", "A message needs Content-Digest: sha-256=:<base64>: over the bytes as sent.")
    if not (value.startswith(":") and value.endswith(":") and len(value) > 1):
        raise Problem("digest_mismatch", "Content-Digest must look like sha-256=:<base64>:")
    try:
        return b64decode(value[1:-1], validate=True)
    except ValueError as error:
        raise Problem("digest_mismatch", "Content-Digest holds no base64.") from error


def invalid_body(detail: str) -> Problem:
    """The body cannot be read at all, no line is to blame."""
    return Problem("invalid_body", detail, line=None)


class _Size:
    """Counts decoded bytes and lines, and stops at the limits of the protocol.

    Counts JSON values, too, by commas and brackets (those in texts as well): in memory they are far larger than here.
    """

    def __init__(self, limits: ExchangeSettings) -> None:
        self._limits = limits
        self._line_open = False
        self.bytes = 0
        self.lines = 0
        self.values = 0
        self.containers = 0

    def add(self, piece: bytes) -> None:
        """Raises Problem `message_too_large` or `aggregate_too_large`."""
        if not piece:
            return
        self.bytes += len(piece)
        self.lines += piece.count(b"\n")
        containers = piece.count(b"[") + piece.count(b"{")
        self.containers += containers
        self.values += containers + piece.count(b",")
        self._line_open = not piece.endswith(b"\n")
        several = self.lines + self._line_open > 1
        if self.lines + self._line_open > self._limits.message_aggregates:
            raise _too_large(single=False, limits=self._limits)
        large = self.bytes > (self._limits.message_limit if several else self._limits.aggregate_limit)
        if large or self.values > self._limits.message_values or self.containers > self._limits.message_containers:
            raise _too_large(single=not several, limits=self._limits)


class _Gunzip:
    """Decodes gzip members piece by piece, no piece larger than a step: a bomb is noticed before it is in memory."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(GZIP)
        self._started = False

    @property
    def whole(self) -> bool:
        """The last member has ended."""
        return self._started and self._decoder.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decoded pieces of a chunk, made one at a time. Problem `invalid_body`."""
        while True:
            self._started = True
            try:
                piece = self._decoder.decompress(chunk, _STEP)
            except zlib.error as error:
                raise invalid_body(f"The gzip stream is damaged: {error}.") from error
            yield piece
            if self._decoder.eof:
                chunk = self._decoder.unused_data
                if not chunk:
                    return
                self._decoder = zlib.decompressobj(GZIP)
                continue
            chunk = self._decoder.unconsumed_tail
            if not chunk:  # output the decoder still holds comes with the next chunk: the trailer is always later
                return


def _take(file: IO[bytes], decoder: _Gunzip | None, size: _Size, chunk: bytes) -> None:
    file.write(chunk)
    for piece in decoder.feed(chunk) if decoder else (chunk,):
        size.add(piece)


def _too_large(*, single: bool, limits: ExchangeSettings) -> Problem:
    values = f"{limits.message_values} JSON values, {limits.message_containers} of them lists and objects"
    if single:
        return Problem("aggregate_too_large", f"An object may have {limits.aggregate_limit} bytes and {values}.")
    detail = (
        f"A message may have {limits.message_aggregates} objects, {limits.message_limit} bytes decoded and {values}."
    )
    return Problem("message_too_large", detail)
