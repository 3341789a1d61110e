"""Every edit that was ever made, and what became of it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r"e(\d+);")

Place = tuple[str, str]  # a root table and the key in it, as text
Row = tuple[str, str]  # a table and the key in it, as text

PARENT = {"order_lines": ("orders", "order_id"), "order_marks": ("orders", "order_id")}
KEYS = {"order_lines": ("order_id", "no")}


def token(number: int) -> str:
    """What names an edit wherever its value goes."""
    return f"e{number};"


def tokens(content: object) -> set[int]:
    """The edits whose values stand in a row, a document or a text."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    return {int(number) for number in _TOKEN.findall(text)}


def row_of(table: str, row: Mapping[str, Any], area: int | None = None) -> Row:
    """A row of whichever subscriber; those of a replica do not name their area."""
    key = [row.get("area", area), *(row[name] for name in KEYS.get(table, ("id",)))]
    return table, ",".join(map(str, key))


def place_of(table: str, row: Mapping[str, Any]) -> Place:
    """The aggregate that a row belongs to."""
    root, column = PARENT.get(table, (table, "id"))
    return root, str(row[column])


@dataclass
class Edit:
    """One edit. `desk` None: made by the application in the cloud.

    `saw`: the edits that stood in its aggregates before. `removed`: those that it took away here. `gone`: rows that it
    deleted. `since`: how far the witness was. `given_up`: a person threw its replica away before it was sent.
    `may_be_restored_away`: the service had answered it when its database was restored.
    """

    number: int
    desk: str | None
    places: frozenset[Place]
    saw: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    gone: frozenset[Row] = frozenset()
    since: int = 0
    writes: bool = True
    given_up: bool = False
    may_be_restored_away: bool = False


@dataclass(frozen=True)
class Write:
    """A line of the witness. `relation` None: the database was restored, `after` holds what stands in it."""

    seq: int
    area: int | None
    relation: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    origin: str | None


@dataclass
class Evidence:
    """What is known at the end. `problems` by workplace: the documents of its problems, whole.

    `former`: the edits in problems that were there until the database was restored.
    """

    in_force: set[int]
    present: set[Row]
    writes: list[Write]
    problems: Mapping[str, list[Mapping[str, Any]]]
    former: set[int]


@dataclass
class Ledger:
    """The edits of one history, by number."""

    edits: dict[int, Edit] = field(default_factory=dict)
    last: int = 0

    def number(self) -> int:
        """The next edit's."""
        self.last += 1
        return self.last

    def add(self, edit: Edit) -> None:
        self.edits[edit.number] = edit

    def give_up(self, numbers: Iterable[int]) -> None:
        """A person threw away the replica that held these, unsent."""
        for number in numbers:
            self.edits[number].given_up = True

    def restored(self, unanswered: set[int]) -> None:
        """The application's database was put back: what was answered before may be gone, the rest may not."""
        for edit in self.edits.values():
            if edit.number not in unanswered:
                edit.may_be_restored_away = True

    def settle(self, evidence: Evidence) -> Counter[str]:
        """What became of each edit, counted. Raises AssertionError naming those that nothing accounts for."""
        reading = _Reading(self, evidence)
        fates = {number: reading.fate(edit) for number, edit in self.edits.items()}
        lost = [self.edits[number] for number, fate in fates.items() if fate is None]
        assert not lost, f"lost without a trace: {lost}"
        return Counter(f"{'cloud' if self.edits[n].desk is None else 'offline'}, {fate}" for n, fate in fates.items())


class _Reading:
    """The witness, read once."""

    def __init__(self, ledger: Ledger, evidence: Evidence) -> None:
        self.ledger = ledger
        self.evidence = evidence
        self.gained: set[int] = set()
        self.deleted: dict[Row, int] = {}  # when last
        self.told = {
            workplace: {number for problem in problems for number in tokens(problem)}
            for workplace, problems in evidence.problems.items()
        }
        self.accused = {
            (workplace, problem["table"], ",".join(str(value) for value in problem["key"].values()))
            for workplace, problems in evidence.problems.items()
            for problem in problems
        }
        self.overwritten = {number for edit in ledger.edits.values() if edit.desk for number in edit.removed}
        for write in evidence.writes:
            self._read(write)

    def _read(self, write: Write) -> None:
        was, now = tokens(write.before or ""), tokens(write.after or "")
        self.gained |= now
        if write.relation is None:
            return
        if write.before is not None and (
            write.after is None or row_of(write.relation, write.before) != row_of(write.relation, write.after)
        ):
            self.deleted[row_of(write.relation, write.before)] = write.seq
        if write.origin is not None and write.before is not None:
            place = place_of(write.relation, write.before)
            for number in was - now:
                assert self._may_take_away(write.origin, place, number), (
                    f"{write.origin} took away edit {number}, which it had never seen: {write},"
                    f" {self.ledger.edits.get(number)}"
                )

    def _may_take_away(self, workplace: str, place: Place, number: int) -> bool:
        """Who overwrites has seen what he overwrites, or it is kept in a problem."""
        edit = self.ledger.edits.get(number)
        kept = self.told.get(workplace, set()) | self.evidence.former
        if edit is None or edit.desk == workplace or number in kept:
            return True
        return any(
            other.desk == workplace and place in other.places and number in other.saw
            for other in self.ledger.edits.values()
        )

    def fate(self, edit: Edit) -> str | None:
        """None: nothing tells of it."""
        written = self._fate_of_value(edit) if edit.writes else None
        rows = [self._fate_of_deletion(edit, row) for row in edit.gone]
        if (edit.writes and written is None) or None in rows:
            if edit.given_up:
                return "given up by hand"
            return "gone with the restored database" if edit.may_be_restored_away else None
        fates = [fate for fate in (written, *rows) if fate]
        return max(fates, key=_RANK.index) if fates else "undone before it was sent"

    def _fate_of_value(self, edit: Edit) -> str | None:
        if edit.number in self.evidence.in_force:
            return "in force"
        if edit.number in self.gained:
            return "superseded"
        if edit.desk is None:
            return None
        if edit.number in self.told.get(edit.desk, ()):
            return "in problems"
        return "superseded" if edit.number in self.overwritten else None

    def _fate_of_deletion(self, edit: Edit, row: Row) -> str | None:
        if row not in self.evidence.present:
            return "in force"
        if self.deleted.get(row, 0) > edit.since:
            return "superseded"
        accused = any((edit.desk, *place) in self.accused for place in edit.places)
        if accused or edit.desk is None:
            return "in problems"
        later = (other for other in self.ledger.edits.values() if other.number > edit.number)
        # Made again at the same place before it was sent.
        return "superseded" if any(o.desk == edit.desk and o.places & edit.places for o in later) else None


_RANK = ["in force", "superseded", "in problems"]
