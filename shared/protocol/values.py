"""Values on the wire and in the replica, by the PostgreSQL type of their column (protocol.md, Values).

A type is the text of `format_type`, as `yurt_columns.type` holds it. Three spellings of a value meet here:
*wire* (JSON), *replica* (what SQLite stores) and *captured* (what the replica's triggers write into `yurt_changes`:
replica values as JSON, BLOBs as hex).
"""

import base64
import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

Json = Any
Replica = int | float | str | bytes | None

INTEGER, NUMERIC, REAL, DOUBLE, BOOLEAN, BYTEA, JSON, ARRAY, TEXT = (
    "integer", "numeric", "real", "double", "boolean", "bytea", "json", "array", "text",
)  # fmt: skip

# RFC 8259 readers keep integers exact up to here (RFC 7493, 2.2); beyond, the wire spells them as strings.
MAX_EXACT = 2**53 - 1

_KINDS = {
    "smallint": INTEGER,
    "integer": INTEGER,
    "bigint": INTEGER,
    "numeric": NUMERIC,
    "real": REAL,
    "double precision": DOUBLE,
    "boolean": BOOLEAN,
    "bytea": BYTEA,
    "json": JSON,
    "jsonb": JSON,
}

# PostgreSQL prints floats from this power of ten on with an exponent (and those below 10^-4).
_FIXED_UP_TO = {REAL: 6, DOUBLE: 15}

# RFC 8785 escapes exactly what this encoder escapes: quote, backslash and the controls below U+0020.
canonical_json: Callable[[Json], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False
).encode


@cache
def kind(type_text: str) -> str:
    """The family of a type: how its values are spelt. Unknown types are text."""
    if type_text.endswith("[]"):
        return ARRAY
    return _KINDS.get(type_text.partition("(")[0].strip(), TEXT)


def affinity(type_text: str) -> str:
    """The declared type of a replica column."""
    return {INTEGER: "INTEGER", BOOLEAN: "INTEGER", REAL: "REAL", DOUBLE: "REAL", BYTEA: "BLOB"}.get(
        kind(type_text), "TEXT"
    )


def to_wire(type_text: str, value: Replica) -> Json:
    """The wire spelling of a replica value.

    A value that does not fit its type (any program may have written it) is passed on as it is, or as hex for bytes, so
    that the service names the mistake; nothing is guessed.
    """
    if value is None:
        return None
    return _TO_WIRE.get(kind(type_text), _plain)(value)


def captured_to_wire(type_text: str, value: Json) -> Json:
    """The wire spelling of a value written by a capture trigger (`before`, `parts_before`)."""
    if value is not None and kind(type_text) == BYTEA and isinstance(value, str):
        try:
            return to_wire(type_text, bytes.fromhex(value))
        except ValueError:
            return value
    return to_wire(type_text, value)


def from_wire(type_text: str, value: Json) -> Replica:
    """The replica's spelling of a wire value. Raises ValueError or TypeError when the value is none of this type."""
    if value is None:
        return None
    if kind(type_text) == ARRAY and kind(type_text[:-2]) in _FIXED_UP_TO:
        return _floats_from_wire(value, kind(type_text[:-2]))
    return _FROM_WIRE.get(kind(type_text), str)(value)


def canonical(type_text: str) -> Callable[[Replica], Json]:
    """A function from a replica value to what stands for it in the digest's JSON array (protocol.md, Digests)."""
    return _CANONICAL.get(kind(type_text), _plain)


def _integer_to_wire(value: Replica) -> Json:
    return str(value) if isinstance(value, int) and not -MAX_EXACT <= value <= MAX_EXACT else _plain(value)


def _float_to_wire(value: Replica) -> Json:
    return _special(value) if isinstance(value, float) and not math.isfinite(value) else _plain(value)


def _special(value: float) -> str:
    """As PostgreSQL prints them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _boolean_to_wire(value: Replica) -> Json:
    return bool(value) if value in {0, 1} and isinstance(value, int) else _plain(value)


def _bytea_to_wire(value: Replica) -> Json:
    return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode("ascii")


def _array_to_wire(value: Replica) -> Json:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return _plain(value)


def _plain(value: Replica) -> Json:
    return value.hex() if isinstance(value, bytes) else value


def _integer_from_wire(value: Json) -> int:
    if isinstance(value, bool | float):
        raise TypeError(f"{value!r} is not an integer")
    return int(value)


def _float_from_wire(value: Json) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else _special(number)


def _floats_from_wire(value: Json, family: str) -> str:
    """The JSON text of an array of floats with each number as PostgreSQL prints it, so that one text stands for it."""
    if isinstance(value, list):
        return "[" + ",".join(_floats_from_wire(item, family) for item in value) + "]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return canonical_json(value)
    sign, digits, exponent = _shortest(float(value) or 0.0, family).normalize().as_tuple()
    order = len(digits) + int(exponent) - 1
    if -4 <= order < _FIXED_UP_TO[family]:
        return f"{Decimal((sign, digits, int(exponent))):f}"
    fraction = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{'.' * bool(fraction)}{fraction}e{order:+03d}"


def _shortest(number: float, family: str) -> Decimal:
    """The shortest decimal nearer to `number` than to any other double. Python also takes one half way between two.

    A real was printed with at most nine digits, and those come back.
    """
    decimal = Decimal(repr(number))
    if family == REAL:
        return decimal
    half = Decimal(math.ulp(number)) / 2
    with localcontext(prec=800):
        exact = Decimal(number)
        return decimal if abs(decimal - exact) != half else Decimal(f"{number:.17g}")


def _boolean_from_wire(value: Json) -> int:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not a boolean")
    return int(value)


def _float_canonical(value: Replica) -> Json:
    if isinstance(value, int | float):
        number = float(value)
        if not math.isfinite(number):
            return _special(number)
        return struct.pack(">d", number or 0.0).hex()  # −0 counts as 0
    return _plain(value)


_TO_WIRE: dict[str, Callable[[Replica], Json]] = {
    INTEGER: _integer_to_wire,
    REAL: _float_to_wire,
    DOUBLE: _float_to_wire,
    BOOLEAN: _boolean_to_wire,
    BYTEA: _bytea_to_wire,
    ARRAY: _array_to_wire,
}

_FROM_WIRE: dict[str, Callable[[Json], Replica]] = {
    INTEGER: _integer_from_wire,
    REAL: _float_from_wire,
    DOUBLE: _float_from_wire,
    BOOLEAN: _boolean_from_wire,
    BYTEA: lambda value: base64.b64decode(value, validate=True),
    ARRAY: canonical_json,
}

_CANONICAL: dict[str, Callable[[Replica], Json]] = {
    INTEGER: _integer_to_wire,
    REAL: _float_canonical,
    DOUBLE: _float_canonical,
    BOOLEAN: _boolean_to_wire,
    BYTEA: _bytea_to_wire,
}
