import re
from pathlib import Path

import pytest

from shared.protocol.errors import ERRORS, Error

SOURCES = [path for top in ("services", "shared") for path in Path(top).rglob("*.py")]


@pytest.mark.parametrize("code", ERRORS)
def test_a_code_has_a_title_in_every_language(code: str) -> None:
    error = ERRORS[code]
    titles = [error.title("en"), error.title("ru"), error.title("kk")]
    assert all(titles)
    assert len(set(titles)) == 3
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert error.status is None or 400 <= error.status < 600


def test_no_code_stands_twice() -> None:
    written = re.findall(r'^    "(\w+)": Error\(', Path("shared/protocol/errors.py").read_text(), re.MULTILINE)
    assert sorted(written) == sorted(ERRORS)


def test_every_problem_raised_anywhere_is_registered() -> None:
    raised = {
        code for path in SOURCES for code in re.findall(r'\bProblem\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert raised
    assert raised <= ERRORS.keys()


def test_rejections_of_the_protocol_are_no_answers_by_themselves() -> None:
    for code in ("closed_period", "unique_violation", "outside_scope", "after_rejection", "application_error"):
        assert isinstance(ERRORS[code], Error)
        assert ERRORS[code].status is None
