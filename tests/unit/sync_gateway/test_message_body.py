"""Bodies of messages: counted, checked and spooled while they come."""

import base64
import gzip
import hashlib
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from services.sync_gateway.exchange.message_body import MessageBody, expected_digest, receive
from services.sync_gateway.settings import ExchangeSettings
from shared.runtime.problem import Problem

LIMITS = ExchangeSettings(message_limit=1000, aggregate_limit=4000, message_aggregates=5)


def header(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


async def chunks(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
    yield b""


async def received(body: bytes, encoding: str | None = None, limits: ExchangeSettings = LIMITS) -> MessageBody:
    return await receive(chunks(body), header(body), encoding, limits)


async def refused(body: bytes, encoding: str | None = None, size: int = 7) -> str:
    with pytest.raises(Problem) as caught:
        await receive(chunks(body, size), header(body), encoding, LIMITS)
    return caught.value.code


@pytest.mark.parametrize("content", [b"", b"{}\n", b"{}\n{}", b"x" * 3999])
async def test_a_body_comes_out_as_it_went_in(content: bytes) -> None:
    for body, encoding in ((content, None), (gzip.compress(content), "gzip"), (content, "identity")):
        found = await received(body, encoding)
        assert found.decode() == content
        assert found.decoded_size == len(content)
        found.close()


async def test_several_gzip_members_are_one_body() -> None:
    found = await received(gzip.compress(b"{}\n") + gzip.compress(b"{}\n"), "gzip")
    assert found.decode() == b"{}\n{}\n"
    found.close()


async def test_a_highly_compressed_body_is_decoded_to_its_end() -> None:
    limits = ExchangeSettings()
    content = b"0" * 10_000_000
    coded = gzip.compress(content)
    found = await receive(chunks(coded, 1 << 16), header(coded), "gzip", limits)
    assert found.decode() == content
    found.close()


async def test_the_limits_of_a_message() -> None:
    assert await refused(b"{}\n" * 6) == "message_too_large"
    assert await refused((b"x" * 600 + b"\n") * 2) == "message_too_large"
    assert await refused(b"x" * 4001) == "aggregate_too_large"
    assert await refused(b"x" * 2000 + b"\n{}\n") == "message_too_large"
    found = await received(b"x" * 3000 + b"\n")
    found.close()


async def test_a_message_has_so_many_values_and_so_many_lists_and_objects() -> None:
    limits = ExchangeSettings(message_values=10, message_containers=4)
    for content, code in (
        (b"[0,0,0,0,0,0,0,0,0,0,0]", "aggregate_too_large"),
        (b"[[],[],{},[]]", "aggregate_too_large"),
        (b"{}\n{}\n{}\n{}\n{}\n", "message_too_large"),
    ):
        with pytest.raises(Problem) as caught:
            await received(content, None, limits)
        assert caught.value.code == code
        assert "10 JSON values, 4 of them lists and objects" in caught.value.detail
    for content in (b"[0,0,0,0,0,0,0,0,0,0]", b"[[],[],{}]"):
        (await received(content, None, limits)).close()


async def test_a_message_is_large_by_its_bytes_or_by_its_values() -> None:
    limits = ExchangeSettings(message_limit=1000, message_values=10)
    for content, large in (
        (b"x" * 1000, False),
        (b"x" * 1001, True),
        (b"[0,0,0,0,0]", False),
        (b"[0,0,0,0,0,0]", True),
    ):
        found = await received(content, None, limits)
        assert found.large is large
        found.close()


async def test_a_decoded_message_is_in_memory_once() -> None:
    packed = gzip.compress(b"0" * 20_000_000)
    found = await receive(chunks(packed, 1 << 16), header(packed), "gzip", ExchangeSettings())
    tracemalloc.start()
    try:
        assert len(found.decode()) == 20_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        found.close()
    assert peak < 22_000_000


async def test_what_cannot_be_read() -> None:
    packed = gzip.compress(b"{}\n" * 3)
    assert await refused(packed[:-1], "gzip") == "invalid_body"
    assert await refused(packed + b"rest", "gzip") == "invalid_body"
    assert await refused(b"no gzip", "gzip") == "invalid_body"
    assert await refused(b"", "gzip") == "invalid_body"
    assert await refused(b"{}", "br") == "unsupported_media_type"


@pytest.mark.parametrize("value", [None, "", "md5=:AAAA:", "sha-512=:AAAA:"])
def test_a_message_without_a_sha_256_has_no_digest(value: str | None) -> None:
    with pytest.raises(Problem) as caught:
        expected_digest(value)
    assert caught.value.code == "digest_missing"


@pytest.mark.parametrize("value", ["sha-256=AAAA", "sha-256=:???:", "sha-256=:", "sha-256=::x"])
def test_a_damaged_digest_is_a_mismatch(value: str) -> None:
    with pytest.raises(Problem) as caught:
        expected_digest(value)
    assert caught.value.code == "digest_mismatch"


def test_the_sha_256_is_found_among_others() -> None:
    assert expected_digest("md5=:AAAA:, SHA-256=:AAAA:") == b"\0\0\0"


async def test_a_bomb_is_noticed_before_it_is_in_memory() -> None:
    bomb = gzip.compress(b"0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as caught:
            await receive(chunks(bomb, 1 << 16), header(bomb), "gzip", ExchangeSettings())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == "aggregate_too_large"
    assert peak < 5_000_000
