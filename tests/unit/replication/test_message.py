"""Hostile and old messages: a problem of the protocol or a rejection of one aggregate, never anything else."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.replication.manifest import parse as parse_manifest
from shared.replication.message import Change, parse
from shared.replication.model import Column, Model, Root, Table
from shared.replication.problem import ProtocolProblem
from shared.replication.spelling import WireInvalid
from shared.replication.wire_values import KeyInvalid, check_row, for_database, key_text

MANIFEST = parse_manifest("""
[configuration]
name = "small"
version = "2"
title = { en = "Small" }
[[aggregates]]
table = "orders"
key = ["id"]
keys = "range"
[[migrations]]
from = "1"
renames = { orders = { remark = "note" }, lines = { text = "t" } }
defaults = { orders = { flag = true }, lines = { q = "1" } }
""")


def column(name: str, type_text: str, key: int | None = None, *, generated: bool = False) -> Column:
    return Column(name, type_text, type_text.partition("(")[0], 1, key is None, generated, key, None, None)


def table(name: str, *columns: Column, parent: str | None = None) -> Table:
    key = tuple(found for found in columns if found.key_ordinal)
    return Table("public", name, columns, key, "natural", parent, None, (), (), (), ())


LINES = table("lines", column("order_id", "integer", 1), column("no", "smallint", 2), column("t", "text"),
              column("q", "numeric"), parent="order_id")  # fmt: skip
ORDERS = table("orders", column("id", "integer", 1), column("note", "text"), column("flag", "boolean"),
               column("tags", "text[]"), column("twice", "integer", generated=True))  # fmt: skip
MODEL = Model(MANIFEST, None, (Root(ORDERS, (LINES,), None, "read_write", "service_wins", None, None, None),), "")

ROW = {"id": 1, "note": "n", "flag": True, "tags": ["a"]}
GOOD: dict[str, Any] = {
    "seq": 1,
    "table": "orders",
    "key": {"id": 1},
    "op": "put",
    "base": None,
    "row": ROW,
    "before": {},
}


def body(*documents: Any) -> bytes:
    return b"\n".join(json.dumps(document).encode() for document in documents)


def read(**fields: Any) -> Change:
    [found] = parse(MODEL, body(GOOD | fields), "2")
    return found


def test_a_good_change_is_read() -> None:
    found = read(row=ROW | {"twice": 7}, parts={"lines": [{"order_id": "1", "no": 1, "t": None, "q": "1.50"}]})
    assert found.rejection is None
    assert (found.row, found.key_text) == (ROW, ("1",))


@pytest.mark.parametrize(
    "text",
    [
        b"{", b"[]", b"1", b"null", b'"x"', b"NaN", b'{"a":NaN}', b"\xff\xfe", b'"\\ud800"', b"{}{}", b"{} x", b"{}",
        b"1" + b"0" * 400, b"[" * 1000 + b"]" * 1000, b"[" * 100_000, b"\x00", b'{"seq":1',
    ],
)  # fmt: skip
def test_a_damaged_line_is_named(text: bytes) -> None:
    with pytest.raises(ProtocolProblem) as caught:
        parse(MODEL, b"\n\n" + body(GOOD) + b"\r\n" + text, "2")
    assert (caught.value.code, caught.value.status, caught.value.extra) == ("invalid_body", 400, {"line": 4})


DEEP: Any = "x"
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "damage",
    [
        {"op": "upsert"}, {"op": None}, {"op": 1}, {"seq": True}, {"seq": "1"}, {"seq": 1.0},
        {"seq": -1}, {"seq": 2**63},
        {"seq": None}, {"table": 1}, {"table": None}, {"table": "a\x00"}, {"key": {}}, {"key": None}, {"key": [1]},
        {"key": {"ID": 1}}, {"key": {"id": 1, "more": 1}}, {"base": 5}, {"base": "x"},
        {"base": "a.5:3:"}, {"base": "a.1:2:3"}, {"base": "a.0:0:"}, {"base": "5:5:"}, {"base": ".5:5:"}, {"base": ""},
        {"base": "9" * 400 + ":" + "9" * 400 + ":"},
        {"base": False}, {"row": None}, {"row": []}, {"row": 1}, {"before": []}, {"parts": []}, {"parts_before": "x"},
        {"edited_at": "soon"}, {"edited_at": "2024-02-31T00:00:00.000000Z"}, {"edited_at": 5}, {"edited_by": 5},
        {"edited_by": "\x00"}, {"row": ROW | {"note": DEEP}}, {"before": {"note": DEEP}},
    ],
)  # fmt: skip
def test_what_no_change_can_be_is_an_invalid_body(damage: dict[str, Any]) -> None:
    with pytest.raises(ProtocolProblem) as caught:
        read(**damage)
    assert (caught.value.code, caught.value.extra) == ("invalid_body", {"line": 1})


@pytest.mark.parametrize("key", [None, True, 1.5, "x", "١", [1], {}, "1e400"])
def test_a_key_that_is_none_is_refused_alone_and_to_be_removed_where_it_stands(key: Any) -> None:
    found = read(key={"id": key}, row=ROW | {"id": key})
    assert found.rejection is not None
    assert (found.rejection[0], found.root, found.nameless) == ("invalid_value", None, True)


@pytest.mark.parametrize(
    "damage",
    [
        {"row": {}}, {"row": {"id": 1}}, {"row": ROW | {"more": 1}}, {"row": ROW | {"id": 2}},
        {"row": ROW | {"id": None}},
        {"row": ROW | {"note": 1}}, {"row": ROW | {"note": "a\x00"}}, {"row": ROW | {"flag": 1}},
        {"row": ROW | {"flag": "true"}}, {"row": ROW | {"tags": "a"}}, {"row": ROW | {"tags": [[[[[[["a"]]]]]]]}},
        {"row": ROW | {"tags": [{"a": 1}]}}, {"parts": {"lines": None}}, {"parts": {"lines": {}}},
        {"parts": {"lines": [None]}}, {"parts": {"lines": [5]}}, {"parts": {"other": []}},
        {"parts": {"lines": [{"order_id": 2, "no": 1, "t": None, "q": None}]}},
        {"parts": {"lines": [{"order_id": None, "no": 1, "t": None, "q": None}]}},
        {"parts": {"lines": [{"order_id": 1, "no": None, "t": None, "q": None}]}},
        {"parts": {"lines": [{"order_id": 1, "no": 1, "t": None, "q": None}] * 2}},
        {"parts": {"lines": [{"order_id": 1, "no": 1, "t": None, "q": 1}]}},
        {"parts_before": {"lines": None}}, {"parts_before": {"lines": [None]}},
    ],
)  # fmt: skip
def test_what_its_table_cannot_hold_is_refused_alone(damage: dict[str, Any]) -> None:
    found = read(**damage)
    assert found.rejection
    assert found.rejection[0] == "invalid_value"


def test_an_unknown_table_is_refused_alone() -> None:
    assert read(table="none").rejection == ("unknown_table", "The application synchronises no table none.")


def test_a_key_stands_once() -> None:
    with pytest.raises(ProtocolProblem) as caught:
        parse(MODEL, body(GOOD, GOOD | {"key": {"id": "01"}}), "2")
    assert (caught.value.code, caught.value.extra) == ("duplicate_key", {"line": 2})


def test_a_message_has_a_limit() -> None:
    many = body(*(GOOD | {"key": {"id": key}} for key in range(20_001)))
    with pytest.raises(ProtocolProblem) as caught:
        parse(MODEL, many, "2")
    assert (caught.value.code, caught.value.status) == ("message_too_large", 413)
    assert len(parse(MODEL, many.rpartition(b"\n")[0] + b"\n\n", "2")) == 20_000
    assert parse(MODEL, b"", "2") == []


def test_a_problem_does_not_repeat_what_it_was_sent() -> None:
    with pytest.raises(ProtocolProblem) as caught:
        read(op="x" * 1_000_000)
    assert len(caught.value.detail) < 100


def test_only_known_columns_count_as_edited() -> None:
    assert read(before={"note": "old", "no such\x00": 1}).edited == ("note",)


def test_an_older_version_is_read_in_today_s_names() -> None:
    old = {"id": 1, "remark": "n", "tags": None}
    line = {"order_id": 1, "no": 1, "text": "x"}
    document = GOOD | {
        "row": old,
        "before": {"remark": "o"},
        "parts": {"lines": [line]},
        "parts_before": {"lines": [line]},
    }
    [found] = parse(MODEL, body(document), "1")
    assert found.rejection is None
    assert (found.row, found.edited) == ({"id": 1, "note": "n", "flag": True, "tags": None}, ("note",))
    assert found.parts == {"lines": [{"order_id": 1, "no": 1, "t": "x", "q": "1"}]}
    assert found.parts_before == {"lines": [{"order_id": 1, "no": 1, "t": "x"}]}
    for damage in ({"parts": {"lines": 5}}, {"parts": {"lines": [5]}}, {"parts_before": {"lines": 5}}):
        assert parse(MODEL, body(document | damage), "1")[0].rejection


@pytest.mark.parametrize("version", ["", "0", "3", "1.0"])
def test_an_unknown_version_is_an_invalid_body(version: str) -> None:
    with pytest.raises(ProtocolProblem) as caught:
        parse(MODEL, body(GOOD), version)
    assert (caught.value.code, caught.value.extra) == ("invalid_body", {"line": None})


names = st.text(max_size=4) | st.sampled_from(["lines", "id", "note"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "parts", "parts_before", "edited_at", "edited_by"]), json_values))
def test_nothing_but_problems_and_rejections_ever(damage: dict[str, Any]) -> None:
    for version in ("1", "2"):
        try:
            parse(MODEL, body(GOOD | damage), version)
        except ProtocolProblem as problem:
            assert problem.code == "invalid_body"  # noqa: PT017 – or no problem at all


@given(st.binary(max_size=60))
def test_no_bytes_are_too_strange(text: bytes) -> None:
    try:
        parse(MODEL, text, "2")
    except ProtocolProblem as problem:
        assert problem.code == "invalid_body"  # noqa: PT017 – or no problem at all


@pytest.mark.parametrize(
    ("type_text", "good", "bad"),
    [
        ("smallint", [1, -5, "7"], [True, 1.5, "x", "", [], "１"]),
        ("bigint", ["9223372036854775807", 2**53], [None.__class__, {}]),
        ("numeric(10,2)", ["1.50", "-1e5", "NaN", "-Infinity", ".5", "1."], [1, 1.5, "1,5", "", "nan", "１"]),
        ("real", [1, 1.5, "NaN", "Infinity"], ["1.5", True, []]),
        ("double precision", [-0.0, 1e300, "-Infinity"], ["inf", None.__class__]),
        ("boolean", [True, False], [0, 1, "t", "true"]),
        ("text", ["", "ә"], [1, "\x00", [], True]),
        ("character(8)", ["a       "], [8]),
        ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], ["a0eebc99", 5]),
        ("date", ["2024-02-29", "infinity", "0044-03-15 BC"], ["29.02.2024", "2024-2-9", 20240229, "today"]),
        ("timestamp without time zone", ["2024-02-29T12:00:00.000000", "-infinity"], ["now", "2024-02-29", 5]),
        ("timestamp with time zone", ["2024-02-29T12:00:00.000000Z"], ["tomorrow", True]),
        ("bytea", ["", "AAH/"], ["A", "!!!!", 5, "AA\u00e9="]),
        ("jsonb", ['{"a": 1}'], [{"a": 1}, 1]),
        ("integer[]", [[1, None], [[1], [2]], []], ["1", [1.5], [["x"]], {}]),
        ("bytea[]", [["AAH/", None]], [["!"]]),
        ("tsvector", ["'a'"], [1]),
    ],
)
def test_the_wire_s_spelling_is_checked_by_type(type_text: str, good: list[Any], bad: list[Any]) -> None:
    checked = table("t", column("c", type_text))
    for value in [*good, None]:
        assert check_row(checked, {"c": value}) == {"c": value}
    for value in bad:
        with pytest.raises(WireInvalid):
            check_row(checked, {"c": value})


def test_bytes_reach_the_database_as_hex() -> None:
    checked = table("t", column("c", "bytea"), column("d", "bytea[]"))
    assert for_database(checked, {"c": "AAH/", "d": ["AA==", None]}) == {"c": "\\x0001ff", "d": ["\\x00", None]}
    assert for_database(checked, {"c": None, "d": None}) == {"c": None, "d": None}


@pytest.mark.parametrize(
    ("type_text", "value", "text"),
    [
        ("integer", "007", "7"),
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("character(5)", "ab   ", "ab"),
        ("bytea", "AAH/", "\\x0001ff"),
        ("boolean", True, "true"),
    ],
)
def test_a_key_is_spelt_as_the_history_does(type_text: str, value: Any, text: str) -> None:
    keyed = table("t", column("k", type_text, 1))
    assert key_text(keyed, {"k": value}) == (text,)
    strange: Any
    for strange in (None, {}, [], "\x00"):
        with pytest.raises(KeyInvalid):
            key_text(keyed, {"k": strange})
