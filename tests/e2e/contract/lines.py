"""Lines of messages written by hand."""

from typing import Any
from uuid import uuid4

from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Json

STAMP = {"edited_at": "2026-01-01T00:00:00.000000Z", "edited_by": "tester"}


def put(workplace: Workplace, table: str, key: Json, seq: int = 1, **change: Any) -> Json:
    """An edit of what stands in the replica: these columns become these values."""
    was = workplace.current(table, key)
    assert was is not None
    return {
        "seq": seq,
        "table": table,
        "key": key,
        "op": "put",
        "base": workplace.state("position"),
        "row": {**was, **change},
        "before": {name: was[name] for name in change},
        "parts": {},
        "parts_before": {},
        **STAMP,
    }


def new(workplace: Workplace, table: str, key: Json, seq: int = 1, parts: Json | None = None, **values: Any) -> Json:
    """A new aggregate; columns that are not given are null, booleans and amounts have their defaults."""
    row: Json = {}
    for name, column in workplace.columns(table).items():
        if not column["generated"]:
            row[name] = {"boolean": False}.get(column["type"]) if column["nullable"] else DEFAULTS.get(name)
    every: Json = {part: [] for part in workplace.parts(table)}
    return {
        "seq": seq,
        "table": table,
        "key": key,
        "op": "put",
        "base": None,
        "row": {**row, **values, **key},
        "before": {},
        "parts": {**every, **(parts or {})},
        "parts_before": {},
        **STAMP,
    }


DEFAULTS: Json = {"paid": False, "discount": "0", "net": "0", "price": "0"}


def delete(workplace: Workplace, table: str, key: Json, seq: int = 1) -> Json:
    (value, *_) = key.values()
    return {
        "seq": seq,
        "table": table,
        "key": key,
        "op": "delete",
        "base": workplace.state("position"),
        "before": workplace.current(table, key),
        "parts_before": {p: workplace._lines(p, c, {c: value}) for p, c in workplace.parts(table).items()},
        **STAMP,
    }


def task(organisation: str, **more: Any) -> Json:
    return {"id": str(uuid4()), "organisation_id": organisation, "title": "t", "done": False, **more}


def new_task(workplace: Workplace, organisation: str, seq: int = 1, **more: Any) -> Json:
    values = task(organisation, **more)
    return new(workplace, "tasks", {"id": values.pop("id")}, seq, **values)


def order_line(order: str, item: int = 1, **more: Any) -> Json:
    values = {"id": str(uuid4()), "order_id": order, "position": 1, "item_id": item, "quantity": "1", "price": "1"}
    return {**values, **more}
