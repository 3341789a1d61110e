"""Page, lines 14-26: every kind of value in the package, in a delta, in a message, and at its edges."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Json
from tests.e2e.contract.wire import RawNumber, dumps

pytestmark = pytest.mark.xdist_group("contract")

# column: (as PostgreSQL is told, as JSON has it, as the replica has it)
COLUMNS: dict[str, tuple[tuple[str, Any, Any], ...]] = {
    "small": (("-32768", -32768, -32768), ("32767", 32767, 32767)),
    "whole": (("-2147483648", -2147483648, -2147483648), ("0", 0, 0)),
    "big": (
        ("9007199254740991", 9007199254740991, 9007199254740991),
        ("9007199254740992", "9007199254740992", 9007199254740992),
        ("-9007199254740991", -9007199254740991, -9007199254740991),
        ("-9007199254740992", "-9007199254740992", -9007199254740992),
        ("9223372036854775807", "9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", "-9223372036854775808", -(2**63)),
    ),
    "exact": (
        ("0.10", "0.10", "0.10"),
        ("-0", "0", "0"),
        ("1e20", "100000000000000000000", "100000000000000000000"),
        ("NaN", "NaN", "NaN"),
        ("Infinity", "Infinity", "Infinity"),
        ("-Infinity", "-Infinity", "-Infinity"),
        ("123456789012345678901234567890.000100", *("123456789012345678901234567890.000100",) * 2),
    ),
    "scaled": (("1", "1.0000", "1.0000"), ("-99999999.9999", "-99999999.9999", "-99999999.9999")),
    "single": (
        ("0.1", 0.1, 0.1),
        ("3.4028235e38", 3.4028235e38, 3.4028235e38),
        ("1e-45", 1e-45, 1e-45),
        ("16777216", 16777216.0, 16777216.0),
        ("NaN", "NaN", "NaN"),
        ("Infinity", "Infinity", "Infinity"),
        ("-Infinity", "-Infinity", "-Infinity"),
    ),
    "twofold": (
        ("0.1", 0.1, 0.1),
        ("1.7976931348623157e308", 1.7976931348623157e308, 1.7976931348623157e308),
        ("5e-324", 5e-324, 5e-324),
        ("-0", -0.0, -0.0),
        ("100", 100.0, 100.0),
        ("NaN", "NaN", "NaN"),
        ("-Infinity", "-Infinity", "-Infinity"),
    ),
    "flag": (("true", True, 1), ("false", False, 0)),
    "words": tuple(
        (text, text, text)
        for text in ("", "Қазақстан 🏕", 'tab\t nl\n quote" back\\ ctrl\x01\x1f\x7f', "\u2028 \ufeff", " ")
    ),
    "short": (("юрта", "юрта", "юрта"),),
    "padded": (("ab", "ab    ", "ab    "), ("", " " * 6, " " * 6)),
    "feeling": (("весёлый", "весёлый", "весёлый"), ('it\'s "odd"', 'it\'s "odd"', 'it\'s "odd"')),
    "token": (("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", *("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",) * 2),),
    "day": (("2026-02-28", "2026-02-28", "2026-02-28"), ("0001-01-01", "0001-01-01", "0001-01-01")),
    "clock": (
        ("09:05", "09:05:00", "09:05:00"),
        ("23:59:59.5", "23:59:59.5", "23:59:59.5"),
        ("24:00", *("24:00:00",) * 2),
    ),
    "moment": (
        ("2026-01-02 03:04:05", *("2026-01-02T03:04:05.000000",) * 2),
        ("2026-01-02 03:04:05.12", *("2026-01-02T03:04:05.120000",) * 2),
    ),
    "instant": (("2026-01-02 03:04:05+05", *("2026-01-01T22:04:05.000000Z",) * 2),),
    "bytes": ((r"\x", "", b""), (r"\x00ff10", "AP8Q", b"\x00\xff\x10")),
    "doc": (
        ('{"b":1,  "a":[1.50, null]}', *('{"a": [1.50, null], "b": 1}',) * 2),
        ('"тест"', '"тест"', '"тест"'),
        ("null", "null", "null"),
    ),
    "docb": (('{"b":1,"a":"\\u0416"}', *('{"a": "Ж", "b": 1}',) * 2),),
    "numbers": (
        ("{}", [], "[]"),
        ("{1,NULL,-3}", [1, None, -3], "[1,null,-3]"),
        ("{{1,2},{3,4}}", [[1, 2], [3, 4]], "[[1,2],[3,4]]"),
    ),
    "texts": (
        (
            '{"a b","q\\"","Ж",NULL,"NULL",""}',
            ["a b", 'q"', "Ж", None, "NULL", ""],
            '["a b","q\\"","Ж",null,"NULL",""]',
        ),
    ),
    "nested": (("{{1.0,2.50},{NaN,0}}", [["1.0", "2.50"], ["NaN", "0"]], '[["1.0","2.50"],["NaN","0"]]'),),
    "instants": (("{2026-01-02 03:04:05+00}", ["2026-01-02T03:04:05.000000Z"], '["2026-01-02T03:04:05.000000Z"]'),),
    "flags": (("{t,f}", [True, False], "[true,false]"),),
    "blobs": ((r'{"\\x00ff10",NULL}', ["AP8Q", None], '["AP8Q",null]'),),
    "docs": (('{"{\\"b\\":1}"}', ['{"b": 1}'], '["{\\"b\\": 1}"]'),),
    "bigs": (("{9007199254740993,5}", ["9007199254740993", 5], '["9007199254740993",5]'),),
    "span": (
        ("1 year 2 mons 3 days 04:05:06.7", *("1 year 2 mons 3 days 04:05:06.7",) * 2),
        ("-1 days +02:03:00", *("-1 days +02:03:00",) * 2),
    ),
    "cash": (("12.5", "$12.50", "$12.50"), ("-1234567.89", *("-$1,234,567.89",) * 2)),
    "address": (("10.0.0.1/24", "10.0.0.1/24", "10.0.0.1/24"), ("::1", "::1", "::1")),
    "network": (("10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16"),),
    "bits": (("0101", "0101", "0101"),),
    "place": (("(1,2.5)", "(1,2.5)", "(1,2.5)"),),
    "reach": (("[1,5]", "[1,6)", "[1,6)"), ("empty", "empty", "empty")),
    "zoned": (("09:00+05", "09:00:00+05", "09:00:00+05"),),
    "counted": (("7", 7, 7),),
}
CASES = [(column, *case) for column, cases in COLUMNS.items() for case in cases]
FIRST = 1_000_000


@pytest.fixture(scope="module")
def both(office: Office) -> tuple[Workplace, dict[int, Json], Workplace]:
    """A workplace whose package holds every case, and what one that had none of them got as a delta."""
    earlier = office.workplace(office.first, synchronised=True)
    for n, (column, told, _, _) in enumerate(CASES):
        office.sql(f"INSERT INTO every_type (id, {column}) VALUES (%s, %s)", FIRST + n, told)
    office.sql("INSERT INTO every_type (id, floats) VALUES (%s, '{0.1,1e300,-0,NaN,5,1e-7,Infinity}')", FIRST - 1)
    delta = earlier.exchange().delta
    assert delta
    assert earlier.verified(delta)
    return office.workplace(office.organisation()), {p["key"]["id"]: p["row"] for p in delta.of("every_type")}, earlier


@pytest.mark.parametrize("n", range(len(CASES)), ids=[f"{c[0]}:{c[1]}"[:30] for c in CASES])
def test_a_value_in_a_delta_and_in_the_package_is_as_the_table_says(
    both: tuple[Workplace, dict[int, Json], Workplace], n: int
) -> None:
    """Lines 16-26."""
    column, _, wire, stored = CASES[n]
    package, delta, earlier = both
    got = delta[FIRST + n][column]
    assert dumps(got) == dumps(wire) or (isinstance(wire, float) and isinstance(got, int | float) and got == wire)
    for replica in (package, earlier):
        (kept,) = replica.rows(f"SELECT {column} FROM every_type WHERE id = ?", FIRST + n)[0]
        assert kept == stored
        assert type(kept) is type(stored)


def test_nulls_are_null_everywhere(both: tuple[Workplace, dict[int, Json], Workplace]) -> None:
    """Lines 14-26."""
    package, delta, _ = both
    row = delta[FIRST]
    assert all(row[c] is None for c in row if c not in {"id", CASES[0][0]})
    kept = package.row("SELECT * FROM every_type WHERE id = ?", FIRST) or {}
    assert all(kept[c] is None for c in kept if c not in {"id", CASES[0][0]})


def test_an_array_stands_in_the_replica_as_it_was_spelt_in_the_delta(
    both: tuple[Workplace, dict[int, Json], Workplace],
) -> None:
    """Line 25."""
    package, delta, earlier = both
    wire = delta[FIRST - 1]["floats"]
    assert [float(v) if not isinstance(v, str) else v for v in wire] == [0.1, 1e300, 0.0, "NaN", 5.0, 1e-7, "Infinity"]
    assert all(isinstance(v, str | int | RawNumber) for v in wire)
    for replica in (package, earlier):
        assert replica.rows("SELECT floats FROM every_type WHERE id = ?", FIRST - 1)[0][0] == dumps(wire)


def test_every_value_written_in_a_replica_arrives_as_the_same_value(
    office: Office, both: tuple[Workplace, dict[int, Json], Workplace]
) -> None:
    """Lines 16-26: messages."""
    workplace = both[2]
    for n, (column, _, _, stored) in enumerate(CASES):
        workplace.db.execute(f"INSERT INTO every_type (id, {column}) VALUES (?, ?)", [2 * FIRST + n, stored])
    done = workplace.exchange()
    assert done.results == []
    assert done.answers[0]["counts"]["applied"] == len(CASES)
    differing = office.sql(
        "SELECT a.id FROM every_type a JOIN every_type b ON b.id = a.id + %s"
        " WHERE (to_jsonb(a) - 'id') IS DISTINCT FROM (to_jsonb(b) - 'id') AND a.id >= %s",
        FIRST,
        FIRST,
    )
    assert [CASES[row["id"] - FIRST] for row in differing] == []


def test_values_spelt_otherwise_are_taken_and_come_back_as_the_database_prints_them(office: Office) -> None:
    """Lines 16-26 and 143."""
    workplace = office.workplace(office.first)
    key = 3 * FIRST
    workplace.db.execute(
        "INSERT INTO every_type (id, exact, scaled, doc, token, instant, padded, span) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            key,
            "1e2",
            "1",
            '{"b":1,"a":2}',
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "2026-01-02T03:04:05+05:00",
            "x",
            "P1D",
        ],
    )
    done = workplace.exchange()
    assert done.results == []
    kept = workplace.row("SELECT * FROM every_type WHERE id = ?", key)
    assert kept
    assert kept["scaled"] == "1.0000"
    assert Decimal(kept["exact"]) == 100
    assert json.loads(kept["doc"]) == {"a": 2, "b": 1}
    assert kept["doc"] == '{"a": 2, "b": 1}'
    assert kept["token"] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert kept["instant"] == "2026-01-01T22:04:05.000000Z"
    assert kept["padded"] == "x     "
    assert kept["span"] == "1 day"
    assert done.delta
    assert workplace.verified(done.delta)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("small", 40000),
        ("small", "x"),
        ("whole", 1.5),
        ("flag", "maybe"),
        ("flag", 2),
        ("exact", "1,5"),
        ("exact", True),
        ("token", "no-uuid"),
        ("day", "2026-02-30"),
        ("moment", "soon"),
        ("bytes", "not base64!"),
        ("doc", "{"),
        ("numbers", "{1,2}"),
        ("numbers", [[1], [1, 2]]),
        ("words", "nul\x00"),
        ("words", 5),
        ("words", {"a": 1}),
        ("feeling", "sad"),
        ("big", "9223372036854775808"),
        ("single", "1e400"),
        ("short", "x" * 41),
        ("padded", "1234567"),
    ],
)
def test_a_value_its_column_cannot_hold_is_an_invalid_value_and_stops_nothing_else(
    office: Office, both: tuple[Workplace, dict[int, Json], Workplace], column: str, value: object
) -> None:
    """Line 135."""
    workplace = both[2]
    opened = workplace.begin()
    names = [n for n, c in workplace.columns("every_type").items() if not c["generated"]]
    empty = dict.fromkeys(names)
    stamp: Json = {
        "base": None,
        "before": {},
        "parts_before": {},
        "parts": {},
        "edited_at": "2026-01-01T00:00:00.000000Z",
        "edited_by": "x",
        "op": "put",
        "table": "every_type",
    }
    key = 4 * FIRST + abs(hash((column, str(value)))) % FIRST
    bad = {**stamp, "seq": 1, "key": {"id": key}, "row": {**empty, "id": key, column: value}}
    fine = {**stamp, "seq": 2, "key": {"id": key + FIRST}, "row": {**empty, "id": key + FIRST, "words": "fine"}}
    answer = workplace.pushed(opened, bad, fine)
    assert [(r["seq"], r["status"], r["code"]) for r in answer["results"]] == [(1, "rejected", "invalid_value")]
    assert answer["counts"]["applied"] == 1
    assert office.sql("SELECT id FROM every_type WHERE id = %s", key) == []
    assert office.one("SELECT words FROM every_type WHERE id = %s", key + FIRST)["words"] == "fine"
