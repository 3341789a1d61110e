"""A delta on its way into the replica: downloaded whole into a nameless file and proven before a row is touched."""

import json
import tempfile
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from workplace.engine.failures import Failure, NoConnection, ServiceRefused, UnexpectedAnswer
from workplace.engine.service import LONG, Service

CHUNK = 1 << 18
_FRUITLESS = 4  # attempts in a row that brought no byte
Progress = Callable[[str, int, int], None]


@dataclass
class Delta:
    """A proven delta: its first and last line, and the lines between, read again as often as needed."""

    file: IO[bytes]
    head: dict[str, Any] = field(default_factory=dict)
    tail: dict[str, Any] = field(default_factory=dict)
    _from: int = 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines between the first and the last."""
        self.file.seek(self._from)
        for line in self.file:
            document = json.loads(line)
            if document.get("end"):
                return
            yield document

    def close(self) -> None:
        """The file goes with its handle."""
        self.file.close()

    def prove(self) -> None:
        """Checks count and hash. Raises UnexpectedAnswer `damaged_delta`: nothing may be applied then."""
        self.file.seek(0)
        digest, count = sha256(), 0
        previous = b""
        for line in self.file:
            if previous:
                digest.update(previous)
                count += 1
            else:
                self._from = len(line)
            previous = line
            if not line.endswith(b"\n"):
                break
        try:
            self.file.seek(0)
            self.head, self.tail = json.loads(self.file.readline()), json.loads(previous or b"null")
            whole = (
                self.tail.get("end") is True
                and self.tail["count"] == count - 1
                and self.tail["sha256"] == digest.hexdigest()
                and "generation" in self.head
                and isinstance(self.tail["position"], str)
            )
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise UnexpectedAnswer("damaged_delta", "no last line") from error
        if not whole:
            raise UnexpectedAnswer("damaged_delta", f"count {count - 1}, sha256 {digest.hexdigest()}")


def fetch(service: Service, exchange: str, query: dict[str, str], folder: Path, progress: Progress) -> Delta:
    """The delta of an exchange, whole and proven. A broken line is resumed where the service offers a file."""
    path = f"/exchanges/{exchange}/changes?{urllib.parse.urlencode(query)}"

    def attempt() -> Delta:
        # Beside the replica: the same disk and the same secrecy. It has no name, so a crash leaves nothing behind.
        delta = Delta(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - the delta closes it
        try:
            _receive(service, path, delta.file, folder, progress)
            delta.prove()
        except BaseException:
            delta.close()
            raise
        return delta

    try:
        return service.retried(attempt)
    except UnexpectedAnswer:
        return attempt()  # damaged on the way: once more, then it is the service's mistake


def _receive(service: Service, path: str, out: IO[bytes], folder: Path, progress: Progress) -> None:
    headers = {"Accept": "application/x-ndjson", "Accept-Encoding": "gzip"}
    with service.open("GET", path, headers=headers, timeout=LONG) as response:
        if response.status != 303:
            decode = _decoder(response.headers.get("Content-Encoding", ""))
            received = 0
            while chunk := response.read(CHUNK):
                received += len(chunk)
                out.write(decode(chunk))
                progress("download", received, 0)
            return
        location = str(response.headers["Location"])
    with tempfile.TemporaryFile(dir=folder) as coded:
        encoding = _download(service, location, coded, progress)
        decode = _decoder(encoding)
        coded.seek(0)
        while chunk := coded.read(CHUNK):
            out.write(decode(chunk))


def _download(service: Service, url: str, out: IO[bytes], progress: Progress) -> str:
    """A file in as many pieces as the line needs; returns its content encoding."""
    file, fruitless = _File(), 0
    while True:
        have = out.tell()
        try:
            if _continue(service, url, out, file, progress):
                return file.encoding
            broken: Failure = NoConnection("no_connection", url)
        except NoConnection as error:
            broken = error
        except ServiceRefused as error:
            if error.status == 416:
                _from_the_start(out)
            elif not error.on_the_way:
                raise
            broken = error
        fruitless = 0 if out.tell() > have else fruitless + 1
        if fruitless >= _FRUITLESS:
            raise broken
        service.rest(fruitless)


@dataclass
class _File:
    """What is known of the file that is being downloaded."""

    etag: str = ""
    encoding: str = ""


def _continue(service: Service, url: str, out: IO[bytes], file: _File, progress: Progress) -> bool:
    """Asks for what is missing and writes what comes; True when the file is whole."""
    have = out.tell()
    headers = {"Accept-Encoding": "gzip"}
    if have and file.etag:
        headers |= {"Range": f"bytes={have}-", "If-Range": file.etag}
    with service.open("GET", url, headers=headers, timeout=LONG) as response:
        continued = str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        if response.status != 206 or not continued:
            _from_the_start(out)
        file.etag = response.headers.get("ETag", "")
        file.encoding = response.headers.get("Content-Encoding", "")
        total = out.tell() + int(response.headers.get("Content-Length", 0))
        while chunk := response.read1(CHUNK):
            out.write(chunk)
            progress("download", out.tell(), total)
        return out.tell() >= total


def _from_the_start(out: IO[bytes]) -> None:
    out.seek(0)
    out.truncate()


def _decoder(encoding: str) -> Callable[[bytes], bytes]:
    if encoding not in {"gzip", "x-gzip"}:
        return lambda chunk: chunk
    stream = zlib.decompressobj(wbits=31)

    def decode(chunk: bytes) -> bytes:
        nonlocal stream
        try:
            decoded = stream.decompress(chunk)
            while stream.unused_data:  # a file of several members
                rest, stream = stream.unused_data, zlib.decompressobj(wbits=31)
                decoded += stream.decompress(rest)
        except zlib.error as error:
            raise UnexpectedAnswer("damaged_delta", str(error)) from error
        return decoded

    return decode
