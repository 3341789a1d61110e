"""`edit`."""

import json
from typing import Literal

from workplace.engine import edit, records
from workplace.engine.edit import LineEdit
from workplace.engine.failures import WrongValue
from workplace.terminal.desk import Desk
from workplace.terminal.looking import cell, key_text


def run_edit(desk: Desk) -> int:
    """Creates, changes or deletes one aggregate."""
    arguments, replica = desk.arguments, desk.replica
    of = records.aggregate(replica, arguments.table)
    lines = _lines(desk)
    cells = dict(cell(desk, typed) for typed in [*(arguments.new or []), *arguments.cells])
    if arguments.new is not None:
        if arguments.key is not None:
            cells |= dict([cell(desk, arguments.key)])
        key, done = edit.create(replica, of, cells, lines), "edit.created"
    elif arguments.key is None or not (cells or lines or arguments.delete):
        raise WrongValue("wrong_value", desk.text("usage.nothing"))
    else:
        document = records.find(replica, of, arguments.key)
        key, done = document.key, "edit.deleted" if arguments.delete else "edit.changed"
        if arguments.delete:
            edit.delete(replica, document)
        else:
            edit.change(replica, document, cells, lines)
    if arguments.json:
        named = dict(zip(of.root.key, key, strict=True))
        desk.screen.say(json.dumps({"table": of.root.name, "key": named}, ensure_ascii=False))
    else:
        desk.screen.say(desk.text(done, table=of.root.name, key=key_text(key)))
        desk.screen.complain(desk.text("edit.waits"))
    return 0


def _lines(desk: Desk) -> list[LineEdit]:
    arguments = desk.arguments
    removed = [_line(desk, "remove", words) for words in arguments.remove]
    changed = [_line(desk, "change", words) for words in arguments.line]
    return removed + changed + [_line(desk, "add", words) for words in arguments.add]


def _line(desk: Desk, action: Literal["add", "change", "remove"], words: list[str]) -> LineEdit:
    part, *rest = words
    if action == "add":
        return LineEdit(action, part, "", dict(cell(desk, word) for word in rest))
    if not rest or (action == "change") != (len(rest) > 1):
        raise WrongValue("wrong_key", " ".join(words))
    return LineEdit(action, part, rest[0], dict(cell(desk, word) for word in rest[1:]))
