"""0 done, 1 refused, 2 usage, 3 no connection; each with a sentence, none with the token."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.yurtctl.scripted import TOKEN, ScriptedGateway

ROOT = Path(__file__).parents[4]
GET = "GET /operator/v1/subscribers?limit=200"
EMPTY: dict[str, Any] = {"items": [], "next": None}


def test_a_success_ends_with_0_and_sent_the_token(gateway: ScriptedGateway) -> None:
    gateway.answer(GET, EMPTY)
    ended = gateway.call("subscriber", "list")
    assert (ended.code, ended.out, ended.err) == (0, "There are no subscribers.\n", "")
    assert gateway.asked[0].authorization == f"Bearer {TOKEN}"


def test_a_refusal_ends_with_1_and_the_code_on_stderr(gateway: ScriptedGateway) -> None:
    gateway.refuse(GET, 401, "not_authenticated", "The operator's token is needed.")
    ended = gateway.call("subscriber", "list")
    assert (ended.code, ended.out, ended.err) == (1, "", "not_authenticated: The operator's token is needed.\n")


def test_a_refusal_for_scripts_is_the_problem_document(gateway: ScriptedGateway) -> None:
    gateway.refuse(GET, 503, "service_unavailable", "Later.", more=[1])
    ended = gateway.call("subscriber", "list", "--json")
    assert (ended.code, ended.out) == (1, "")
    problem = json.loads(ended.err)
    assert (problem["code"], problem["detail"], problem["more"]) == ("service_unavailable", "Later.", [1])


@pytest.mark.parametrize(
    "arguments",
    [
        ("subscriber", "put", "acme"),
        ("subscriber", "put", "acme", "--name", "A", "--plan", "gold", "--local-licence"),
        ("subscriber", "put", "acme", "--name", "A", "--plan", "prof", "--local-licence", "--valid-until", "soon"),
        ("subscriber", "put", "acme", "--name", "A", "--plan", "prof", "--local-licence", "--extra-seats", "-1"),
        ("subscriber", "show", ""),
        ("subscriber", "show", ".."),
        (
            "application",
            "attach",
            "nowhere.toml",
            "--code",
            "a",
            "--subscriber",
            "b",
            "--title",
            "c",
            "--connection",
            "d",
        ),
        ("application", "detach", "trade"),
        ("application", "restored", "trade"),
        ("user", "put", "trade", "anna", "--full-name", "Anna", "--role", "king"),
        ("user", "put", "trade", "anna", "--full-name", "Anna", "--role", "user", "--password-stdin"),
        ("exchange", "list", "trade", "--csv", "--json"),
        ("exchange", "list", "trade", "--from", "yesterday"),
        ("dead-letter", "replay"),
        ("nonsense",),
        ("subscriber", "list", "--url", "ftp://there"),
        ("subscriber", "list", "--url", "http://[half"),
        ("subscriber", "list", "--url", "http://host:port"),
    ],
)
def test_a_mistake_in_the_call_ends_with_2_before_anything_is_asked(
    gateway: ScriptedGateway, arguments: tuple[str, ...]
) -> None:
    ended = gateway.call(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert gateway.asked == []


def test_a_service_that_is_not_there_ends_with_3(gateway: ScriptedGateway) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ended = gateway.call("subscriber", "list", "--url", url.replace("//", "//somebody:secret@"))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"Nobody answers at {url}: does the service run there?\n"


@pytest.mark.parametrize(
    "answer",
    [(502, "text/html", "<h1>Bad gateway</h1>"), (200, "text/html", "Welcome"), (200, "application/json", "[]")],
)
def test_somebody_else_who_answers_ends_with_3(gateway: ScriptedGateway, answer: tuple[int, str, str]) -> None:
    gateway.answers[GET] = answer
    ended = gateway.call("subscriber", "list", "--json")
    assert (ended.code, ended.out) == (3, "")
    assert json.loads(ended.err)["code"] == "no_connection"
    assert "is not Yurt" in ended.err


def test_the_token_comes_from_the_named_file_then_the_environment_then_the_home(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    gateway.answer(GET, EMPTY)
    named = tmp_path / "named"
    named.write_text("named\n")
    (tmp_path / "operator-token").write_text("homely\n")
    home = str(tmp_path)
    gateway.call("subscriber", "list", "--token-file", str(named), YURT_HOME=home)
    gateway.call("subscriber", "list", YURT_HOME=home)
    gateway.call("subscriber", "list", YURT_HOME=home, YURT_OPERATOR_TOKEN=None)
    assert [asked.authorization for asked in gateway.asked] == ["Bearer named", f"Bearer {TOKEN}", "Bearer homely"]


@pytest.mark.parametrize("content", ["", "two words", "line\nbreak", "знак"])
def test_a_file_that_holds_no_token_is_a_mistake_and_is_not_shown(
    gateway: ScriptedGateway, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    ended = gateway.call("subscriber", "list", "--token-file", str(file))
    assert ended.code == 2
    assert not content or content not in ended.err
    assert gateway.asked == []


def test_without_a_token_it_is_said_where_one_is_looked_for(gateway: ScriptedGateway, tmp_path: Path) -> None:
    ended = gateway.call("subscriber", "list", YURT_OPERATOR_TOKEN=None, YURT_HOME=str(tmp_path))
    assert ended.code == 2
    assert "--token-file" in ended.err
    assert str(tmp_path / "operator-token") in ended.err


def test_as_a_process_it_ends_with_the_same_codes_and_completes_commands(gateway: ScriptedGateway) -> None:
    gateway.answer(GET, EMPTY)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "YURT_URL": gateway.url, "YURT_OPERATOR_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-m", "deploy.yurtctl", *arguments]
        return subprocess.run(command, env=env | environment, capture_output=True, text=True, check=False)

    listed = run("subscriber", "list", "--json")
    assert (listed.returncode, json.loads(listed.stdout), listed.stderr) == (0, [], "")
    assert run("subscriber", "list", "--url", "http://127.0.0.1:1").returncode == 3
    assert run("subscriber").returncode == 2
    completion = run(_YURTCTL_COMPLETE="complete_bash", COMP_WORDS="yurtctl appl", COMP_CWORD="1")
    assert completion.stdout.split() == ["application"]
    plans = run(_YURTCTL_COMPLETE="complete_bash", COMP_WORDS="yurtctl subscriber put --plan ", COMP_CWORD="4")
    assert plans.stdout.split() == ["prof", "extended", "optimal", "starter"]
