"""What is asked of a person at a terminal: a pseudo-terminal, typed at by the test."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.deploy.yurtctl.scripted import TOKEN, ScriptedGateway

ROOT = Path(__file__).parents[4]
PUT = ("user", "put", "trade", "anna", "--full-name", "Anna", "--role", "user")


def converse(gateway: ScriptedGateway, arguments: tuple[str, ...], turns: list[tuple[str, str]]) -> tuple[int, str]:
    """Exit code and everything seen; each turn waits for its question, then types its answer."""
    person, terminal = pty.openpty()
    env = {**os.environ, "YURT_URL": gateway.url, "YURT_OPERATOR_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "deploy.yurtctl", *arguments]
    program = subprocess.Popen(
        command, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    seen = ""
    try:
        for question, answer in turns:
            while question not in seen:
                seen += os.read(person, 1000).decode(errors="replace")
            os.write(person, f"{answer}\n".encode())
        while True:
            try:
                seen += os.read(person, 1000).decode(errors="replace")
            except OSError:  # the program has closed its end
                return program.wait(), seen
    finally:
        program.kill()
        program.wait()
        os.close(person)


def test_a_password_is_asked_for_twice_and_not_shown(gateway: ScriptedGateway) -> None:
    gateway.answer("PUT /operator/v1/applications/trade/users/anna", {"login": "anna"}, 201)
    code, seen = converse(gateway, PUT, [("as it is): ", "wide horse"), ("Once more: ", "wide horse")])
    assert code == 0, seen
    assert gateway.asked[0].body["password"] == "wide horse"
    assert "horse" not in seen


def test_an_empty_password_stays_as_it_is(gateway: ScriptedGateway) -> None:
    gateway.answer("PUT /operator/v1/applications/trade/users/anna", {"login": "anna"}, 200)
    code, seen = converse(gateway, PUT, [("as it is): ", "")])
    assert code == 0, seen
    assert "password" not in gateway.asked[0].body


def test_two_different_passwords_change_nothing(gateway: ScriptedGateway) -> None:
    code, seen = converse(gateway, PUT, [("as it is): ", "one"), ("Once more: ", "two")])
    assert (code, "differ" in seen) == (2, True)
    assert gateway.asked == []


@pytest.mark.parametrize(("answer", "asked"), [("y", 1), ("n", 0)])
def test_detaching_asks_first(gateway: ScriptedGateway, answer: str, asked: int) -> None:
    gateway.answers["DELETE /operator/v1/applications/trade"] = (204, "", "")
    code, seen = converse(gateway, ("application", "detach", "trade"), [("detach it?", answer)])
    assert code == 1 - asked, seen
    assert len(gateway.asked) == asked
