"""Rules without I/O: rights, versions, marks, ids, tokens in files."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from services.sync_gateway.access.callers import Person
from services.sync_gateway.access.rights import may_read, require_administrator, require_manager, require_reader
from services.sync_gateway.administration.marks import page, read_mark, write_mark
from services.sync_gateway.exchange.compatibility import require_program
from services.sync_gateway.moments import id_of
from services.sync_gateway.settings import OperatorSettings
from shared.runtime.problem import Problem


@dataclass
class Thing:
    application: str = "trade"
    users: list[str] = field(default_factory=lambda: ["anna"])


def person(login: str, **roles: str) -> Person:
    return Person(login, login.title(), roles, b"")


CASES = [
    (person("anna", trade="administrator"), None, None),
    (person("boss", trade="administrator"), None, None),
    (person("anna", trade="user"), None, "not_permitted"),
    (person("boris", trade="user"), "not_found", "not_found"),
    (person("anna", trade="synchronisation"), "not_permitted", "not_permitted"),
    (person("robot", trade="synchronisation"), "not_found", "not_found"),
    (person("anna", foreign="administrator"), "not_found", "not_found"),
    (person("anna"), "not_found", "not_found"),
]


@pytest.mark.parametrize(("caller", "reading", "managing"), CASES)
def test_what_each_role_may_do_with_a_workplace(caller: Person, reading: str | None, managing: str | None) -> None:
    assert refusal(require_reader, caller, Thing()) == reading
    assert refusal(require_manager, caller, Thing()) == managing
    assert may_read(caller, Thing()) is (reading is None)
    assert refusal(require_reader, caller, None) == "not_found"
    assert refusal(require_manager, caller, None) == "not_found"


def test_an_application_is_administered_by_its_administrators() -> None:
    assert refusal(require_administrator, person("anna", trade="administrator"), "trade") is None
    assert refusal(require_administrator, person("anna", trade="user"), "trade") == "not_permitted"
    assert refusal(require_administrator, person("anna", foreign="administrator"), "trade") == "not_found"


def refusal(rule: object, *parts: object) -> str | None:
    try:
        rule(*parts)  # type: ignore[operator]  # any of the rules
    except Problem as problem:
        return problem.code
    return None


def test_a_mark_comes_back_as_it_was_and_nothing_else_is_one() -> None:
    mark = (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), uuid4())
    assert read_mark(write_mark(*mark)) == mark
    assert read_mark(None) is None
    for other in ("x", "", "é", "W10", "bnVsbA", "WzEsMl0"):
        with pytest.raises(Problem):
            read_mark(other)


def test_the_last_page_has_no_next() -> None:
    assert page([1, 2], 2, "mark") == {"items": [1, 2], "next": None}
    assert page([1, 2, 3], 2, "mark") == {"items": [1, 2], "next": "mark"}


def test_an_id_is_written_in_one_way() -> None:
    known = uuid4()
    assert id_of(str(known)) == known
    for other in (known.hex, f"{{{known}}}", "x", ""):
        assert id_of(other) is None


def test_only_older_programs_of_our_name_are_refused() -> None:
    require_program("other/0.1", "yurt-workplace/1.2.0")
    require_program("yurt-workplace/1.10", "yurt-workplace/1.2.0")
    require_program("yurt-workplace/0.1", None)
    for old in ("yurt-workplace/1.1.9", "yurt-workplace/", "yurt-workplace"):
        assert refusal(require_program, old, "yurt-workplace/1.2.0") == "program_too_old"


def test_the_operators_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = OperatorSettings().resolve(tmp_path / "home")
    assert len(first) >= 43
    assert OperatorSettings().resolve(tmp_path / "home") == first
    assert (tmp_path / "home/operator-token").stat().st_mode & 0o777 == 0o600
