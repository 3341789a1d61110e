"""Files from object storage: whole or by range, told apart by their ETag (RFC 9110, 13 and 14)."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from shared.runtime.objects import ObjectMissing, Objects, ObjectsUnavailable
from shared.runtime.problem import Problem

_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$", re.IGNORECASE)
_ASCII_NAME = re.compile(r"[^A-Za-z0-9._ -]+")


@dataclass(frozen=True)
class StoredFile:
    """A file that never changes under its name. `etag` without quotes; `size` in bytes as stored."""

    object: str
    size: int
    etag: str
    media_type: str
    headers: Mapping[str, str]


async def answer_file(request: Request, objects: Objects, file: StoredFile, missing: Problem) -> Response:
    """The file or the one range asked for: 200, 206, 304 or 416 `range_not_satisfiable`; HEAD sends no bytes.

    `missing` is raised when the object is gone. Problem `service_unavailable` while the store is away.
    """
    headers = {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes", **file.headers}
    if _matches(request.headers.get("if-none-match"), file.etag, weakly=True):
        return Response(status_code=304, headers=headers)
    span = _wanted(request, file)
    if span is None:
        first, length, status = 0, file.size, 200
    else:
        first, last = span
        length, status = last - first + 1, 206
        headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    body = await _opened(objects, file.object, first, length, missing)
    return StreamingResponse(body, status_code=status, headers=headers, media_type=file.media_type)


def attachment(filename: str) -> str:
    """A Content-Disposition with a plain name for old programs and the true one in UTF-8 (RFC 6266)."""
    stem, dot, extension = filename.rpartition(".")
    plain = _ASCII_NAME.sub("", stem).strip(" .-_") or "yurt-workplace"
    name = f"{plain}.{_ASCII_NAME.sub('', extension)}" if dot else plain
    return f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _wanted(request: Request, file: StoredFile) -> tuple[int, int] | None:
    """First and last byte of the range asked for; None when the whole file is to be sent."""
    header = request.headers.get("range")
    if header is None or (request.headers.get("if-range") is not None and not _same(request.headers["if-range"], file)):
        return None
    match = _RANGE.match(header.replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None  # several ranges or another unit: RFC 9110 lets us ignore them
    if match[1] == "":
        first, last = max(0, file.size - int(match[2])), file.size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or file.size - 1), file.size - 1)
        if match[2] and int(match[2]) < first:
            return None  # no valid range
    if first > last or first >= file.size:
        raise Problem(
            "range_not_satisfiable",
            f"The file has {file.size} bytes.",
            headers={"Content-Range": f"bytes */{file.size}"},
        )
    return first, last


def _same(if_range: str, file: StoredFile) -> bool:
    return _matches(if_range, file.etag, weakly=False)


def _matches(header: str | None, etag: str, *, weakly: bool) -> bool:
    tags = [tag.strip() for tag in (header or "").split(",")]
    return f'"{etag}"' in tags or (weakly and (f'W/"{etag}"' in tags or tags == ["*"]))


async def _opened(objects: Objects, name: str, first: int, length: int, missing: Problem) -> AsyncIterator[bytes]:
    """The bytes, the first of which is there: what goes wrong at first does so before the answer begins."""
    stream = objects.open(name, first, length)
    try:
        begin = await anext(stream, b"")
    except ObjectMissing as error:
        raise missing from error
    except ObjectsUnavailable as error:
        raise Problem(
            "service_unavailable", "The file store does not answer; try again later.", headers={"Retry-After": "10"}
        ) from error

    async def body() -> AsyncIterator[bytes]:
        yield begin
        async for chunk in stream:
            yield chunk

    return body()
