"""`activate`, `sync`, `verify`."""

from workplace.engine.exchange import Outcome, synchronise
from workplace.engine.failures import ServiceRefused
from workplace.engine.service import Service
from workplace.terminal.desk import Desk

OK, FAILED, PROBLEMS = 0, 1, 3


def run_activate(desk: Desk) -> int:
    """Claims the workplace for this computer."""
    desk.sign_in(desk.service())
    return OK


def run_sync(desk: Desk) -> int:
    """One exchange; 3 when conflicts or rejections came back."""
    outcome = _exchange(desk, prove=bool(desk.arguments.verify))
    return PROBLEMS if outcome.problems else OK


def run_verify(desk: Desk) -> int:
    """An exchange that compares; what differs is repaired by a second one. 1 when the copies are not proven equal."""
    outcome = _exchange(desk, prove=True)
    if outcome.differing:
        desk.screen.complain(desk.text("sync.repairing"))
        outcome = _exchange(desk, prove=True)
    if outcome.problems:
        return PROBLEMS
    return OK if outcome.verified else FAILED


def _exchange(desk: Desk, *, prove: bool) -> Outcome:
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
    _report(desk, outcome, prove=prove)
    return outcome


def _with_progress(desk: Desk, service: Service, *, prove: bool) -> Outcome:
    progress = desk.screen.progress()
    try:
        return synchronise(desk.replica, service, desk.home.credentials().replica_id, progress, prove=prove)
    finally:
        progress.close()


def _report(desk: Desk, outcome: Outcome, *, prove: bool) -> None:
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
    if prove:
        verdicts = {None: "sync.not_compared", True: "sync.equal", False: "sync.differs"}
        say(text(verdicts[outcome.verified], tables=", ".join(sorted(outcome.differing))))
    if outcome.problems:
        say(text("sync.problems", n=outcome.problems, command=f"yurt-workplace {text.commands['problems']}"))


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
