"""`status`, `list`, `show`: nothing here needs the network."""

import json
from dataclasses import asdict
from datetime import datetime

from workplace.engine import records
from workplace.engine.failures import WrongValue
from workplace.engine.layout import Key, Row, Table
from workplace.engine.status import Status, read_status
from workplace.terminal.desk import Desk
from workplace.terminal.exchanging import repaired_rows
from workplace.terminal.screen import plain


def run_status(desk: Desk) -> int:
    """How this workplace stands."""
    status = read_status(desk.replica, desk.home)
    if desk.arguments.json:
        desk.screen.say(json.dumps(asdict(status), ensure_ascii=False, indent=2))
    else:
        desk.screen.pairs(_status_lines(desk, status))
    return 0


def _status_lines(desk: Desk, status: Status) -> list[tuple[str, str]]:
    text = desk.text
    lines = [
        (text("status.workplace"), f"{status.name} ({status.prefix})" if status.prefix else status.name),
        (text("status.application"), f"{status.application} ({status.configuration} {status.version})"),
        (text("status.service"), status.service),
        (text("status.login"), str(status.login) if status.activated else text("status.not_activated")),
        (text("status.created"), local_time(status.created_at)),
    ]
    last, attempt = status.last_exchange, status.last_attempt
    if last is None or status.age is None:
        lines.append((text("status.last"), text("never")))
    else:
        told = text(
            "status.last_text",
            when=local_time(last["finished_at"]),
            age=_age(desk, status.age),
            sent=last["sent"],
            received=last["received"],
        )
        lines.append((text("status.last"), told))
    if attempt and attempt["result"] not in {"done", "idle"}:
        failed = f"{local_time(attempt['finished_at'])}: {text.code(attempt['result'])}"
        lines.append((text("status.failed"), failed))
    lines.append((text("status.unsent"), str(status.unsent) if status.unsent else text("nothing")))
    lines.append((text("status.problems"), str(status.problems) if status.problems else text("nothing")))
    lines += _proof_lines(desk, status)
    if status.free_keys:
        free = ", ".join(f"{table} {count}" for table, count in sorted(status.free_keys.items()))
        lines.append((text("status.free"), free))
    return lines


def _proof_lines(desk: Desk, status: Status) -> list[tuple[str, str]]:
    text, proof, lines = desk.text, status.last_proof, []
    if proof:
        verdict = {None: "none", True: "equal", False: "differs"}[proof["verified"]]
        told = text(f"status.proof_{verdict}", when=local_time(proof["at"]), tables=", ".join(proof["differing"]))
        lines.append((text("status.proof"), told))
    if status.repairs:
        repair = status.repairs[-1]
        rows = "; ".join(line.strip() for line in repaired_rows(desk, repair))
        lines.append((text("status.repair"), f"{local_time(repair['repaired_at'])}: {rows}"))
    return lines


def run_list(desk: Desk) -> int:
    """The tables, or rows of one."""
    arguments, replica = desk.arguments, desk.replica
    if arguments.table is None:
        counts = records.count_rows(replica)
        if arguments.json:
            desk.screen.say(json.dumps(counts, ensure_ascii=False))
            return 0
        rows = [
            [name, str(count), desk.text("list.read_only") if replica.layout[name].access == "read_only" else ""]
            for name, count in counts.items()
        ]
        desk.screen.table([desk.text("list.tables"), desk.text("list.rows"), ""], rows)
        return 0
    table = _any_table(desk, arguments.table)
    where = dict(cell(desk, condition) for condition in arguments.where)
    found = records.list_rows(replica, table, where, arguments.limit + 1)
    more, found = len(found) > arguments.limit, found[: arguments.limit]
    names = [name.strip() for name in arguments.columns.split(",")] if arguments.columns else list(table.names)
    for name in names:
        records.column(table, name)
    if arguments.json:
        desk.screen.say(json.dumps([{name: plain(row)[name] for name in names} for row in found], ensure_ascii=False))
        return 0
    desk.screen.table(names, [[desk.screen.cell(table, name, row[name]) for name in names] for row in found])
    if more:
        desk.screen.complain(desk.text("list.more", n=arguments.limit))
    return 0


def run_show(desk: Desk) -> int:
    """One aggregate with its lines."""
    of = records.aggregate(desk.replica, desk.arguments.table)
    document = records.find(desk.replica, of, desk.arguments.key)
    if desk.arguments.json:
        lines = {name: [plain(line) for line in rows] for name, rows in document.parts.items()}
        shown = {"table": of.root.name, "row": plain(document.row), "parts": lines}
        desk.screen.say(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    show_row(desk, of.root, document.row)
    for part in of.parts:
        lines_of_part = document.parts[part.table.name]
        desk.screen.say(f"\n{part.table.name} ({len(lines_of_part)})")
        if lines_of_part:
            names = [name for name in part.table.names if name != part.parent]
            rows = [[desk.screen.cell(part.table, name, line[name]) for name in names] for line in lines_of_part]
            desk.screen.table(names, rows)
    return 0


def show_row(desk: Desk, table: Table, row: Row) -> None:
    """A row, a column per line."""
    desk.screen.pairs((name, desk.screen.cell(table, name, row[name])) for name in table.names)


def key_text(key: Key) -> str:
    """A key as a person types it."""
    return ",".join(str(value) for value in key)


def cell(desk: Desk, typed: str) -> tuple[str, str]:
    """`column=value` in two."""
    name, sign, value = typed.partition("=")
    if not sign or not name:
        raise WrongValue("wrong_value", desk.text("usage.cell", text=typed))
    return name.strip(), value


def local_time(text: str) -> str:
    """A wire time in this computer's zone, to the minute."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def _any_table(desk: Desk, name: str) -> Table:
    """A root's or a part's table."""
    for of in desk.replica.layout.values():
        part = of.part(name)
        if part is not None:
            return part.table
    return records.aggregate(desk.replica, name).root


def _age(desk: Desk, seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return desk.text(f"age.{unit}", n=int(seconds // size))
    return desk.text("age.seconds", n=int(seconds))
