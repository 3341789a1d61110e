"""Wire values as they come from a client: checked by the type of their column.

The check is about the wire's spelling, so that no value is taken for another one; ranges, lengths and the application's
own rules are the database's business.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from shared.protocol.values import ARRAY, BOOLEAN, BYTEA, DOUBLE, INTEGER, JSON, NUMERIC, REAL, kind
from shared.replication.model import Column, Table


class WireInvalid(Exception):
    """A row that cannot be one of its table: code `invalid_value`."""


class KeyInvalid(Exception):
    """A key that names no aggregate of its table."""


_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?|NaN|-?Infinity", re.ASCII)
_DATE = re.compile(r"\d{4,6}-\d\d-\d\d( BC)?|-?infinity", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?( BC)?|-?infinity", re.ASCII
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# PostgreSQL's limit.
_MAX_DIMENSIONS = 6
_SPECIAL_FLOATS = {"NaN", "Infinity", "-Infinity"}


def check_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The writable columns of a pushed row. Raises `WireInvalid` on a missing, unknown or ill-spelt one."""
    if not isinstance(row, dict):
        raise WireInvalid(f"{table.name}: a row is a JSON object")
    unknown = row.keys() - table.by_name.keys()
    if unknown:
        raise WireInvalid(f"{table.name} has no column {min(unknown)}")
    checked = {}
    for column in table.writable:
        if column.name not in row:
            raise WireInvalid(f"{table.name}.{column.name} is missing")
        checked[column.name] = value = row[column.name]
        if value is not None:
            try:
                _checker(column.type)(value)
            except (ValueError, TypeError, binascii.Error) as error:
                raise WireInvalid(f"{table.name}.{column.name}: {_shortened(value)} is no {column.type}") from error
    return checked if len(checked) < len(row) else row  # there may be hundreds of thousands: no second one in memory


def for_database(table: Table, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checked row as PostgreSQL reads it: the same, but bytes in its own hex spelling."""
    converted = {
        column.name: _hex(row[column.name])
        for column in table.writable
        if column.type.removesuffix("[]") == "bytea" and row[column.name] is not None
    }
    return {**row, **converted} if converted else row


def key_text(table: Table, key: Mapping[str, Any]) -> tuple[str, ...]:
    """A key as the history spells it. Raises `KeyInvalid`."""
    if key.keys() != set(table.key_names):
        raise KeyInvalid(f"{table.name} has the key {', '.join(table.key_names)}")
    return tuple(history_text(column, key[column.name]) for column in table.key)


def history_text(column: Column, value: Any) -> str:
    """The text PostgreSQL prints for a key's value, which is how the capture triggers spell it. Raises `KeyInvalid`.

    Where several spellings mean the same value, `readable` has the last word.
    """
    try:
        value = _checker(column.type)(value)
    except (ValueError, TypeError, binascii.Error) as error:
        raise KeyInvalid(f"{_shortened(value)} is no {column.type}") from error
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if column.type == "uuid":
        return str(value).lower()
    if column.type.startswith("character("):
        return str(value).rstrip(" ")
    if column.type.startswith("timestamp") and column.type.endswith(" time zone"):
        # The wire has six fraction digits and Z, PostgreSQL prints neither trailing zeros nor a letter.
        moment, zone = str(value).replace("T", " ").removesuffix("Z"), "+00" if str(value).endswith("Z") else ""
        return (moment.rstrip("0").rstrip(".") if "." in moment else moment) + zone
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


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


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
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


def _hex(value: Any) -> Any:
    return [_hex(item) for item in value] if isinstance(value, list) else _hex_of(value)


def _hex_of(value: str | None) -> str | None:
    return None if value is None else "\\x" + _bytes(value).hex()


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
    JSON: _text,
}


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
