"""One outage: begun in the middle of exchanges and builds, ended, and everything followed to its own end."""

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from tests.chaos.outages import application
from tests.chaos.outages.moment import PATIENCE, STEPS, UNDER_WAY, Moment
from tests.chaos.outages.office import LOOK_AGAIN
from tests.chaos.outages.oracle import Edits
from tests.chaos.outages.servers import Kind, Name
from tests.chaos.outages.stand import NEW, Stand
from tests.chaos.outages.workplaces import Workplace

T = TypeVar("T")

_pausing = threading.Event()


@dataclass(frozen=True)
class Outage:
    """What was seen of it. `ended_after`: seconds from the end of the fault until nothing was under way any more."""

    server: Name
    kind: Kind
    exchanges: int
    failed: Counter[str]
    edits: Edits
    builds: Counter[str]
    repeated: Counter[str]
    ended_after: float

    def __str__(self) -> str:
        edits = self.edits
        return (
            f"{self.server:20} {self.kind:7} {self.exchanges} exchanges, {edits.made} edits: {edits.in_force} in force,"
            f" {edits.problems} problems; packages {_told(self.builds)}; all ended after {self.ended_after:5.1f} s;"
            f" failed attempts {_told(self.failed)}; repeated requests {_told(self.repeated)}"
        )


def endure(stand: Stand, server: Name, kind: Kind, seconds: float) -> Outage:
    """The server is out for `seconds` in the middle of an exchange of every workplace and of several builds."""
    mark = f"{server} {kind}"
    application.change_many(stand.application_url)
    notes = [note for workplace in stand.workplaces for note in workplace.edit(mark)]
    running = ExitStack()
    with ThreadPoolExecutor(2 * len(stand.workplaces)) as people, Moment() as moment, running:
        places = [STEPS[workplace.number // 2 % len(STEPS)] for workplace in stand.workplaces]
        exchanges = [
            people.submit(_exchange, workplace, moment, place)
            for workplace, place in zip(stand.workplaces, places, strict=True)
        ]
        moment.wait_until_held(sum(place != UNDER_WAY for place in places))
        builds = [people.submit(stand.office.create, f"{mark} {n}", _organisation(n)) for n in range(NEW - 1)]
        builds += [people.submit(stand.office.reissue, identity) for identity in stand.spare]
        with application.held_up(stand.application_url) as go_on:
            moment.go()
            application.wait_until_messages_wait(stand.application_url)
            running.enter_context(stand.servers.out(server, kind))
            go_on()  # where the application's database is there, these messages are applied, and nobody is told
        with running:
            moment.began.set()
            builds.append(people.submit(stand.office.create, f"{mark}, meanwhile", _organisation(NEW)))
            _pausing.wait(seconds)  # the outage itself
        over = monotonic()
        failed = _all(exchanges, over)
        built = _all(builds, over)
        _until_nothing_hangs(stand, over)
    ended_after = monotonic() - over
    return Outage(
        server,
        kind,
        len(exchanges),
        sum(failed, Counter()),
        stand.oracle.edits(notes),
        Counter(build.last["state"] for build in built),
        sum((build.failed for build in built), Counter()),
        ended_after,
    )


def _exchange(workplace: Workplace, moment: Moment, place: str) -> Counter[str]:
    if place == UNDER_WAY:
        moment.wait_for_go()
    return workplace.exchange_until_done(moment.held_at(place))


def _organisation(number: int) -> str:
    return application.organisation_of(number)


def _all(running: list[Future[T]], since: float) -> list[T]:
    return [each.result(timeout=max(since + PATIENCE - monotonic(), 0)) for each in running]


def _until_nothing_hangs(stand: Stand, since: float) -> None:
    while hanging := stand.oracle.hanging():
        assert monotonic() < since + PATIENCE, f"not ended: {hanging}"
        _pausing.wait(LOOK_AGAIN)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
