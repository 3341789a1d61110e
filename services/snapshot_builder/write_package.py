"""The package: a plain ZIP made while it is read, so that it never stands whole in memory or on the disk."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from stat import S_IFREG
from typing import Any

from isal import isal_zlib
from stream_zip import ZIP_32, ZIP_64, MemberFile, stream_zip

CHUNK = 1 << 20
# A member or an offset beyond this needs ZIP64; deflate may make a member slightly longer than it was.
ZIP_32_LIMIT = 4_000_000_000


@dataclass(frozen=True)
class Member:
    """A file of the package: its path inside, where its bytes are, and whether it may be executed."""

    path: str
    content: Path | bytes
    executable: bool = False

    @property
    def size(self) -> int:
        """Bytes, uncompressed."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def write_package(
    members: Iterable[Member], rows: Mapping[str, int], at: datetime, on_read: Callable[[int], None]
) -> Iterator[bytes]:
    """The bytes of the zip, in pieces. `manifest.json` comes last: its hashes are of the bytes that went before it.

    `on_read` is told how many bytes were just read; what it raises ends the package. Times inside are `at`.
    """
    listed = list(members)
    zip_64 = sum(member.size for member in listed) > ZIP_32_LIMIT
    yield from stream_zip(
        _files(listed, rows, at, on_read, zip_64=zip_64),
        chunk_size=CHUNK,
        get_compressobj=_deflate,
    )


def _deflate() -> Any:  # as zlib's, in all that is called
    return isal_zlib.compressobj(level=2, wbits=-isal_zlib.MAX_WBITS)


def _files(
    members: Iterable[Member], rows: Mapping[str, int], at: datetime, on_read: Callable[[int], None], *, zip_64: bool
) -> Iterator[MemberFile]:
    method = ZIP_64 if zip_64 else ZIP_32
    files: dict[str, dict[str, str | int]] = {}
    for member in members:
        yield member.path, at, _mode(member), method, _read(member, files, on_read)
    manifest = Member("manifest.json", _json({"format": 1, "files": files, "rows": dict(rows)}))
    yield manifest.path, at, _mode(manifest), method, _read(manifest, {}, on_read)


def _read(member: Member, files: dict[str, dict[str, str | int]], on_read: Callable[[int], None]) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(member.content):
        digest.update(chunk)
        size += len(chunk)
        yield chunk
        on_read(len(chunk))
    files[member.path] = {"size": size, "sha256": digest.hexdigest()}


def _chunks(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _mode(member: Member) -> int:
    return S_IFREG | (0o755 if member.executable else 0o644)


def _json(document: object) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
