"""`activate`, `sync`, `verify`."""

import re
from collections.abc import Mapping
from typing import Any

from workplace.engine import verify
from workplace.engine.exchange import Outcome, synchronise
from workplace.engine.failures import ServiceRefused, WrongValue
from workplace.engine.service import Service
from workplace.terminal.desk import Desk

OK, FAILED, PROBLEMS = 0, 1, 3


def run_activate(desk: Desk) -> int:
    """Claims the workplace for this computer."""
    desk.sign_in(desk.service())
    return OK


def run_sync(desk: Desk) -> int:
    """One exchange; 3 when conflicts or rejections came back. Compares when that was asked for, or is due."""
    outcome = _exchange(desk, prove=True if desk.arguments.verify else None)
    return PROBLEMS if outcome.problems else OK


def run_verify(desk: Desk) -> int:
    """An exchange that compares, and repairs at once what differs. 1 when the copies are not proven equal.

    With `--every` it only stores how often exchanges are to compare by themselves.
    """
    if desk.arguments.every is not None:
        return _set_schedule(desk, desk.arguments.every)
    outcome = _exchange(desk, prove=True)
    if outcome.problems:
        return PROBLEMS
    return OK if outcome.verified else FAILED


def _set_schedule(desk: Desk, told: str) -> int:
    hours = {"exchange": 0.0, "never": None}[told] if told in {"exchange", "never"} else _hours(told)
    verify.set_hours_between(desk.replica, hours)
    desk.screen.say(schedule(desk, hours))
    return OK


def _hours(told: str) -> float:
    if not re.fullmatch(r"\d{1,4}([.,]\d{1,4})?", told):
        raise WrongValue("wrong_schedule", told)
    return float(told.replace(",", "."))


def schedule(desk: Desk, hours: float | None) -> str:
    """How often exchanges compare by themselves, in words."""
    if hours is None:
        return desk.text("verify.never")
    return desk.text("verify.every", hours=f"{hours:g}") if hours else desk.text("verify.each")


def _exchange(desk: Desk, *, prove: bool | None) -> Outcome:
    service = desk.service()
    signed_in = service.token is None
    if signed_in:
        desk.sign_in(service)
    try:
        outcome = _with_progress(desk, service, prove=prove)
    except ServiceRefused as error:
        if error.status != 401 or signed_in:
            raise
        desk.sign_in(service)
        outcome = _with_progress(desk, service, prove=prove)
    _report(desk, outcome)
    return outcome


def _with_progress(desk: Desk, service: Service, *, prove: bool | None) -> Outcome:
    progress = desk.screen.progress()
    try:
        return synchronise(desk.replica, service, desk.home.credentials().replica_id, progress, prove=prove)
    finally:
        progress.close()


def _report(desk: Desk, outcome: Outcome) -> None:
    say, text = desk.screen.say, desk.text
    if outcome.idle:
        say(text("sync.idle"))
        return
    _report_unusual(desk, outcome)
    if outcome.sent is not None:
        counts = {name: outcome.sent.counts.get(name, 0) for name in ("applied", "merged", "conflict", "rejected")}
        say(text("sync.sent", total=outcome.sent.aggregates, **counts))
        if outcome.sent.local_problems:
            say(text("sync.local", n=outcome.sent.local_problems))
    say(text("sync.received", put=sum(outcome.put.values()), removed=sum(outcome.removed.values())))
    if outcome.differing:
        say(text("sync.differed", tables=", ".join(sorted(outcome.differing))))
    if outcome.repair:
        for line in repaired_rows(desk, outcome.repair):
            say(line)
    if outcome.proved:
        verdicts = {None: "sync.not_compared", True: "sync.equal", False: "sync.differs"}
        say(text(verdicts[outcome.verified], tables=", ".join(sorted(outcome.differing))))
    if outcome.problems:
        say(text("sync.problems", n=outcome.problems, command=f"yurt-workplace {text.commands['problems']}"))


def repaired_rows(desk: Desk, repair: Mapping[str, Any]) -> list[str]:
    """What a repair found, a line per table."""
    rows = {table: repair["rows"].get(table) for table in sorted({*repair["tables"], *repair["rows"]})}
    return [
        desk.text("sync.repaired", table=table, **found) if found else desk.text("sync.repaired_nothing", table=table)
        for table, found in rows.items()
    ]


def _report_unusual(desk: Desk, outcome: Outcome) -> None:
    say, text = desk.screen.say, desk.text
    if outcome.resync:
        reasons = {"generation", "too_old", "reissued", "replica_is_older", "schema"}
        key = f"sync.resync.{outcome.resync}" if outcome.resync in reasons else "sync.resync"
        say(text(key, reason=outcome.resync))
    if outcome.schema:
        say(text("sync.schema", version=outcome.schema))
    if outcome.reset:
        say(text("sync.reset"))
