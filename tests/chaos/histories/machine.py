"""What can happen in a history, one rule for each kind of event."""

import functools
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.chaos.histories.desk import Hands
from tests.chaos.histories.line import FAULTS
from tests.chaos.histories.world import AREAS, DESKS, SCOPES, Place, World

# Every class of accidents can be tried alone; people work and workplaces exchange in any case.
CLASSES = (
    "line", "kill", "open", "scope", "rights", "licence", "reissue", "folder", "copy", "database", "history", "clock",
    "decisions", "schema",
)  # fmt: skip

desks = st.integers(0, len(DESKS) - 1)
# A line with accidents here and there, and one that breaks down after some requests and stays so.
plans = st.lists(st.sampled_from([None, *FAULTS]), min_size=1, max_size=8) | st.builds(
    lambda good, fault: [*[None] * good, *[fault] * 8], st.integers(0, 6), st.sampled_from(FAULTS)
)
# Bytes, because Hypothesis prefers integers that it finds in our modules: with each change a seed would mean others.
chances = st.binary(min_size=6, max_size=6)


def _chosen() -> frozenset[str]:
    chosen = frozenset(filter(None, os.environ.get("YURT_FAULTS", ",".join(CLASSES)).split(",")))
    if unknown := chosen - set(CLASSES):
        raise ValueError(f"YURT_FAULTS: {', '.join(sorted(unknown))} is none of {', '.join(CLASSES)}")
    return chosen


# Those that YURT_FAULTS names, separated by commas; all of them when it does not.
CHOSEN = _chosen()


class Found(Exception):
    """A history found something; its steps, as they were."""


Step = Callable[..., None]


def written_down(function: Step) -> Step:
    """The step is written down, and so is what it found: the world is not as it was, so nothing is tried again."""

    @functools.wraps(function)
    def step(machine: "Histories", **arguments: Any) -> None:
        if machine.world.found:
            raise machine.world.found
        machine.story.append(f"{function.__name__}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})")
        try:
            function(machine, **arguments)
        except Exception as error:
            machine.world.found = Found("\n".join([f"history {machine.nth}: {error!r}", *machine.story]))
            raise machine.world.found from error

    return step


def every_day(**arguments: Any) -> Callable[[Step], Step]:
    """A rule that is always there; every one draws a `chance` for whatever else it needs."""
    drawn: Any = rule(chance=chances, **arguments)
    return lambda function: cast("Step", drawn(written_down(function)))


def of(kind: str, **arguments: Any) -> Callable[[Step], Step]:
    """A rule of this class of accidents."""
    limited: Any = precondition(lambda machine: kind in CHOSEN)
    return lambda function: cast("Step", limited(every_day(**arguments)(function)))


