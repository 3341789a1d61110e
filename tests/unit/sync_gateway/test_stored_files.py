"""Ranges, names and codings of files."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from fastapi import Request, Response

from services.sync_gateway.http.exchanges import accepts_gzip
from services.sync_gateway.http.stored_files import StoredFile, answer_file, attachment
from shared.runtime.objects import ObjectMissing, Objects
from shared.runtime.problem import Problem

CONTENT = bytes(range(100))
FILE = StoredFile("package", len(CONTENT), "tag", "application/zip", {})
GONE = Problem("package_expired", "gone")


class Held:
    """One object in memory, read as the store's client reads."""

    async def open(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if name != "package":
            raise ObjectMissing(name)
        yield CONTENT[offset : offset + (length if length is not None else len(CONTENT))]


async def answer(method: str = "GET", file: StoredFile = FILE, **headers: str) -> Response:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": method, "path": "/", "headers": raw})
    return await answer_file(request, cast("Objects", Held()), file, GONE)


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-0", "0-0"),
        ("bytes=10-", "10-99"),
        ("bytes=-5", "95-99"),
        ("bytes=-500", "0-99"),
        ("bytes=90-500", "90-99"),
    ],
)
async def test_one_range_is_cut_out(asked: str, span: str) -> None:
    found = await answer(Range=asked)
    assert found.status_code == 206
    assert found.headers["content-range"] == f"bytes {span}/100"
    first, last = span.split("-")
    assert found.headers["content-length"] == str(int(last) - int(first) + 1)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=5-2", "bytes=-", "bytes=x-y"])
async def test_what_is_no_single_range_is_ignored(asked: str) -> None:
    assert (await answer(Range=asked)).status_code == 200


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
async def test_a_range_outside_of_the_file_is_refused(asked: str) -> None:
    with pytest.raises(Problem) as caught:
        await answer(Range=asked)
    assert caught.value.code == "range_not_satisfiable"
    assert caught.value.headers == {"Content-Range": "bytes */100"}


async def test_if_range_needs_the_same_strong_tag() -> None:
    assert (await answer(Range="bytes=0-1", If_Range='"tag"')).status_code == 206
    for other in ('"other"', 'W/"tag"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert (await answer(Range="bytes=0-1", If_Range=other)).status_code == 200


async def test_an_unchanged_file_is_not_sent() -> None:
    for tag in ('"tag"', 'W/"tag"', '"a", "tag"', "*"):
        assert (await answer(If_None_Match=tag)).status_code == 304


async def test_a_file_that_is_gone_is_told_before_the_answer_begins() -> None:
    with pytest.raises(Problem) as caught:
        await answer(file=StoredFile("other", 5, "tag", "application/zip", {}))
    assert caught.value is GONE


def test_a_name_of_other_letters_gets_a_plain_one_beside_it() -> None:
    assert attachment("Автономная работа.zip").startswith('attachment; filename="yurt-workplace.zip"; filename*=UTF-8')
    assert attachment('a"b\r\nc.zip') == "attachment; filename=\"abc.zip\"; filename*=UTF-8''a%22b%0D%0Ac.zip"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_those_who_accept_it(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected
