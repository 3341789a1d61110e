"""A message as it was pushed: lines of NDJSON, read and checked (protocol.md, Push)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shared.replication.blueprint import Blueprint
from shared.replication.history import is_wellformed
from shared.replication.model import Model, Root, Table
from shared.replication.problem import ProtocolProblem
from shared.replication.spelling import WireInvalid
from shared.replication.translate import Translation, translation
from shared.replication.wire_values import KeyInvalid, check_row, history_text, key_text

Row = Mapping[str, Any]

MAX_AGGREGATES = 20_000
MAX_DEPTH = 250
_FILLED = re.compile(rb"\S")


@dataclass
class Change:
    """One aggregate of a message. `key_text` is the key as the history spells it.

    `row`, `edited` (the columns to be set) and `parts` are what is to be written, a merge replaces them;
    `pushed_row` and `pushed_parts` stay as pushed.
    `rejection` is set as soon as a rule refuses the change: (code, detail). `translated`: it was written in another
    version, whose replicas may hold less than today's, or otherwise.
    """

    line: int
    seq: int
    table: str
    key: Row
    op: str
    base: str | None
    row: dict[str, Any] | None
    before: Row
    parts: dict[str, list[dict[str, Any]]]
    parts_before: Mapping[str, Sequence[Row]]
    edited_at: str | None
    edited_by: str | None
    key_text: tuple[str, ...] = ()
    root: Root | None = None
    rejection: tuple[str, str] | None = None
    edited: tuple[str, ...] = ()
    nameless: bool = False
    translated: bool = False

    def __post_init__(self) -> None:
        self.edited = tuple(self.before)
        self.pushed_row = self.row
        self.pushed_parts = dict(self.parts)

    def reject_key(self, root: Root, detail: str) -> None:
        """The key names nothing: the change is refused, and the replica is to remove what it holds under it."""
        self.rejection = ("invalid_value", f"`key`: {detail}")
        self.root, self.key_text = None, ()
        self.nameless = self.key.keys() == set(root.table.key_names)

    @property
    def known(self) -> Root:
        """The aggregate's description; only for changes that were not refused as unknown."""
        assert self.root is not None
        return self.root


_FIELDS: Mapping[str, tuple[type, ...]] = {
    "seq": (int,),
    "table": (str,),
    "key": (dict,),
    "op": (str,),
    "base": (str, type(None)),
    "row": (dict, type(None)),
    "before": (dict, type(None)),
    "parts": (dict, type(None)),
    "parts_before": (dict, type(None)),
    "edited_at": (str, type(None)),
    "edited_by": (str, type(None)),
}


def parse(model: Model, body: bytes | bytearray, version: str, former: Blueprint | None = None) -> list[Change]:
    """The changes of a message written in configuration `version`, in its order and in today's names.

    `former` is what replicas of that version are, if it is not today's and was ever in use here.

    Raises `ProtocolProblem` `invalid_body` (with `line`), `duplicate_key` or `message_too_large`: then nothing of the
    message can be applied. What is wrong with one aggregate alone becomes its `rejection`.
    """
    translate = translation(model, version, former)
    changes: list[Change] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for number, line in _lines(body):
        if len(changes) == MAX_AGGREGATES:
            raise ProtocolProblem("message_too_large", 413, f"A message holds at most {MAX_AGGREGATES} aggregates.")
        change = _read(model, number, line, translate)
        if change.key_text:
            if (change.table, change.key_text) in seen:
                raise ProtocolProblem(
                    "duplicate_key", 400, f"Line {number}: the key stands there a second time.", line=number
                )
            seen.add((change.table, change.key_text))
        changes.append(change)
    return changes


def _lines(body: bytes | bytearray) -> Iterator[tuple[int, memoryview]]:
    """The lines that are not blank, by number; no byte is copied."""
    view = memoryview(body)
    begin = number = 0
    while begin < len(body):
        number += 1
        end = body.find(b"\n", begin)
        end = len(body) if end < 0 else end
        if _FILLED.search(body, begin, end):
            yield number, view[begin:end]
        begin = end + 1


