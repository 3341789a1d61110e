"""Values between SQLite and the wire, as the table "Values" of the protocol page has them; and digests."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterable
from typing import Any, Self

INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision")
SAFE = 2**53 - 1


class RawNumber(float):
    """A JSON number that keeps its spelling: arrays stand in the replica as they were spelt."""

    spelling: str

    def __new__(cls, spelling: str) -> Self:
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number


def loads(text: str | bytes) -> Any:
    """JSON whose fractional numbers keep their spelling."""
    return json.loads(text, parse_float=RawNumber)


def dumps(value: Any) -> str:
    """JSON without spaces, non-ASCII kept, strings escaped as RFC 8785 does."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(k)}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    if isinstance(value, RawNumber):
        return value.spelling
    return json.dumps(value, ensure_ascii=False)


def is_array(kind: str) -> bool:
    return kind.endswith("[]")


def plain(kind: str) -> str:
    """The type without its modifier: `numeric(12,2)` is numeric."""
    return re.sub(r"\([^)]*\)", "", kind).strip()


def to_wire(kind: str, value: Any, *, blob_hex: bool = False) -> Any:
    """A value of the replica, or of `before` where BLOBs are hex, as it stands in a message."""
    if value is None:
        return None
    if is_array(kind):
        return loads(value)
    name = plain(kind)
    if name in INTEGERS:
        return value if abs(value) <= SAFE else str(value)
    if name == "boolean":
        return bool(value)
    if name == "bytea":
        return base64.b64encode(bytes.fromhex(value) if blob_hex else value).decode()
    return value


def to_sqlite(kind: str, value: Any) -> Any:
    """A value of a delta as it is kept in the replica."""
    if value is None:
        return None
    if is_array(kind):
        return dumps(value)
    name = plain(kind)
    if name in INTEGERS:
        return int(value)
    if name in FLOATS:
        return value if isinstance(value, str) else float(value)
    if name == "boolean":
        return int(value)
    if name == "bytea":
        return base64.b64decode(value, validate=True)
    return value


def to_digest(kind: str, value: Any) -> Any:
    """A value of the replica as a digest's row has it."""
    if value is None or is_array(kind):
        return value
    if plain(kind) in FLOATS:
        return value if isinstance(value, str) else struct.pack(">d", float(value) or 0.0).hex()
    return to_wire(kind, value)


def bucket_of(key: list[Any]) -> int:
    return hashlib.sha256(dumps(key).encode()).digest()[0]


def digest_of(rows: Iterable[list[Any]]) -> str:
    total = sum(int.from_bytes(hashlib.sha256(dumps(row).encode()).digest()[:8], "big") for row in rows)
    return f"{total % 2**64:016x}"
