"""What can happen in a history, one rule for each kind of event."""

import os
import random
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.chaos.histories.line import FAULTS
from tests.chaos.histories.world import AREAS, SCOPES, World

# Every class of accidents can be tried alone; edits and exchanges are always there.
CLASSES = (
    "line", "kill", "open", "scope", "rights", "licence", "reissue", "folder", "copy", "database", "history", "clock",
    "decisions",
)  # fmt: skip
CHOSEN = frozenset(filter(None, os.environ.get("YURT_FAULTS", ",".join(CLASSES)).split(",")))
if unknown := CHOSEN - set(CLASSES):
    raise ValueError(f"YURT_FAULTS: {', '.join(sorted(unknown))} is none of {', '.join(CLASSES)}")

desks = st.integers(0, 3)
chances = st.integers(0, 2**32)


def of(kind: str):  # type: ignore[no-untyped-def]
    """A rule of this class of accidents."""
    return precondition(lambda _: kind in CHOSEN)


class Histories(RuleBasedStateMachine):
    """One history. `world` and `counted` are set by who runs it; `lengths` gets the steps of each."""

    world: World
    lengths: Counter[int]

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.begun = False

    @initialize()
    def begin(self) -> None:
        self.world.begin()
        self.begun = True

    def _at(self, nth: int):  # type: ignore[no-untyped-def]
        self.steps += 1
        return self.world.places[nth]

    def _edit_in_the_cloud(self, area: int, chance: int) -> None:
        self.steps += 1
        rng = random.Random(chance)
        for _ in range(rng.randrange(1, 4)):
            self.world.bazaar.edit(self.world.ledger, area, rng)

    def _edit_offline(self, nth: int, chance: int) -> None:
        place, rng = self._at(nth), random.Random(chance)
        for _ in range(rng.randrange(1, 4)):
            place.desk.edit(self.world.ledger, rng, self.world.bazaar.seen_so_far())

    def _exchange(self, nth: int, chance: int) -> None:
        place = self._at(nth)
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=bool(chance % 2)):
            place.desk.exchange(prove=chance % 5 == 0)

    # The everyday events are more frequent than each accident.
    edit_in_the_cloud = rule(area=st.sampled_from(sorted(AREAS.values())), chance=chances)(_edit_in_the_cloud)
    edit_in_the_cloud_2 = rule(area=st.sampled_from(sorted(AREAS.values())), chance=chances)(_edit_in_the_cloud)
    edit_offline = rule(nth=desks, chance=chances)(_edit_offline)
    edit_offline_2 = rule(nth=desks, chance=chances)(_edit_offline)
    edit_offline_3 = rule(nth=desks, chance=chances)(_edit_offline)
    exchange = rule(nth=desks, chance=chances)(_exchange)
    exchange_2 = rule(nth=desks, chance=chances)(_exchange)
    exchange_3 = rule(nth=desks, chance=chances)(_exchange)

    @of("line")
    @rule(nth=desks, faults=st.lists(st.sampled_from([None, *FAULTS]), min_size=1, max_size=8))
    def exchange_over_a_bad_line(self, nth: int, faults: list[str | None]) -> None:
        place = self._at(nth)
        self.world.line.plan(faults)
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=True):
            place.desk.exchange()
        self.world.line.plan([])

    @of("line")
    @rule()
    def late_requests_arrive(self) -> None:
        self.steps += 1
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=True):
            self.world.line.deliver_late_ones()

    @of("kill")
    @rule(nth=desks, beats=st.integers(0, 40))
    def program_is_killed(self, nth: int, beats: int) -> None:
        place = self._at(nth)
        with self.world.bazaar.not_in_the_way(self.world.ledger, commit=True):
            place.desk.exchange(beats=beats)

    @of("open")
    @rule(area=st.sampled_from(sorted(AREAS.values())), chance=chances)
    def a_transaction_stays_open(self, area: int, chance: int) -> None:
        self.steps += 1
        if len(self.world.bazaar.writers) < 2:
            self.world.bazaar.open(self.world.ledger, area, random.Random(chance))

    @of("open")
    @rule(commit=st.booleans())
    def open_transactions_end(self, commit: bool) -> None:
        self.steps += 1
        self.world.bazaar.release(self.world.ledger, commit=commit)

    @of("scope")
    @rule(nth=desks, scope=st.sampled_from(SCOPES))
    def organisations_change(self, nth: int, scope: tuple[str, ...] | None) -> None:
        self.world.rescope(self._at(nth), scope)

    @of("rights")
    @rule(nth=desks)
    def user_is_dismissed(self, nth: int) -> None:
        place = self._at(nth)
        if not place.dismissed:
            self.world.dismiss(place)

    @of("rights")
    @rule(nth=desks, chance=st.integers(0, 9))
    def user_is_admitted(self, nth: int, chance: int) -> None:
        place = self._at(nth)
        if place.dismissed:
            self.world.admit(place)
        elif chance == 0:
            place.desk.password = f"{place.desk.password}!"
            self.world.admit(place)

    @of("licence")
    @rule(nth=desks)
    def workplace_is_suspended(self, nth: int) -> None:
        place = self._at(nth)
        if not place.suspended and place.application not in self.world.lapsed:
            self.world.suspend(place)

    @of("licence")
    @rule(nth=desks)
    def workplace_is_resumed(self, nth: int) -> None:
        place = self._at(nth)
        if place.suspended and place.application not in self.world.lapsed:
            self.world.resume(place)

    @of("licence")
    @rule(nth=desks, chance=st.integers(0, 3))
    def subscription_lapses(self, nth: int, chance: int) -> None:
        place = self._at(nth)
        if place.application in self.world.lapsed:
            self.world.pay(place.application)
        elif chance == 0 and not place.suspended:
            self.world.lapse(place)

    @of("reissue")
    @rule(nth=desks, upload=st.booleans(), chance=st.integers(0, 2))
    def workplace_is_reissued(self, nth: int, upload: bool, chance: int) -> None:
        place = self._at(nth)
        if chance == 0 and not (place.suspended or place.dismissed or place.application in self.world.lapsed):
            with self.world.bazaar.not_in_the_way(self.world.ledger, commit=True):
                self.world.reissue(place, upload=upload)

    @of("folder")
    @rule(nth=desks)
    def folder_is_backed_up(self, nth: int) -> None:
        self._at(nth).desk.back_up()

    @of("folder")
    @rule(nth=desks)
    def folder_is_restored(self, nth: int) -> None:
        gone = self._at(nth).desk.restore()
        if gone is not None:
            self.world.counted["folder restored"] += 1
            self.world.ledger.give_up(gone)

    @of("copy")
    @rule(nth=desks)
    def folder_is_copied(self, nth: int) -> None:
        self.world.copy_desk(self._at(nth))

    @of("database")
    @rule()
    def database_is_backed_up(self) -> None:
        self.steps += 1
        self.world.bazaar.back_up()

    @of("database")
    @rule(chance=st.integers(0, 1))
    def database_is_restored(self, chance: int) -> None:
        self.steps += 1
        if chance == 0 and self.world.bazaar.has_backup():
            self.world.restore_database()

    @of("history")
    @rule(away=st.sampled_from([90.0, 90.0, 90.0, 0.0]))
    def history_is_shortened(self, away: float) -> None:
        self.steps += 1
        self.world.bazaar.forget(retention_days=away)
        self.world.counted[f"history shortened, retention {away:g} days"] += 1

    @of("clock")
    @rule(nth=desks, to=st.sampled_from(["past", "future"]))
    def clock_is_wrong(self, nth: int, to: str) -> None:
        self._at(nth).desk.set_clock(to)

    @of("decisions")
    @rule(chance=chances)
    def somebody_decides(self, chance: int) -> None:
        self.steps += 1
        self.world.decide(random.Random(chance))

    def teardown(self) -> None:
        if not self.begun:
            return
        self.world.judge()
        self.lengths[self.steps] += 1
        for fault, times in self.world.line.befell.items():
            self.world.counted[f"line: {fault}"] += times
        self.world.line.befell.clear()