def _is_deep(document: dict[str, Any]) -> bool:
    """Whether it is nested so deep that nobody after us could read it either."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def _invalid(number: int, detail: str) -> ProtocolProblem:
    return ProtocolProblem("invalid_body", 400, f"Line {number}: {detail}", line=number)


def _read(model: Model, number: int, line: memoryview, translate: Translation | None) -> Change:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _invalid(number, f"not a JSON document ({error})") from error
    if not isinstance(document, dict):
        raise _invalid(number, "not a JSON object")
    if _is_deep(document):
        raise _invalid(number, f"nested more than {MAX_DEPTH} deep")
    _check_fields(number, document)
    if document["op"] not in {"put", "delete"}:
        raise _invalid(number, f"unknown op {document['op'][:20]!r}")
    if not document["key"]:
        raise _invalid(number, "`key` is empty")
    if document["op"] == "put" and document.get("row") is None:
        raise _invalid(number, "a put has a `row`")
    if not is_wellformed(document.get("base")):
        raise _invalid(number, "`base` is no position")
    if translate:
        translate(document)
    change = Change(
        line=number,
        seq=document["seq"],
        table=document["table"],
        key=document["key"],
        op=document["op"],
        base=document.get("base"),
        row=document.get("row") if document["op"] == "put" else None,
        before=document.get("before") or {},
        parts=document.get("parts") or {},
        parts_before=document.get("parts_before") or {},
        edited_at=document.get("edited_at"),
        edited_by=document.get("edited_by"),
        translated=translate is not None,
    )
    _check(model, change, number)
    return change


def _check_fields(number: int, document: Mapping[str, Any]) -> None:
    for name, types in _FIELDS.items():
        value = document.get(name)
        if not isinstance(value, types) or isinstance(value, bool) or (isinstance(value, str) and "\x00" in value):
            raise _invalid(number, f"`{name}` is missing or of the wrong type")
    if not 0 <= document["seq"] < 2**63:
        raise _invalid(number, "`seq` is no number of a change")
    try:
        datetime.fromisoformat(document.get("edited_at") or "0001-01-01")
    except ValueError as error:
        raise _invalid(number, "`edited_at` is no time") from error


def _check(model: Model, change: Change, number: int) -> None:
    """Everything that can be said of a change without the database."""
    root = model.root.get(change.table)
    if root is None:
        change.rejection = ("unknown_table", f"The application synchronises no table {change.table}.")
        return
    if change.key.keys() != set(root.table.key_names) and not change.translated:
        raise _invalid(number, f"`key`: {change.table} has the key {', '.join(root.table.key_names)}")
    try:
        change.key_text = key_text(root.table, change.key)
    except KeyInvalid as error:
        change.reject_key(root, str(error))
        return
    change.root = root
    if root.access == "read_only":
        change.rejection = ("read_only", f"{change.table} is only read offline.")
        return
    change.edited = tuple(name for name in change.before if name in root.table.by_name)
    try:
        check_rows(root, change)
    except (WireInvalid, KeyInvalid) as error:
        change.rejection = ("invalid_value", str(error))


def check_rows(root: Root, change: Change) -> None:
    """Check a change's rows and lines by their types, and leave only what may be written.

    Raises `WireInvalid` or `KeyInvalid`.
    """
    if change.row is not None:
        change.row = check_row(root.table, change.row)
        if key_text(root.table, {name: change.row[name] for name in root.table.key_names}) != change.key_text:
            raise WireInvalid("the key in `row` is not `key`")
    known = {part.name: part for part in root.parts}
    for table, lines in change.parts.items():
        if table not in known or not isinstance(lines, list):
            raise WireInvalid(f"{table} is no part of {root.name}")
        change.parts[table] = [check_row(known[table], line) for line in lines]
        _check_lines(change, known[table])
    for table, were in change.parts_before.items():
        if not isinstance(were, list) or not all(isinstance(line, dict) for line in were):
            raise WireInvalid(f"parts_before: {table} is no list of lines")


def _check_lines(change: Change, part: Table) -> None:
    lines = change.parts[part.name]
    keys = [key_text(part, {name: line[name] for name in part.key_names}) for line in lines]
    if len(set(keys)) != len(keys):
        raise WireInvalid(f"{part.name}: a line stands there twice")
    parent = part.by_name[part.parent or ""]
    if any(history_text(parent, line[parent.name]) != change.key_text[0] for line in lines):
        raise WireInvalid(f"{part.name}: a line belongs to another {change.table}")