class Histories(RuleBasedStateMachine):
    """One history after the other in `world`; `lengths` counts the steps of each."""

    world: World
    lengths: Counter[int]

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.nth = sum(self.lengths.values()) + 1
        self.story: list[str] = []

    @initialize()
    @written_down
    def begin(self) -> None:
        self.world.begin()

    def meanwhile(self, chance: bytes) -> random.Random:
        """Before anything happens people have worked: in the cloud and offline."""
        self.steps += 1
        rng, world = random.Random(chance), self.world
        for _ in range(rng.randrange(4)):
            if rng.random() < 0.5:
                world.bazaar.edit(world.ledger, rng.choice(sorted(AREAS.values())), rng)
            else:
                rng.choice(world.places).desk.edit(world.ledger, rng, world.bazaar.seen_so_far())
        return rng

    def something_to_send(self, place: Place, rng: random.Random) -> None:
        place.desk.edit(self.world.ledger, rng, self.world.bazaar.seen_so_far())

    def both_work(self, place: Place, rng: random.Random) -> None:
        for _ in range(3):
            self.world.bazaar.edit(self.world.ledger, place.desk.area, rng)
            self.something_to_send(place, rng)

    def exchange(self, place: Place, rng: random.Random, **how: Any) -> None:
        """Every second time people go on working meanwhile, there and here."""
        if rng.random() < 0.5:
            how["hands"] = Hands(rng.randrange(1, 5), lambda: self.both_work(place, rng))
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=rng.random() < 0.5):
            place.desk.exchange(**how)

    # Every day

    @every_day()
    def people_work(self, chance: bytes) -> None:
        self.meanwhile(self.meanwhile(chance).randbytes(6))

    @every_day(order=st.permutations(range(len(DESKS))), many=st.integers(1, len(DESKS)))
    def workplaces_exchange(self, order: list[int], many: int, chance: bytes) -> None:
        rng = self.meanwhile(chance)
        for nth in order[:many]:
            self.exchange(self.world.places[nth], rng, prove=rng.random() < 0.2)

    # Accidents

    @of("line", nth=desks, faults=plans)
    def exchange_over_a_bad_line(self, nth: int, faults: list[str | None], chance: bytes) -> None:
        rng = self.meanwhile(chance)
        self.world.line.plan(faults)
        self.something_to_send(self.world.places[nth], rng)
        self.exchange(self.world.places[nth], rng)
        self.world.line.plan([])

    @of("line")
    def late_requests_arrive(self, chance: bytes) -> None:
        rng = self.meanwhile(chance)
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=rng.random() < 0.5):
            self.world.line.deliver_late_ones()

    @of("kill", nth=desks, beats=st.integers(0, 40))
    def program_is_killed(self, nth: int, beats: int, chance: bytes) -> None:
        rng = self.meanwhile(chance)
        self.something_to_send(self.world.places[nth], rng)
        self.exchange(self.world.places[nth], rng, beats=beats)

    @of("open")
    def a_transaction_stays_open(self, chance: bytes) -> None:
        rng = self.meanwhile(chance)
        if len(self.world.bazaar.writers) < 2:
            self.world.bazaar.open(self.world.ledger, rng.choice(sorted(AREAS.values())), rng)

    @of("open", commit=st.booleans())
    def open_transactions_end(self, commit: bool, chance: bytes) -> None:
        self.meanwhile(chance)
        self.world.bazaar.release(self.world.ledger, commit=commit)

    @of("scope", nth=desks, scope=st.sampled_from(SCOPES))
    def organisations_change(self, nth: int, scope: tuple[str, ...] | None, chance: bytes) -> None:
        self.meanwhile(chance)
        self.world.rescope(self.world.places[nth], scope)

    @of("rights", nth=desks)
    def user_comes_or_goes(self, nth: int, chance: bytes) -> None:
        rng, place = self.meanwhile(chance), self.world.places[nth]
        if place.dismissed:
            self.world.admit(place)
        elif rng.random() < 0.5:
            self.world.dismiss(place)
        else:
            place.desk.password = f"{place.desk.password}!"
            self.world.admit(place)

    @of("licence", nth=desks)
    def workplace_is_suspended_or_resumed(self, nth: int, chance: bytes) -> None:
        rng, place = self.meanwhile(chance), self.world.places[nth]
        if place.application in self.world.lapsed:
            self.world.pay(place.application)
        elif place.suspended:
            self.world.resume(place)
        elif rng.random() < 0.7:
            self.world.suspend(place)
        else:
            self.world.lapse(place)

    @of("reissue", nth=desks, upload=st.booleans())
    def workplace_is_reissued(self, nth: int, upload: bool, chance: bytes) -> None:
        rng, place = self.meanwhile(chance), self.world.places[nth]
        stopped = place.suspended or place.dismissed or place.application in self.world.lapsed
        if not stopped and rng.random() < 0.5:
            with self.world.bazaar.not_in_the_way(self.world.ledger, commit=True):
                self.world.reissue(place, upload=upload)

    @of("folder", nth=desks)
    def folder_is_backed_up_or_restored(self, nth: int, chance: bytes) -> None:
        rng, place = self.meanwhile(chance), self.world.places[nth]
        gone = place.desk.restore() if rng.random() < 0.6 else None
        if gone is None:
            place.desk.back_up()
        else:
            self.world.counted["folder restored"] += 1
            self.world.ledger.give_up(gone)

    @of("copy", nth=desks)
    def folder_is_copied(self, nth: int, chance: bytes) -> None:
        self.meanwhile(chance)
        self.world.copy_desk(self.world.places[nth])

    @of("database")
    def database_is_backed_up_or_restored(self, chance: bytes) -> None:
        rng = self.meanwhile(chance)
        if self.world.bazaar.has_backup() and rng.random() < 0.6:
            self.world.restore_database()
        else:
            self.world.bazaar.back_up()

    @of("history", away=st.sampled_from([90.0, 90.0, 90.0, 0.0]))
    def history_is_shortened(self, away: float, chance: bytes) -> None:
        self.meanwhile(chance)
        self.world.bazaar.forget(retention_days=away)
        self.world.counted[f"history shortened, retention {away:g} days"] += 1

    @of("clock", nth=desks, to=st.sampled_from(["past", "future"]))
    def clock_is_wrong(self, nth: int, to: str, chance: bytes) -> None:
        self.meanwhile(chance)
        self.world.places[nth].desk.set_clock(to)

    @of("decisions")
    def somebody_decides(self, chance: bytes) -> None:
        self.world.decide(self.meanwhile(chance))

    @of("schema")
    def application_is_upgraded(self, chance: bytes) -> None:
        if self.meanwhile(chance).random() < 0.3:
            self.world.upgrade()

    def teardown(self) -> None:
        if self.story and not self.world.found:
            self.end()

    @written_down
    def end(self) -> None:
        """The history is judged, and counts."""
        self.world.judge()
        self.lengths[self.steps] += 1
