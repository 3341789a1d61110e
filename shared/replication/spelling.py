"""How a value is spelt on the wire, by its type (protocol.md, Values).

The check is about the wire's spelling, so that no value is taken for another one; ranges, lengths and the application's
own rules are the database's business.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from shared.protocol.values import ARRAY, BOOLEAN, BYTEA, DOUBLE, INTEGER, JSON, NUMERIC, REAL, kind


class WireInvalid(Exception):
    """A row that cannot be one of its table: code `invalid_value`."""


_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?|NaN|-?Infinity", re.ASCII)
_DATE = re.compile(r"\d{4,6}-\d\d-\d\d( BC)?|-?infinity", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?( BC)?|-?infinity", re.ASCII
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# PostgreSQL's limit.
_MAX_DIMENSIONS = 6
# Beyond, numeric (and so jsonb) overflows or loses digits; PostgreSQL has the last word on what is near.
_MAX_NUMERIC_EXPONENT = 131_071
_SPECIAL_FLOATS = {"NaN", "Infinity", "-Infinity"}


def check_value(type_text: str, value: Any) -> None:
    """Raises `WireInvalid` when a value is not spelt as one of this type; null is of every type."""
    if value is None:
        return
    try:
        checked(type_text, value)
    except (ValueError, TypeError) as error:
        raise WireInvalid(f"{shortened(value)} is no {type_text}") from error


def checked(type_text: str, value: Any) -> Any:
    """A value that is not null, bytes decoded. Raises ValueError or TypeError when it is not spelt as its type."""
    return _checker(type_text)(value)


def shortened(value: Any) -> str:
    """A value as a sentence may quote it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


@cache
def _checker(type_text: str) -> Callable[[Any], Any]:
    family = kind(type_text)
    if family == ARRAY:
        element = _checker(type_text.removesuffix("[]"))
        return lambda value: _array(element, value, _MAX_DIMENSIONS)
    if family in _BY_KIND:
        return _BY_KIND[family]
    if type_text == "uuid":
        return lambda value: _matching(_UUID, value)
    if type_text == "date":
        return lambda value: _matching(_DATE, value)
    if type_text.startswith("timestamp") and type_text.endswith(" time zone"):
        return lambda value: _matching(_TIMESTAMP, value)
    return _text


def _json(value: Any) -> str:
    """A document that PostgreSQL's jsonb can hold: every reader of the application's json will want it as that."""
    try:
        document = json.loads(_text(value), parse_float=_json_number, parse_int=_json_number, parse_constant=_no_json)
        spelt = json.dumps(document, ensure_ascii=False, default=str)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    spelt.encode()  # halves of surrogate pairs are no characters
    if "\\u0000" in spelt:
        raise ValueError("NUL")
    return str(value)


def _json_number(text: str) -> Decimal:
    number = Decimal(text)
    if number and abs(number.adjusted()) > _MAX_NUMERIC_EXPONENT:
        raise ValueError(text)
    return number


def _no_json(constant: str) -> None:
    raise ValueError(constant)


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return int(_matching(_INTEGER, value))


def _float(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if value in _SPECIAL_FLOATS:
        return value
    raise ValueError(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError(value)
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(value)
    return value


def _array(element: Callable[[Any], Any], value: Any, dimensions: int) -> Sequence[Any]:
    if not isinstance(value, list) or not dimensions:
        raise TypeError(value)
    return [
        None if item is None else _array(element, item, dimensions - 1) if isinstance(item, list) else element(item)
        for item in value
    ]


_BY_KIND: Mapping[str, Callable[[Any], Any]] = {
    INTEGER: _integer,
    NUMERIC: lambda value: _matching(_NUMERIC, value),
    REAL: _float,
    DOUBLE: _float,
    BOOLEAN: _boolean,
    BYTEA: _bytes,
    JSON: _json,
}
