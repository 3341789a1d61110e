"""What a person types into a cell, as the replica spells it. Money never passes through a float."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from uuid import UUID

from shared.protocol import values
from shared.protocol.values import Replica, canonical_json, kind
from workplace.engine.failures import WrongValue
from workplace.engine.layout import Column

_RANGES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
# As many digits as PostgreSQL's numeric can have.
_EXACT = Context(prec=147_455)
_YES = {"true", "t", "yes", "y", "1", "on", "да", "истина", "иә", "ия"}
_NO = {"false", "f", "no", "n", "0", "off", "нет", "ложь", "жоқ"}


def parse(column: Column, text: str) -> Replica:
    """The value of a cell; an empty text is NULL where the column is not text. Raises WrongValue `wrong_value`,
    `too_long`, `too_many_digits`."""
    family = kind(column.type)
    name = column.type.partition("(")[0].strip()
    if text == "" and not (family == values.TEXT and _is_text(name)):
        return None
    reader = _READERS.get(name) or _FAMILIES.get(family, _text)
    try:
        return reader(column, text)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise WrongValue("wrong_value", text, column=column.name, type=column.type) from error


def _is_text(name: str) -> bool:
    return name in {"text", "character varying", "character", "citext", "name"}


def _integer(column: Column, text: str) -> int:
    number = int(text.replace(" ", ""))
    bound = _RANGES.get(column.type, 2**63)
    if not -bound <= number < bound:
        raise ValueError(text)
    return number


def _numeric(column: Column, text: str) -> str:
    spelt = text.replace(" ", "").replace("\u00a0", "").replace("_", "")
    if "." not in spelt and spelt.count(",") == 1:
        spelt = spelt.replace(",", ".")
    number = _EXACT.create_decimal(spelt)
    if not number.is_finite():
        raise ValueError(text)
    number = number or abs(number)  # PostgreSQL has no −0
    limits = re.search(r"\((\d+),(-?\d+)\)", column.type)
    if limits is None:
        return f"{number:f}"
    precision, scale = int(limits[1]), int(limits[2])
    beyond = _EXACT.compare(abs(number), Decimal(1).scaleb(precision - scale)) >= 0
    if beyond or number != number.quantize(Decimal(1).scaleb(-scale), context=_EXACT):
        raise WrongValue("too_many_digits", text, column=column.name, type=column.type)
    return f"{number:.{max(scale, 0)}f}"


def _float(_: Column, text: str) -> Replica:
    return values.from_wire("double precision", text.replace(",", "."))


def _boolean(_: Column, text: str) -> int:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise ValueError(text)
    return int(word in _YES)


def _bytea(_: Column, text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _json(_: Column, text: str) -> str:
    return json.dumps(json.loads(text), ensure_ascii=False)


def _array(_: Column, text: str) -> str:
    elements = json.loads(text)
    if not isinstance(elements, list):
        raise TypeError(text)
    return canonical_json(elements)


def _date(_: Column, text: str) -> str:
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text.strip()):
        return date(int(found[3]), int(found[2]), int(found[1])).isoformat()
    return date.fromisoformat(text.strip()).isoformat()


def _time(_: Column, text: str) -> str:
    moment = time.fromisoformat(text.strip())
    return moment.isoformat()


def _timestamp(_: Column, text: str) -> str:
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _timestamptz(_: Column, text: str) -> str:
    """Without a zone the computer's own is meant."""
    return datetime.fromisoformat(text.strip()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _uuid(_: Column, text: str) -> str:
    return str(UUID(text.strip()))


def _text(column: Column, text: str) -> str:
    limit = re.fullmatch(r"(character varying|character)\((\d+)\)", column.type)
    if limit and len(text) > int(limit[2]):
        raise WrongValue("too_long", text, column=column.name, type=column.type)
    return text.ljust(int(limit[2])) if limit and limit[1] == "character" else text


Reader = Callable[[Column, str], Replica]

_FAMILIES: dict[str, Reader] = {
    values.INTEGER: _integer,
    values.NUMERIC: _numeric,
    values.REAL: _float,
    values.DOUBLE: _float,
    values.BOOLEAN: _boolean,
    values.BYTEA: _bytea,
    values.JSON: _json,
    values.ARRAY: _array,
}
_READERS: dict[str, Reader] = {
    "date": _date,
    "time without time zone": _time,
    "timestamp without time zone": _timestamp,
    "timestamp with time zone": _timestamptz,
    "uuid": _uuid,
}
