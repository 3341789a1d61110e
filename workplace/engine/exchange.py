"""One exchange: open, push, pull, prove, complete (protocol.md, Exchange)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from workplace.engine import outbox, problems, push, ranges, repair, unsent, verify
from workplace.engine.apply import Schema, take_passed
from workplace.engine.clock import now_text
from workplace.engine.failures import Cancelled, Failure, ServiceRefused
from workplace.engine.lock import ExchangeLock
from workplace.engine.pull import pull
from workplace.engine.push import Sent
from workplace.engine.replica import Replica
from workplace.engine.service import LONG, PROGRAM, Service

# progress(step, done, total): `open`, `push`, `download` (bytes), `apply`, `verify`, `complete`. What it raises ends
# the exchange at a point where everything done stays done; raise Cancelled to stop.
Progress = Callable[[str, int, int], None]


@dataclass
class Outcome:
    """What an exchange did. `verified` is None when nothing could be said, or nothing was compared (`proved` False).

    `differing`: buckets by table that the first comparison found; `repair`: the record of their repair (see `repair`).
    """

    idle: bool = False
    sent: Sent | None = None
    put: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    problems: int = 0
    resync: str | None = None
    reset: bool = False
    schema: str | None = None
    proved: bool = False
    verified: bool | None = None
    differing: dict[str, list[int]] = field(default_factory=dict)
    repair: dict[str, Any] | None = None
    next_exchange_in: int | None = None


def synchronise(
    replica: Replica, service: Service, replica_id: str, progress: Progress, *, prove: bool | None = None
) -> Outcome:
    """Runs one exchange; notes its result as `last_exchange` in the replica.

    `prove` compares digests at its end; None: when the replica's own setting says that it is time (`verify.is_due`).
    What differs is repaired at once by a second exchange, which compares again. Raises Busy when one is running,
    NoConnection, ServiceRefused, UnexpectedAnswer, Cancelled; whatever is raised, the next exchange continues where
    this one stood.
    """
    with ExchangeLock(replica.path):
        proving = verify.is_due(replica) if prove is None else prove
        outcome = _noted(replica, service, replica_id, progress, prove=proving)
        if not outcome.differing:
            return outcome
        return _joined(outcome, _noted(replica, service, replica_id, progress, prove=True))


def _noted(replica: Replica, service: Service, replica_id: str, progress: Progress, *, prove: bool) -> Outcome:
    started = now_text()
    try:
        outcome = _exchange(replica, service, replica_id, progress, prove=prove)
    except Failure as error:
        replica.remember("last_attempt", {"started_at": started, "finished_at": now_text(), "result": error.code})
        raise
    finished = {
        "started_at": started,
        "finished_at": now_text(),
        "result": "idle" if outcome.idle else "done",
        "sent": outcome.sent.aggregates if outcome.sent else 0,
        "received": sum(outcome.put.values()) + sum(outcome.removed.values()),
        "problems": outcome.problems,
        "verified": outcome.verified,
    }
    replica.remember("last_exchange", finished)
    replica.remember("last_attempt", finished)
    replica.remember("next_exchange_in", outcome.next_exchange_in)
    if outcome.proved:
        verify.note_proof(replica, verified=outcome.verified, differing=sorted(outcome.differing))
    return outcome


def _joined(first: Outcome, second: Outcome) -> Outcome:
    """The two exchanges of a repair as one: what the first found, what both moved, what the second proved."""
    sent, more = first.sent, second.sent
    if sent and more:
        first.sent = replace(
            more,
            counts={name: sent.counts.get(name, 0) + more.counts.get(name, 0) for name in sent.counts | more.counts},
            problems=sent.problems + more.problems,
            aggregates=sent.aggregates + more.aggregates,
            local_problems=sent.local_problems + more.local_problems,
        )
    for mine, theirs in ((first.put, second.put), (first.removed, second.removed)):
        for table, count in theirs.items():
            mine[table] = mine.get(table, 0) + count
    first.problems += second.problems
    first.resync, first.reset = first.resync or second.resync, first.reset or second.reset
    first.schema = second.schema or first.schema
    first.verified, first.repair, first.next_exchange_in = second.verified, second.repair, second.next_exchange_in
    return first


def _exchange(replica: Replica, service: Service, replica_id: str, progress: Progress, *, prove: bool) -> Outcome:
    take_passed(replica)
    progress("open", 0, 1)
    opened = service.call("POST", "/exchanges", opening(replica, replica_id, prove=prove), timeout=LONG)
    answer = opened.document
    if answer.get("idle"):
        with replica.writing():
            replica.put("position", answer["position"])
        return Outcome(idle=True, next_exchange_in=answer.get("next_exchange_in"))
    resync = answer.get("resync") or {}
    if answer.get("ranges") or resync:
        with replica.writing() as connection:
            ranges.lease(connection, answer.get("ranges") or {}, afresh=bool(resync))
    outcome = Outcome(resync=resync.get("reason"))
    exchange = str(answer["id"])
    try:
        _both_ways(replica, service, exchange, answer, outcome, progress, prove=prove)
    except (Cancelled, KeyboardInterrupt):
        _abandon(service, exchange)
        raise
    return outcome


def opening(replica: Replica, replica_id: str, *, prove: bool) -> dict[str, Any]:
    """The body of `POST /exchanges`."""
    connection = replica.connection
    waiting = outbox.held(connection)
    document = {
        "replica_id": replica_id,
        "configuration": replica.get("configuration"),
        "version": replica.get("version"),
        "generation": replica.get("generation"),
        "position": replica.get("position"),
        "scope_version": replica.get("scope_version"),
        "last_message": int(replica.get("last_message", 0) or 0),
        "sending": waiting[0] if waiting else None,
        "pending": unsent.count_unsent(connection),
        "program": PROGRAM,
    }
    if free := ranges.free(connection):
        document["free"] = free
    if prove:
        document["verify"] = True
    return document


def _both_ways(
    replica: Replica,
    service: Service,
    exchange: str,
    answer: Mapping[str, Any],
    outcome: Outcome,
    progress: Progress,
    *,
    prove: bool,
) -> None:
    resync = answer.get("resync")
    if resync and not resync.get("upload_first"):
        sent = Sent(next_message=int(answer["next_message"]))
    else:
        sent = push.push(replica, service, exchange, answer, progress)
    outcome.sent = sent
    outcome.problems = sent.problems + sent.local_problems
    schema = None
    if told := answer.get("schema"):
        schema = Schema(service.text(str(told["url"])), sent.next_message)
        outcome.schema = str(told["version"])
    received, digests = pull(
        replica, service, exchange, digests="tables" if prove else None, schema=schema,
        last_message=sent.next_message - 1, progress=progress,
    )  # fmt: skip
    outcome.reset = received.reset
    received.onto(outcome.put, outcome.removed)
    lines, outcome.proved = received.lines, prove
    if prove and digests is not None:
        lines += _prove(replica, service, exchange, digests, sent, outcome, progress)
    with replica.writing():
        outcome.repair = repair.record(replica, received.found, now_text(), equal=outcome.verified)
    _complete(replica, service, exchange, lines, outcome, progress)


def _prove(
    replica: Replica,
    service: Service,
    exchange: str,
    digests: Mapping[str, Any],
    sent: Sent,
    outcome: Outcome,
    progress: Progress,
) -> int:
    """Compares; what differs is narrowed to buckets with a second, finer statement. Returns lines received for that."""
    take_passed(replica)
    progress("verify", 0, 1)
    differing = verify.differing_tables(replica, digests)
    if differing is None:
        return 0
    if not differing:
        outcome.verified = True
        return 0
    received, finer = pull(
        replica, service, exchange, digests="buckets", schema=None, last_message=sent.next_message - 1,
        progress=progress,
    )  # fmt: skip
    received.onto(outcome.put, outcome.removed)
    found = verify.differing_buckets(replica, finer or {})
    if found is not None:
        outcome.verified, outcome.differing = not found, found
    return received.lines


def _complete(
    replica: Replica, service: Service, exchange: str, lines: int, outcome: Outcome, progress: Progress
) -> None:
    progress("complete", 0, 1)
    document: dict[str, Any] = {"position": replica.get("position"), "applied": lines}
    if outcome.verified is not None:
        document["verified"] = outcome.verified
    if outcome.differing:
        document["differing"] = outcome.differing
    if outcome.repair:
        document["repaired"] = outcome.repair["rows"]
    try:
        answer = service.call("POST", f"/exchanges/{exchange}/completion", document).document
    except ServiceRefused as error:
        if error.code != "exchange_over":
            raise
        return  # completed before, and the answer was lost: everything is stored on both sides
    if outcome.differing:
        repair.note_differing(replica, outcome.differing, now_text())
    outcome.next_exchange_in = answer.get("next_exchange_in")
    progress("complete", 1, 1)


def _abandon(service: Service, exchange: str) -> None:
    """A courtesy: the next opening ends it anyway."""
    try:
        service.call("DELETE", f"/exchanges/{exchange}", timeout=5, once=True)
    except Failure as error:
        raise Cancelled("cancelled") from error


def fetch_problems(replica: Replica, service: Service) -> list[dict[str, Any]]:
    """The service's own list for this workplace; what people decided or reopened there is settled or open here too."""
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        mark = f"&after={after}" if after else ""
        page = service.call("GET", f"/workplaces/{replica.get('workplace')}/problems?limit=200{mark}").document
        items += page.get("items") or []
        after = page.get("next")
        if not after:
            break
    with replica.writing() as connection:
        problems.settle(connection, [(str(item["id"]), item.get("state") == "open") for item in items])
    return items


def comment_on_problem(service: Service, problem: str, text: str) -> None:
    """Tells the service what the person says about a problem; once, however often it is sent."""
    service.call("POST", f"/problems/{problem}/comments", {"text": text}, idempotency_key=uuid4().hex)
