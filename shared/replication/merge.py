"""Three-way merge of one aggregate: what was before, what the service holds, what was pushed. Pure functions.

What only one side changed is taken from that side, column by column and line by line (lines meet by their key); what
both changed differently goes by the table's policy (protocol.md; architecture.md, Applying a message).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

Row = Mapping[str, Any]
Lines = Sequence[Row]
LineKey = tuple[Any, ...]


@dataclass(frozen=True)
class Shape:
    """What merge must know of a table: the kind of each column (`shared.protocol.values.kind`), and its key columns."""

    kinds: Mapping[str, str]
    key: tuple[str, ...]
    parts: Mapping[str, "Shape"] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """An aggregate as the service holds it, in wire values, with all its lines."""

    row: Row
    parts: Mapping[str, Lines]


@dataclass(frozen=True)
class Pushed:
    """An aggregate as a message brings it. `row` None = delete; `new` = the service was never seen to have it.

    `parts` and `parts_before` hold the touched part tables only; `before` the edited columns only.
    """

    row: Row | None
    before: Row
    parts: Mapping[str, Lines]
    parts_before: Mapping[str, Lines]
    new: bool


@dataclass(frozen=True)
class Merged:
    """The aggregate as it is to be. `row` None = it is not to exist.

    `parts` holds the part tables that are to be written, whole. `conflicts` names what both sides changed differently,
    `column` or `part.column`, or `*` for existence against edits; `in_force` says whose version of those stands.
    """

    row: Row | None
    parts: Mapping[str, Lines]
    conflicts: tuple[str, ...]
    in_force: str


def merge(shape: Shape, stored: Stored | None, pushed: Pushed, policy: str) -> Merged:
    """Merge a push into what is stored.

    `policy` is `service_wins`, `workplace_wins` or `manual`; with `manual` a conflict leaves the stored version whole.
    Without conflicts the result does not depend on it.
    """
    if pushed.row is None:
        return _merge_delete(shape, stored, pushed, policy)
    if stored is None:
        return _merge_into_nothing(shape, pushed, policy)
    merging = _Merging(policy)
    row = merging.row(shape, None if pushed.new else pushed.before, stored.row, pushed.row, "")
    parts = {
        table: merging.lines(
            shape.parts[table], table, pushed.parts_before.get(table, ()), stored.parts.get(table, ()), lines
        )
        for table, lines in pushed.parts.items()
    }
    conflicts = tuple(sorted(merging.conflicts))
    if conflicts and policy == "manual":
        return Merged(stored.row, {}, conflicts, "service")
    return Merged(row, parts, conflicts, merging.in_force)


def equal(kind: str, one: Any, other: Any) -> bool:
    """Whether two wire values of a column mean the same."""
    if one == other or one is None or other is None:
        return one == other and isinstance(one, bool) == isinstance(other, bool)
    try:
        if kind == "numeric":
            return Decimal(str(one)) == Decimal(str(other))
        if kind == "integer":
            return int(one) == int(other)
        if kind in {"real", "double"}:
            return float(one) == float(other)
    except (ValueError, TypeError, InvalidOperation):
        return False
    return False


def rows_equal(shape: Shape, one: Row, other: Row) -> bool:
    """Whether two rows mean the same in every column that both have."""
    return all(
        equal(shape.kinds[name], one[name], other[name]) for name in one.keys() & other.keys() & shape.kinds.keys()
    )


def lines_equal(shape: Shape, one: Lines, other: Lines) -> bool:
    """Whether two sets of lines mean the same, in whatever order they stand."""
    first, second = _by_key(shape, one), _by_key(shape, other)
    return first.keys() == second.keys() and all(rows_equal(shape, first[key], second[key]) for key in first)


def _merge_delete(shape: Shape, stored: Stored | None, pushed: Pushed, policy: str) -> Merged:
    if stored is None:
        return Merged(None, {}, (), "workplace")
    untouched = rows_equal(shape, stored.row, pushed.before) and all(
        lines_equal(part, stored.parts.get(table, ()), pushed.parts_before.get(table, ()))
        for table, part in shape.parts.items()
    )
    if untouched or policy == "workplace_wins":
        return Merged(None, {}, () if untouched else ("*",), "workplace")
    return Merged(stored.row, {}, ("*",), "service")


def _merge_into_nothing(shape: Shape, pushed: Pushed, policy: str) -> Merged:
    """An edit of what is gone. Without all its lines it cannot stand again, whoever wins: it would lose them."""
    if pushed.new:
        return Merged(pushed.row, pushed.parts, (), "workplace")
    if policy == "workplace_wins" and shape.parts.keys() <= pushed.parts.keys():
        return Merged(pushed.row, pushed.parts, ("*",), "workplace")
    return Merged(None, {}, ("*",), "service")


def _by_key(shape: Shape, lines: Lines) -> dict[LineKey, Row]:
    return {tuple(str(line.get(name)) for name in shape.key): line for line in lines}


class _Merging:
    """Collects what both sides changed differently while the pieces are merged."""

    def __init__(self, policy: str) -> None:
        self.conflicts: set[str] = set()
        self.in_force = "workplace" if policy == "workplace_wins" else "service"

    def choose(self, name: str, ours: Any, theirs: Any) -> Any:
        """Both sides changed `name` differently: the policy decides."""
        self.conflicts.add(name)
        return ours if self.in_force == "workplace" else theirs

    def row(self, shape: Shape, before: Row | None, theirs: Row, ours: Row, prefix: str) -> Row:
        """`before` None: both sides made the row, so every difference is a conflict."""
        merged = dict(theirs)
        edited = ours.keys() if before is None else before.keys() & ours.keys()
        for name in sorted(edited & theirs.keys() & shape.kinds.keys()):
            kind, mine, other = shape.kinds[name], ours[name], theirs[name]
            was = None if before is None else before[name]
            if equal(kind, mine, other) or (before is not None and equal(kind, mine, was)):
                continue
            if before is not None and equal(kind, other, was):
                merged[name] = mine
            else:
                merged[name] = self.choose(prefix + name, mine, other)
        return merged

    def lines(self, shape: Shape, table: str, before: Lines, theirs: Lines, ours: Lines) -> list[Row]:
        was, held, mine = (_by_key(shape, lines) for lines in (before, theirs, ours))
        merged = (
            self.line(shape, table, was.get(key), held.get(key), mine.get(key)) for key in {**held, **mine, **was}
        )
        return [line for line in merged if line is not None]

    def line(self, shape: Shape, table: str, was: Row | None, theirs: Row | None, ours: Row | None) -> Row | None:
        if was is not None and ours is not None and rows_equal(shape, was, ours):
            return theirs  # not touched here
        if was is None and ours is None:
            return theirs  # added there
        if theirs is None:
            removed_there = was is not None and ours is not None
            return self.line_chosen(table, ours, None) if removed_there else ours
        if ours is None:
            untouched_there = was is not None and rows_equal(shape, was, theirs)
            return None if untouched_there else self.line_chosen(table, None, theirs)
        return self.row(shape, was, theirs, ours, f"{table}.")

    def line_chosen(self, table: str, ours: Row | None, theirs: Row | None) -> Row | None:
        """One side removed the line, the other changed it."""
        chosen: Row | None = self.choose(f"{table}.*", ours, theirs)
        return chosen
