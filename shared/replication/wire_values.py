"""Rows and keys as they come from a client, checked by the types of their columns."""

from collections.abc import Mapping
from typing import Any

from shared.replication.model import Column, Table
from shared.replication.spelling import WireInvalid, check_value, checked, shortened


class KeyInvalid(Exception):
    """A key that names no aggregate of its table."""


def check_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """The writable columns of a pushed row. Raises `WireInvalid` on a missing, unknown or ill-spelt one."""
    if not isinstance(row, dict):
        raise WireInvalid(f"{table.name}: a row is a JSON object")
    unknown = row.keys() - table.by_name.keys()
    if unknown:
        raise WireInvalid(f"{table.name} has no column {min(unknown)}")
    writable = {}
    for column in table.writable:
        if column.name not in row:
            raise WireInvalid(f"{table.name}.{column.name} is missing")
        writable[column.name] = row[column.name]
        try:
            check_value(column.type, row[column.name])
        except WireInvalid as error:
            raise WireInvalid(f"{table.name}.{column.name}: {error}") from error
    return writable if len(writable) < len(row) else row  # there may be hundreds of thousands: no second one in memory


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
        value = checked(column.type, value)
    except (ValueError, TypeError) as error:
        raise KeyInvalid(f"{shortened(value)} is no {column.type}") from error
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


def _hex(value: Any) -> Any:
    return [_hex(item) for item in value] if isinstance(value, list) else _hex_of(value)


def _hex_of(value: str | None) -> str | None:
    return None if value is None else "\\x" + checked("bytea", value).hex()
