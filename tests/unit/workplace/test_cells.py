"""What people type, as the replica spells it."""

import pytest

from workplace.engine.cells import parse
from workplace.engine.failures import WrongValue
from workplace.engine.layout import Column


@pytest.mark.parametrize(
    ("type_text", "typed", "stored"),
    [
        ("numeric(12,2)", "12,5", "12.50"),
        ("numeric(12,2)", "1 000 000.10", "1000000.10"),
        ("numeric(30,10)", "12345678901234567890.0123456789", "12345678901234567890.0123456789"),
        ("numeric", "0.30", "0.30"),
        ("numeric", "1e3", "1000"),
        ("integer", "-7", -7),
        ("bigint", "9007199254740993", 9007199254740993),
        ("boolean", "да", 1),
        ("boolean", "жоқ", 0),
        ("date", "31.12.2026", "2026-12-31"),
        ("date", "2026-12-31", "2026-12-31"),
        ("timestamp without time zone", "2026-12-31 10:20", "2026-12-31T10:20:00.000000"),
        ("timestamp with time zone", "2026-12-31T10:20:00+05:00", "2026-12-31T05:20:00.000000Z"),
        ("uuid", "AAAAAAAA-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000001"),
        ("bytea", "Af8=", b"\x01\xff"),
        ("integer[]", "[1, 2]", "[1,2]"),
        ("double precision", "0,1", 0.1),
        ("character(3)", "ab", "ab "),
        ("text", "", ""),
        ("integer", "", None),
        ("date", "", None),
    ],
)
def test_a_value_is_stored_as_the_database_prints_it(type_text: str, typed: str, stored: object) -> None:
    assert parse(Column("c", type_text, nullable=True, generated=False), typed) == stored


@pytest.mark.parametrize(
    ("type_text", "typed", "code"),
    [
        ("numeric(12,2)", "0.001", "too_many_digits"),
        ("numeric(4,2)", "100", "too_many_digits"),
        ("numeric", "NaN", "wrong_value"),
        ("smallint", "40000", "wrong_value"),
        ("integer", "1.5", "wrong_value"),
        ("boolean", "perhaps", "wrong_value"),
        ("date", "2026-02-30", "wrong_value"),
        ("character varying(3)", "abcd", "too_long"),
        ("jsonb", "{", "wrong_value"),
        ("integer[]", "{}", "wrong_value"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_column(type_text: str, typed: str, code: str) -> None:
    with pytest.raises(WrongValue) as wrong:
        parse(Column("c", type_text, nullable=True, generated=False), typed)
    assert (wrong.value.code, wrong.value.extra["column"]) == (code, "c")
