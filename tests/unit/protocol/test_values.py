# ruff: noqa: E501, Q003 -- a value to a line
"""Single values between the wire, the replica and what triggers write."""

import math
from typing import Any

import pytest

from shared.protocol.values import affinity, captured_to_wire, from_wire, to_wire

BIG = 2**53


@pytest.mark.parametrize(
    ("type_text", "wire", "replica"),
    [
        ("bigint", BIG - 1, BIG - 1), ("bigint", str(BIG), BIG), ("bigint", str(-(2**63)), -(2**63)),
        ("numeric(10,2)", "1.00", "1.00"), ("numeric", "NaN", "NaN"),
        ("real", 0.1, 0.1), ("double precision", "NaN", "NaN"), ("double precision", "-Infinity", "-Infinity"),
        ("boolean", True, 1), ("boolean", False, 0), ("bytea", "AP8=", b"\x00\xff"), ("bytea", "", b""),
        ("text", "қ", "қ"), ("character(3)", "a  ", "a  "), ("jsonb", '{"a": 1}', '{"a": 1}'),
        ("text[]", ["a\"\\", None, ["ә\x01"]], '["a\\"\\\\",null,["ә\\u0001"]]'), ("integer[]", [], "[]"),
        ("double precision[]", [1, 0.5, None, "NaN"], '[1,0.5,null,"NaN"]'),
        ("interval", "1 day", "1 day"), ("text", None, None),
    ],
)  # fmt: skip
def test_a_value_goes_over_the_wire_and_back(type_text: str, wire: Any, replica: Any) -> None:
    assert from_wire(type_text, wire) == replica
    assert to_wire(type_text, replica) == wire
    assert type(to_wire(type_text, replica)) is type(wire)


@pytest.mark.parametrize(
    ("type_text", "captured", "wire"),
    [
        ("bytea", "00FF", "AP8="), ("boolean", 1, True), ("bigint", BIG, str(BIG)), ("text", "x", "x"),
        ("double precision", 0.30000000000000004, 0.30000000000000004), ("integer[]", "[1,2]", [1, 2]), ("text", None, None),
    ],
)  # fmt: skip
def test_what_triggers_wrote_becomes_the_wire_s_spelling(type_text: str, captured: Any, wire: Any) -> None:
    assert captured_to_wire(type_text, captured) == wire


@pytest.mark.parametrize(
    ("type_text", "wire"),
    [
        ("integer", 1.5),
        ("integer", True),
        ("integer", "x"),
        ("boolean", 1),
        ("boolean", "true"),
        ("bytea", "?"),
        ("real", "x"),
    ],
)
def test_a_wire_value_of_another_type_is_refused(type_text: str, wire: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_wire(type_text, wire)


def test_what_does_not_fit_its_type_is_passed_on_for_the_service_to_name() -> None:
    assert to_wire("integer", "twelve") == "twelve"
    assert to_wire("boolean", 2) == 2
    assert to_wire("text", b"\x01") == "01"
    assert to_wire("integer[]", "{1,2}") == "{1,2}"
    assert to_wire("double precision", math.inf) == "Infinity"


def test_affinities_are_those_of_the_page() -> None:
    types = ["smallint", "boolean", "real", "double precision", "bytea", "numeric(5,2)", "integer[]", "jsonb", "date"]
    assert [affinity(name) for name in types] == ["INTEGER"] * 2 + ["REAL"] * 2 + ["BLOB"] + ["TEXT"] * 4
