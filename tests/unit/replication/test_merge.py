"""Three-way merge: a table of cases. What holds for all there are: tests/property/test_merge_laws.py."""

from typing import Any

import pytest

from shared.replication.merge import Merged, Pushed, Shape, Stored, equal, merge

LINE = Shape({"no": "integer", "q": "numeric", "t": "text"}, ("no",))
SHAPE = Shape({"id": "text", "a": "text", "b": "text"}, ("id",), {"lines": LINE})
POLICIES = ("service_wins", "workplace_wins", "manual")
Row = dict[str, Any]


def row(a: str = "0", b: str = "0") -> Row:
    return {"id": "1", "a": a, "b": b}


def lines(text: str) -> list[Row]:
    """`1x 2y`: line 1 with text x, line 2 with text y."""
    return [{"no": int(word[0]), "q": "1.0", "t": word[1:]} for word in text.split()]


def shown(found: Merged) -> tuple[str, str] | None:
    if found.row is None:
        return None
    text = " ".join(f"{line['no']}{line['t']}" for line in sorted(found.parts.get("lines", ()), key=lambda x: x["no"]))
    return found.row["a"] + found.row["b"], text


def edit(a: str | None = None, b: str | None = None, was: str | None = None, now: str | None = None) -> Pushed:
    """What a workplace sends that edited columns of `row()`, and lines from `was` to `now`."""
    edits = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
    parts, before = ({"lines": lines(now or "")}, {"lines": lines(was)}) if was is not None else ({}, {})
    return Pushed(row() | edits, dict.fromkeys(edits, "0"), parts, before, new=False)


