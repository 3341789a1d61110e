"""Laws of the three-way merge, for whatever both sides did to one aggregate since they were equal.

The oracle below knows nothing of how merging is done: it compares what was with what each side made of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.replication.merge import Merged, Pushed, Shape, Stored, merge

COLUMNS = {"a": "text", "b": "numeric"}
LINE = Shape({"no": "integer", "t": "text", "q": "numeric"}, ("no",))
PARTS = ("lines", "marks")
SHAPE = Shape({"id": "text", **COLUMNS}, ("id",), dict.fromkeys(PARTS, LINE))
POLICIES = ("service_wins", "workplace_wins", "manual")

Cells = dict[str, Any]
Lines = dict[int, Cells]


@dataclass(frozen=True)
class Record:
    """An aggregate; its lines by part table and key."""

    row: Cells
    parts: dict[str, Lines]


texts = st.sampled_from(["x", "y", "z", "", None])
numbers = st.sampled_from(["1", "1.0", "2", "2.00", None])
cells = st.fixed_dictionaries({"t": texts, "q": numbers})
lines = st.dictionaries(st.integers(1, 4), cells, max_size=4)
records = st.builds(
    Record,
    st.fixed_dictionaries({"a": texts, "b": numbers}),
    st.fixed_dictionaries(dict.fromkeys(PARTS, lines)),
)


@st.composite
def edits(draw: st.DrawFn, before: Record) -> Record:
    """What a side made of `before`: much stays, or every second case would be all conflict."""

    def cell(kind: Any, was: Any) -> Any:
        return draw(kind) if draw(st.booleans()) else was

    def line(was: Cells | None) -> Cells | None:
        choice = draw(st.sampled_from(["keep", "keep", "change", "remove"]))
        if was is None:
            return draw(cells) if choice == "change" else None
        if choice == "change":
            return {"t": cell(texts, was["t"]), "q": cell(numbers, was["q"])}
        return was if choice == "keep" else None

    row = {"a": cell(texts, before.row["a"]), "b": cell(numbers, before.row["b"])}
    parts = {}
    for part in PARTS:
        made = (
            {no: line(before.parts[part].get(no)) for no in range(1, 5)} if draw(st.booleans()) else before.parts[part]
        )
        parts[part] = {no: found for no, found in made.items() if found is not None}
    return Record(row, parts)


@st.composite
def divergences(draw: st.DrawFn) -> tuple[Record, Record, Record]:
    """What was, what the service has now, what the workplace has now."""
    before = draw(records)
    return before, draw(edits(before)), draw(edits(before))


def listed(part: Lines) -> list[Cells]:
    return [{"no": no, **line} for no, line in part.items()]


def stored(record: Record | None) -> Stored | None:
    if record is None:
        return None
    return Stored({"id": "1", **record.row}, {part: listed(record.parts[part]) for part in PARTS})


def push(before: Record | None, now: Record | None) -> Pushed:
    """What a workplace sends that made `now` of `before` (protocol.md, Push)."""
    if now is None:
        assert before is not None
        return Pushed(
            None, {"id": "1", **before.row}, {}, {part: listed(before.parts[part]) for part in PARTS}, new=False
        )
    row = {"id": "1", **now.row}
    if before is None:
        return Pushed(row, {}, {part: listed(now.parts[part]) for part in PARTS}, {}, new=True)
    touched = [part for part in PARTS if now.parts[part] != before.parts[part]]
    return Pushed(
        row,
        {name: was for name, was in before.row.items() if now.row[name] != was},
        {part: listed(now.parts[part]) for part in touched},
        {part: listed(before.parts[part]) for part in touched},
        new=False,
    )


def result(found: Merged, theirs: Record | None) -> Record | None:
    """The aggregate as it stands afterwards."""
    if found.row is None:
        return None
    parts = {}
    for part in PARTS:
        if part in found.parts:
            keys = [line["no"] for line in found.parts[part]]
            assert len(set(keys)) == len(keys)
            parts[part] = {line["no"]: {"t": line["t"], "q": line["q"]} for line in found.parts[part]}
        else:
            parts[part] = theirs.parts[part] if theirs else {}
    assert found.row["id"] == "1"
    return Record({name: found.row[name] for name in COLUMNS}, parts)


def meaning(value: Any) -> Any:
    """Records with numbers by their value, not by their spelling."""
    if isinstance(value, Record):
        return meaning(value.row), meaning(value.parts)
    if isinstance(value, Mapping):
        return {name: _cell(name, cell) for name, cell in value.items()}
    return value


def _cell(name: Any, cell: Any) -> Any:
    if isinstance(cell, Mapping):
        return meaning(cell)
    return Decimal(cell) if name in {"b", "q"} and cell is not None else cell


def differ(one: Any, other: Any) -> bool:
    return bool(meaning(one) != meaning(other))


def met(before: Any, here: Any, there: Any) -> bool:
    """Both sides changed it, differently."""
    return differ(before, here) and differ(before, there) and differ(here, there)


def columns_met(before: Cells | None, here: Cells, there: Cells, prefix: str = "") -> Iterable[str]:
    """`before` None: both sides made it, so that every difference is one."""
    for name in here:
        one, other = {name: here[name]}, {name: there[name]}
        if met({name: before[name]}, one, other) if before is not None else differ(one, other):
            yield prefix + name


def conflicts(before: Record | None, here: Record | None, there: Record | None) -> tuple[str, ...]:
    """What the rules call a conflict."""
    if here is None or there is None:
        return ("*",) if before is not None and met(before, here, there) else ()
    found = set(columns_met(before.row if before else None, here.row, there.row))
    for part in PARTS:
        was = before.parts[part] if before else {}
        for no in {*was, *here.parts[part], *there.parts[part]}:
            old, one, other = was.get(no), here.parts[part].get(no), there.parts[part].get(no)
            if one is not None and other is not None:
                found |= set(columns_met(old, one, other, f"{part}."))
            elif old is not None and met(old, one, other):
                found.add(f"{part}.*")
    return tuple(sorted(found))


def three(before: Record | None, there: Record | None, here: Record | None) -> dict[str, Merged]:
    """With each policy. An edit of what is gone comes with all its lines, or it could not win."""
    pushed = push(before, here) if there else _with_all_lines(push(before, here), here)
    return {policy: merge(SHAPE, stored(there), pushed, policy) for policy in POLICIES}


def check(before: Record | None, there: Record | None, here: Record | None) -> None:
    """Conflicts are what the oracle says. Without any, no policy matters; with some, `manual` changes nothing."""
    expected = conflicts(before, here, there)
    found = three(before, there, here)
    for policy, merged in found.items():
        assert merged.conflicts == expected, policy
        if expected:
            assert merged.in_force == ("workplace" if policy == "workplace_wins" else "service")
    if expected:
        assert result(found["manual"], there) == there
    else:
        assert len({repr(result(merged, there)) for merged in found.values()}) == 1


@given(divergences())
def test_conflicts_are_exactly_what_both_sides_changed_differently(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    check(before, there, here)


@given(records, records)
def test_two_new_ones_of_one_key_conflict_exactly_where_they_differ(there: Record, here: Record) -> None:
    check(None, there, here)
    check(None, there, there)


@given(divergences())
def test_a_deletion_conflicts_with_every_edit_and_with_nothing_else(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    check(before, there, None)
    check(before, before, None)
    check(before, None, None)
    if differ(before, here):
        check(before, None, here)


@given(divergences())
def test_no_cell_is_invented(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    for policy, merged in three(before, there, here).items():
        made = result(merged, there)
        assert made is not None
        left = policy == "manual" and merged.conflicts
        for name, value in made.row.items():
            assert value in [here.row[name], there.row[name]]
            if not left and not met({name: before.row[name]}, {name: here.row[name]}, {name: there.row[name]}):
                changed = here if differ({name: before.row[name]}, {name: here.row[name]}) else there
                assert not differ({name: value}, {name: changed.row[name]})
        for part, found_lines in made.parts.items():
            for no, line in found_lines.items():
                known = [side.parts[part][no] for side in (here, there) if no in side.parts[part]]
                assert known, "a line of neither side"
                for name, value in line.items():
                    assert value in [side[name] for side in known]


@given(divergences())
def test_no_line_of_either_side_is_lost_unless_the_other_removed_it(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    for policy, merged in three(before, there, here).items():
        made = result(merged, there)
        assert made is not None
        if policy == "manual" and merged.conflicts:
            continue
        for part in PARTS:
            for side, other in ((here, there), (there, here)):
                added = side.parts[part].keys() - before.parts[part].keys()
                kept = side.parts[part].keys() & other.parts[part].keys()
                assert added | kept <= made.parts[part].keys()


@given(divergences())
def test_the_same_push_again_changes_nothing_and_meets_nothing(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    for now in (here, None):
        for policy in POLICIES:
            merged = merge(SHAPE, stored(there), push(before, now), policy)
            stands = result(merged, there)
            again = merge(SHAPE, stored(stands), push(before, now), policy)
            assert result(again, stands) == stands
            # What lost before loses again; there is nothing else to be in conflict about.
            lost = merged.conflicts if policy != "workplace_wins" else ()
            assert again.conflicts == lost


@given(divergences())
def test_winners_are_mirror_images(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    assume(differ(before, here))
    assume(differ(before, there))
    for one, other in ((there, here), (there, None), (None, here)):
        serving = merge(SHAPE, stored(one), _with_all_lines(push(before, other), other), "service_wins")
        working = merge(SHAPE, stored(other), _with_all_lines(push(before, one), one), "workplace_wins")
        assert meaning(result(serving, one)) == meaning(result(working, other))
        assert serving.conflicts == working.conflicts
        assert not serving.conflicts or {serving.in_force, working.in_force} == {"service", "workplace"}


def _with_all_lines(pushed: Pushed, now: Record | None) -> Pushed:
    """An edit that can stand again after a deletion: all its part tables were touched."""
    if now is None:
        return pushed
    parts = {part: pushed.parts.get(part, listed(now.parts[part])) for part in PARTS}
    were = {part: pushed.parts_before.get(part, listed(now.parts[part])) for part in PARTS}
    return Pushed(pushed.row, pushed.before, parts, were, pushed.new)


@given(divergences(), st.data())
def test_edits_that_meet_nowhere_commute(found: tuple[Record, Record, Record], data: st.DataObject) -> None:
    """Each column and each line belongs to one side, which alone may change it."""
    before, there, here = found

    def own(side: bool, theirs: Record) -> Record:
        row = {name: theirs.row[name] if columns[name] == side else was for name, was in before.row.items()}
        parts = {}
        for part in PARTS:
            mixed = {no: (theirs if places[part][no - 1] == side else before).parts[part].get(no) for no in range(1, 5)}
            parts[part] = {no: line for no, line in mixed.items() if line is not None}
        return Record(row, parts)

    columns = {name: data.draw(st.booleans()) for name in COLUMNS}
    places = {part: data.draw(st.lists(st.booleans(), min_size=4, max_size=4)) for part in PARTS}
    one, other = own(True, there), own(False, here)
    for policy in POLICIES:
        ways = []
        for first, second in ((one, other), (other, one)):
            merged = merge(SHAPE, stored(first), push(before, second), policy)
            assert merged.conflicts == ()
            ways.append(result(merged, first))
        assert not differ(*ways)


@given(divergences())
def test_where_one_side_did_nothing_the_other_stands(found: tuple[Record, Record, Record]) -> None:
    before, there, here = found
    for policy in POLICIES:
        assert not differ(result(merge(SHAPE, stored(before), push(before, here), policy), before), here)
        assert result(merge(SHAPE, stored(there), push(before, before), policy), there) == there
        assert result(merge(SHAPE, stored(before), push(before, None), policy), before) is None


@given(records)
def test_an_edit_of_what_is_gone_stands_again_only_whole(here: Record) -> None:
    pushed = push(Record({"a": "other", "b": "7"}, {part: {9: {"t": None, "q": None}} for part in PARTS}), here)
    assert result(merge(SHAPE, None, pushed, "workplace_wins"), None) == here
    for part in PARTS:
        partly = Pushed(pushed.row, pushed.before, {part: pushed.parts[part]}, {}, new=False)
        for policy in POLICIES:
            found = merge(SHAPE, None, partly, policy)
            assert (found.row, found.conflicts, found.in_force) == (None, ("*",), "service")
