"""`problems`: conflicts, rejections and what could not be sent, both versions side by side."""

import json
from typing import Any

from workplace.engine import problems
from workplace.engine.exchange import comment_on_problem, fetch_problems
from workplace.engine.failures import NoConnection, ServiceRefused, WrongValue
from workplace.engine.problems import Problem
from workplace.terminal.desk import Desk

_DECISIONS = ("accepted", "rejected")


def run_problems(desk: Desk) -> int:
    """What is known here and, where the service is reached, what it keeps; or settles one, or comments on it."""
    arguments, replica, text = desk.arguments, desk.replica, desk.text
    if arguments.comment is not None:
        return _comment(desk, *arguments.comment)
    for told, settle, said in (
        (arguments.again, problems.send_again, "problems.again"),
        (arguments.seen, problems.set_aside, "problems.seen"),
    ):
        if told is not None:
            with replica.writing() as connection:
                done = settle(connection, told)
            if not done:
                raise WrongValue("unknown_problem", str(told))
            desk.screen.say(text(said, id=told))
            return 0
    at_service = _at_service(desk)
    known = problems.open_problems(replica.connection)
    local_ids = {problem.problem for problem in known if problem.problem}
    others = [item for item in at_service if item.get("state") == "open" and str(item["id"]) not in local_ids]
    if arguments.json:
        shown = [vars(problem) for problem in known] + others
        desk.screen.say(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    told = {str(item["id"]): item for item in at_service}
    for problem in known:
        _show(desk, problem, told.get(problem.problem or "", {}))
    for item in others:
        _show(desk, _from_service(item), item)
    if not known and not others:
        desk.screen.say(text("problems.none"))
    return 0


def _comment(desk: Desk, told: str, words: str) -> int:
    """To the service, for a problem by its number here or by its id there."""
    numbered = {str(problem.id): problem.problem for problem in problems.open_problems(desk.replica.connection)}
    problem = numbered.get(told) if told.isdigit() else told
    if problem is None:
        raise WrongValue("unknown_problem", told)
    service = desk.service()
    if service.token is None:
        desk.sign_in(service)
    comment_on_problem(service, problem, words)
    desk.screen.say(desk.text("problems.commented", id=told))
    return 0


def _at_service(desk: Desk) -> list[dict[str, Any]]:
    """The service's list; empty, with a word about it, when it is not reached."""
    service = desk.service()
    if service.token is None:
        return []
    try:
        return fetch_problems(desk.replica, service)
    except NoConnection:
        desk.screen.complain(desk.text("problems.offline"))
    except ServiceRefused as error:
        desk.screen.complain(desk.text.failure(error))
    return []


def _from_service(item: dict[str, Any]) -> Problem:
    return Problem(
        id=0,
        problem=str(item["id"]),
        kind=str(item["kind"]),
        table=str(item["table"]),
        key=item["key"],
        code=str(item.get("code") or item["kind"]),
        detail=str(item.get("detail") or ""),
        pushed=item.get("pushed") or {},
        service=item.get("service"),
        created_at=str(item.get("created_at", "")),
    )


def _show(desk: Desk, problem: Problem, at_service: dict[str, Any]) -> None:
    screen, text = desk.screen, desk.text
    in_force = str(at_service.get("in_force", ""))
    key = ", ".join(f"{name}={value}" for name, value in problem.key.items())
    number = f"#{problem.id} " if problem.id else ""
    kind, code = text(f"problems.kind.{problem.kind}"), text.code(problem.code)
    screen.say(f"{number}{problem.table} {key} · {kind if problem.kind == problem.code else f'{kind}: {code}'}")
    if problem.detail:
        screen.say(f"  {problem.detail}")
    if in_force in {"service", "workplace"}:
        who = text("problems.service" if in_force == "service" else "problems.pushed")
        screen.say("  " + text("problems.in_force", who=who))
    for line in _told(desk, at_service):
        screen.say("  " + line)
    rows = _differences(desk, problem)
    if rows:
        screen.table([text("problems.column"), text("problems.pushed"), text("problems.service")], rows)
    screen.say()


def _told(desk: Desk, at_service: dict[str, Any]) -> list[str]:
    """What happened to the problem at the service: opened again, corrected from here, commented on."""
    text, told = desk.text, []
    decisions = [event for event in at_service.get("history") or [] if event["action"] in {*_DECISIONS, "reopened"}]
    if decisions and decisions[-1]["action"] == "reopened":
        told.append(text("problems.reopened", by=decisions[-1]["by"], at=decisions[-1]["at"]))
    if at_service.get("corrected_at"):
        told.append(text("problems.corrected", at=at_service["corrected_at"]))
    comments = at_service.get("comments") or []
    return told + [text("problems.said", by=said["by"], at=said["at"], text=said["text"]) for said in comments]


def _differences(desk: Desk, problem: Problem) -> list[list[str]]:
    """What differs between the versions: columns both hold, and lines of the part tables that were pushed."""
    ours, theirs = _cells(desk, problem.table, problem.pushed), _cells(desk, problem.table, problem.service or {})
    if not ours or not theirs:
        absent = desk.text("problems.not_known" if problem.service is None else "problems.removed")
        filled = [name for name, value in {**ours, **theirs}.items() if value]
        return [[name, ours.get(name, absent), theirs.get(name, absent)] for name in filled]
    touched = {*(problem.pushed.get("parts") or {})}
    names = [name for name in {**ours, **theirs} if name in ours or name.partition("[")[0] in touched]
    return [
        [name, ours.get(name, ""), theirs.get(name, "")] for name in names if ours.get(name, "") != theirs.get(name, "")
    ]


def _cells(desk: Desk, table: str, version: dict[str, Any]) -> dict[str, str]:
    """Columns of the root by name, lines by part table and key."""
    cells = {name: _spelt(value) for name, value in (version.get("row") or {}).items()}
    for part, lines in (version.get("parts") or {}).items():
        aggregate = desk.replica.layout.get(table)
        known = aggregate.part(part) if aggregate else None
        for place, line in enumerate(lines, 1):
            key = ", ".join(_spelt(line.get(name)) for name in known.table.key) if known else place
            cells |= {f"{part}[{key}].{name}": _spelt(value) for name, value in line.items()}
    return cells


def _spelt(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