# stored, pushed; then with each policy: row's columns and lines, what conflicts
CASES: dict[str, tuple[Any, ...]] = {
    "only here": (Stored(row(), {}), edit(a="1"), *[("10", "")] * 3, ()),
    "only there": (Stored(row(b="2"), {}), edit(a="1"), *[("12", "")] * 3, ()),
    "here and there, the same": (Stored(row("1"), {}), edit(a="1"), *[("10", "")] * 3, ()),
    "here and there": (Stored(row("2"), {}), edit(a="1"), ("20", ""), ("10", ""), ("20", ""), ("a",)),
    "one column meets": (Stored(row("2"), {}), edit("1", "1"), ("21", ""), ("11", ""), ("20", ""), ("a",)),
    "edited and edited back": (Stored(row("2"), {}), edit(a="0"), *[("20", "")] * 3, ()),
    "line changed here": (Stored(row(), {"lines": lines("1x 2x")}), edit(was="1x 2x", now="1y 2x"),
                          *[("00", "1y 2x")] * 3, ()),
    "line changed there": (Stored(row(), {"lines": lines("1y 2x")}), edit(was="1x 2x", now="1x 2z"),
                           *[("00", "1y 2z")] * 3, ()),
    "line changed in both": (Stored(row(), {"lines": lines("1y")}), edit(was="1x", now="1z"),
                             ("00", "1y"), ("00", "1z"), ("00", ""), ("lines.t",)),
    "line changed equally": (Stored(row(), {"lines": lines("1y")}), edit(was="1x", now="1y"), *[("00", "1y")] * 3, ()),
    "line changed in both, other columns": (Stored(row(), {"lines": [{"no": 1, "q": "2.0", "t": "x"}]}),
                                            edit(was="1x", now="1y"), *[("00", "1y")] * 3, ()),
    "line edited and edited back": (Stored(row(), {"lines": lines("1y")}), edit(was="1x", now="1x"),
                                    *[("00", "1y")] * 3, ()),
    "line added here": (Stored(row(), {"lines": lines("1x")}), edit(was="1x", now="1x 2n"), *[("00", "1x 2n")] * 3, ()),
    "line added there":
        (Stored(row(), {"lines": lines("1x 2n")}), edit(was="1x", now="1y"), *[("00", "1y 2n")] * 3, ()),
    "lines added in both": (Stored(row(), {"lines": lines("2n")}), edit(was="", now="3m"), *[("00", "2n 3m")] * 3, ()),
    "the same line added": (Stored(row(), {"lines": lines("2n")}), edit(was="", now="2n"), *[("00", "2n")] * 3, ()),
    "another line of that key added": (Stored(row(), {"lines": lines("2n")}), edit(was="", now="2m"),
                                       ("00", "2n"), ("00", "2m"), ("00", ""), ("lines.t",)),
    "line removed here":
        (Stored(row(), {"lines": lines("1x 2x")}), edit(was="1x 2x", now="2x"), *[("00", "2x")] * 3, ()),
    "line removed there":
        (Stored(row(), {"lines": lines("2x")}), edit(was="1x 2x", now="1x 2y"), *[("00", "2y")] * 3, ()),
    "line removed in both": (Stored(row(), {"lines": []}), edit(was="1x", now=""), *[("00", "")] * 3, ()),
    "line removed here, changed there": (Stored(row(), {"lines": lines("1y")}), edit(was="1x", now=""),
                                         ("00", "1y"), ("00", ""), ("00", ""), ("lines.*",)),
    "line changed here, removed there": (Stored(row(), {"lines": []}), edit(was="1x", now="1y"),
                                         ("00", ""), ("00", "1y"), ("00", ""), ("lines.*",)),
    "new on nothing": (None, Pushed(row("1"), {}, {"lines": lines("1n")}, {}, new=True), *[("10", "1n")] * 3, ()),
    "new on its equal": (Stored(row("1"), {"lines": lines("1n")}),
                         Pushed(row("1"), {}, {"lines": lines("1n")}, {}, new=True), *[("10", "1n")] * 3, ()),
    "new on another": (Stored(row("2"), {}), Pushed(row("1"), {}, {}, {}, new=True),
                       ("20", ""), ("10", ""), ("20", ""), ("a",)),
    "new on another with other lines": (Stored(row(), {"lines": lines("1n 3o")}),
                                        Pushed(row(), {}, {"lines": lines("1m 2o")}, {}, new=True),
                                        ("00", "1n 2o 3o"), ("00", "1m 2o 3o"), ("00", ""), ("lines.t",)),
    "edit of a deleted one": (None, edit(a="1", was="1x", now="1y"), None, ("10", "1y"), None, ("*",)),
    "edit of a deleted one, its lines unknown": (None, edit(a="1"), None, None, None, ("*",)),
    "delete": (Stored(row(), {"lines": lines("1x")}), Pushed(None, row(), {}, {"lines": lines("1x")}, new=False),
               None, None, None, ()),
    "delete of a deleted one": (None, Pushed(None, row(), {}, {}, new=False), None, None, None, ()),
    "delete of an edited one": (Stored(row("2"), {}), Pushed(None, row(), {}, {}, new=False),
                                ("20", ""), None, ("20", ""), ("*",)),
    "delete of one with an edited line": (Stored(row(), {"lines": lines("1y")}),
                                          Pushed(None, row(), {}, {"lines": lines("1x")}, new=False),
                                          ("00", ""), None, ("00", ""), ("*",)),
    "delete of one with an added line": (Stored(row(), {"lines": lines("1x")}), Pushed(None, row(), {}, {}, new=False),
                                         ("00", ""), None, ("00", ""), ("*",)),
    "delete of one with a removed line": (Stored(row(), {}), Pushed(None, row(), {}, {"lines": lines("1x")}, new=False),
                                          ("00", ""), None, ("00", ""), ("*",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_merging(case: str) -> None:
    stored, pushed, *wanted, conflicts = CASES[case]
    for policy, result in zip(POLICIES, wanted, strict=True):
        found = merge(SHAPE, stored, pushed, policy)
        assert (shown(found), found.conflicts) == (result, conflicts), policy
        assert found.in_force == "service" or not conflicts or policy == "workplace_wins"


def test_of_a_line_each_side_keeps_the_column_it_changed() -> None:
    stored = Stored(row(), {"lines": [{"no": 1, "q": "2.0", "t": "x"}]})
    for policy in POLICIES:
        found = merge(SHAPE, stored, edit(was="1x", now="1y"), policy)
        assert found.parts == {"lines": [{"no": 1, "q": "2.0", "t": "y"}]}


def test_a_number_spelt_otherwise_is_no_change_of_either_side() -> None:
    shape = Shape({"id": "text", "n": "numeric"}, ("id",))
    pushed = Pushed({"id": "1", "n": "1.00"}, {"n": "1"}, {}, {}, new=False)
    found = merge(shape, Stored({"id": "1", "n": "2"}, {}), pushed, "workplace_wins")
    assert (found.row, found.conflicts) == ({"id": "1", "n": "2"}, ())
    found = merge(
        shape,
        Stored({"id": "1", "n": "1.0"}, {}),
        Pushed({"id": "1", "n": "3"}, {"n": "1"}, {}, {}, False),
        "service_wins",
    )
    assert (found.row, found.conflicts) == ({"id": "1", "n": "3"}, ())


def test_manual_leaves_the_stored_version_whole() -> None:
    stored = Stored(row("2"), {"lines": lines("1x")})
    found = merge(SHAPE, stored, edit("1", "1", was="1x", now="1y"), "manual")
    assert (found.row, found.parts, found.in_force) == (stored.row, {}, "service")


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("numeric", "1.0", "1.00", True),
        ("numeric", "1e2", "100", True),
        ("numeric", "NaN", "NaN", True),
        ("numeric", "1", "x", False),
        ("numeric", "sNaN", "1", False),
        ("numeric", {"a": 1}, "1", False),
        ("integer", "9007199254740993", 9007199254740993, True),
        ("integer", "1", 2, False),
        ("integer", None, 0, False),
        ("double", 1, 1.0, True),
        ("double", "NaN", "NaN", True),
        ("double", [], 1.0, False),
        ("boolean", True, 1, False),
        ("text", "1", 1, False),
        ("text", None, None, True),
        ("text", None, "", False),
    ],
)
def test_equal_values(kind: str, one: Any, other: Any, same: bool) -> None:
    assert equal(kind, one, other) is same
