"""The commands, as a person types them."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from tests.unit.workplace.scripted_gateway import Answer, Gateway, Request, delta, problem
from tests.unit.workplace.small_replica import make_replica
from tests.unit.workplace.test_pull import order
from workplace.terminal.main import main

Captured = pytest.CaptureFixture[str]


class Program:
    """The program beside a replica."""

    def __init__(self, folder: Path, captured: Captured) -> None:
        self.folder = folder
        self._captured = captured
        self.out = ""
        self.err = ""

    def __call__(self, *words: str) -> int:
        code = main(words, self.folder / "yurt-workplace.pyz")
        self.out, self.err = self._captured.readouterr()
        return code


@pytest.fixture
def program(path: Path, capsys: Captured) -> Program:
    return Program(path.parent.parent, capsys)


@pytest.fixture
def signed_in(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("YURT_PASSWORD", "secret")
    assert program("activate", "--login", "aigul", "--proxy", "none") == 0
    return program


def test_status_needs_no_network(tmp_path: Path, capsys: Captured) -> None:
    program = Program(make_replica(tmp_path / "alone").parent.parent, capsys)
    assert program("status") == 0
    assert "Склад Алматы (B)" in program.out
    assert "never" in program.out
    assert program("status", "--json") == 0
    status = json.loads(program.out)
    assert (status["unsent"], status["activated"], status["free_keys"]) == (0, False, {"goods": 10})


def test_commands_speak_the_language_that_was_told(program: Program) -> None:
    assert program("--lang", "ru", "статус") == 0
    assert "Рабочее место" in program.out
    assert program("--lang", "kk", "статус") == 0
    assert "Жұмыс орны" in program.out
    assert program("--lang", "ru", "помощь") == 0
    assert "синхронизация" in program.out
    assert "usage" not in program.out


def test_what_is_not_understood_is_exit_code_2(program: Program) -> None:
    assert program("--lang", "ru", "показать") == 2
    assert "не хватает: TABLE, KEY" in program.err
    assert program("nonsense") == 2
    assert "'nonsense': no such choice" in program.err
    assert program("list", "orders", "--limit", "many") == 2
    assert program("list", "nowhere") == 2
    assert "customers" in program.err


def test_lists_filter_and_limit(program: Program) -> None:
    assert program("list") == 0
    assert program.out.splitlines()[1:] == ["customers\t2\t", "goods\t2\t", "orders\t2\t", "rates\t0\tread only"]
    assert program("list", "customers", "--where", "name=Бер%") == 0
    assert program.out.splitlines() == ["id\tname\tstamp\tactive", "БЕРЁЗ\tБерёзка\t<2 B>\tno"]
    assert program("list", "order_lines", "--where", "order_id=o1", "--columns", "id,price", "--json") == 0
    assert json.loads(program.out) == [{"id": "l1", "price": "12.50"}, {"id": "l2", "price": "99.90"}]
    assert program("list", "goods", "--limit", "1") == 0
    assert "first 1" in program.err


def test_a_record_is_shown_with_its_lines_by_key_or_number(program: Program) -> None:
    assert program("show", "orders", "o1") == 0
    by_key = program.out
    assert program("show", "orders", "B-1") == 0
    assert program.out == by_key
    assert "order_lines (2)" in by_key
    assert "99.90" in by_key
    assert program("show", "orders", "B-77") == 1


def test_a_document_is_created_changed_and_deleted(program: Program) -> None:
    assert program("edit", "orders", "--new", "id=o9", "customer_id=ALFKI", "note=a b", "ordered_on=31.12.2026",
                   "--add", "order_lines", "id=l9", "good_id=1", "quantity=2", "price=0,3") == 0  # fmt: skip
    assert program("show", "orders", "o9", "--json") == 0
    shown = json.loads(program.out)
    assert (shown["row"]["number"], shown["row"]["ordered_on"]) == ("B-3", "2026-12-31")
    assert [line["price"] for line in shown["parts"]["order_lines"]] == ["0.30"]
    assert program("edit", "orders", "B-1", "note=", "--line", "order_lines", "l1", "quantity=7",
                   "--remove", "order_lines", "l2") == 0  # fmt: skip
    assert program("show", "orders", "o1", "--json") == 0
    assert [line["quantity"] for line in json.loads(program.out)["parts"]["order_lines"]] == [7]
    assert program("edit", "orders", "o2", "--delete") == 0
    assert program("status", "--json") == 0
    assert json.loads(program.out)["unsent"] == 3


def test_a_leased_key_fills_itself(program: Program) -> None:
    assert program("edit", "goods", "--new", "name=Сок", "price=1", "--json") == 0
    assert json.loads(program.out) == {"table": "goods", "key": {"id": 100}}
    for _ in range(9):
        assert program("edit", "goods", "--new", "name=Сок", "price=1") == 0
    assert program("edit", "goods", "--new", "name=Сок", "price=1") == 1
    assert "No free numbers" in program.err


def test_a_wrong_edit_changes_nothing_and_says_why(program: Program) -> None:
    cases = {
        ("edit", "orders", "o1", "nosuch=1"): (2, "no such column"),
        ("edit", "goods", "1", "price=1.999"): (2, "too many digits"),
        ("edit", "goods", "1", "name"): (2, "column=value"),
        ("edit", "customers", "ALFKI", "active="): (2, "must not be empty"),
        ("edit", "orders", "o1", "total=5"): (2, "computed"),
        ("edit", "orders", "o1"): (2, "what is to be changed"),
        ("edit", "orders", "o1", "customer_id=NOBODY"): (1, "missing"),
        ("edit", "rates", "--new", "id=1"): (1, "read-only"),
        ("edit", "orders", "o1", "note=x", "--remove", "order_lines", "l3"): (1, "no such record"),
    }
    for words, (code, said) in cases.items():
        assert program(*words) == code, words
        assert said in program.err, words
    assert program("status", "--json") == 0
    assert json.loads(program.out)["unsent"] == 0


def test_the_first_synchronisation_asks_for_the_password(
    program: Program, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    assert program("sync", "--login", "aigul", "--password-stdin", "--proxy", "none") == 0
    assert "activated for aigul" in program.err
    assert "up to date" in program.out
    assert gateway.requests[0].document["login"] == "aigul"


def test_where_nobody_can_be_asked_it_says_what_is_needed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert program("sync", "--proxy", "none") == 1
    assert "--password-stdin" in program.err


def test_an_exchange_tells_what_went_each_way(signed_in: Program, gateway: Gateway) -> None:
    gateway.deltas.append(delta([order("o2", "theirs")], position="p5"))
    assert signed_in("edit", "orders", "o1", "note=mine") == 0
    assert signed_in("sync") == 0
    assert "Sent: 1" in signed_in.out
    assert "Received: 1 changed" in signed_in.out
    assert gateway.lines(1)[0]["edited_by"] == "aigul"
    assert signed_in("status") == 0
    assert "sent 1, received 1" in signed_in.out


def test_problems_that_come_back_are_exit_code_3_and_both_versions_are_shown(
    signed_in: Program, gateway: Gateway
) -> None:
    gateway.results[1] = [{"seq": 1, "status": "rejected", "code": "closed_period", "detail": "", "problem": "pr-1"}]
    gateway.deltas.append(delta([order("o1", "theirs")], position="p5"))
    assert signed_in("edit", "orders", "o1", "note=mine") == 0
    assert signed_in("sync") == 3
    gateway.problems = [
        {"id": "pr-1", "state": "open", "in_force": "service"},
        {"id": "pr-2", "state": "open", "kind": "conflict", "table": "goods", "key": {"id": 1}, "code": "conflict",
         "in_force": "workplace", "pushed": {"row": {"name": "ours"}}, "service": {"row": {"name": "theirs"}}},
    ]  # fmt: skip
    assert signed_in("problems") == 0
    assert "The period is closed" in signed_in.out
    assert "note\tmine\ttheirs" in signed_in.out
    assert "in force: service" in signed_in.out
    assert "name\tours\ttheirs" in signed_in.out
    gateway.problems = [{"id": "pr-1", "state": "accepted"}]
    assert signed_in("problems") == 0
    assert signed_in.out == "No problems.\n"


def test_problems_known_here_are_shown_without_a_connection(signed_in: Program, gateway: Gateway) -> None:
    gateway.results[1] = [{"seq": 1, "status": "conflict", "code": "conflict", "detail": "", "problem": "pr-1"}]
    assert signed_in("edit", "orders", "o1", "note=mine") == 0
    assert signed_in("sync") == 3
    assert signed_in("problems", "--service", "http://127.0.0.1:9") == 0
    assert "orders id=o1" in signed_in.out
    assert "not reached" in signed_in.err
    assert signed_in("problems", "--seen", "1") == 0
    assert signed_in("problems", "--seen", "1") == 2


def test_a_problem_that_was_reopened_is_on_the_list_again(signed_in: Program, gateway: Gateway) -> None:
    gateway.results[1] = [{"seq": 1, "status": "conflict", "code": "conflict", "detail": "", "problem": "pr-1"}]
    assert signed_in("edit", "orders", "o1", "note=mine") == 0
    assert signed_in("sync") == 3
    assert signed_in("problems", "--seen", "1") == 0
    gateway.problems = [{"id": "pr-1", "state": "accepted"}]
    assert signed_in("problems") == 0
    assert signed_in.out == "No problems.\n"
    history = [
        {"action": "accepted", "by": "anna", "at": "2026-01-01T00:00:00.000000Z"},
        {"action": "reopened", "by": "boris", "at": "2026-01-02T00:00:00.000000Z"},
        {"action": "commented", "by": "vera", "at": "2026-01-03T00:00:00.000000Z"},
    ]
    gateway.problems = [{"id": "pr-1", "state": "open", "in_force": "service", "history": history,
                         "corrected_at": "2026-01-04T00:00:00.000000Z"}]  # fmt: skip
    assert signed_in("problems") == 0
    assert "#1 orders id=o1" in signed_in.out
    assert "opened again by boris" in signed_in.out
    assert "a later change of this record from here was taken, 2026-01-04" in signed_in.out
    assert signed_in("status") == 0
    assert re.search(r"^Problems +1$", signed_in.out, re.MULTILINE)


def test_a_comment_goes_to_the_service_and_is_shown_with_who_said_it(signed_in: Program, gateway: Gateway) -> None:
    gateway.results[1] = [{"seq": 1, "status": "conflict", "code": "conflict", "detail": "", "problem": "pr-1"}]
    assert signed_in("edit", "orders", "o1", "note=mine") == 0
    assert signed_in("sync") == 3
    gateway.problems = [{"id": "pr-1", "state": "open", "in_force": "service"}]
    assert signed_in("problems", "--comment", "1", "the customer says so") == 0
    assert signed_in("problems", "--comment", "pr-1", "and so do I") == 0
    assert signed_in("problems") == 0
    assert "aigul, 2026-01-01T00:00:00.000000Z: the customer says so" in signed_in.out
    sent = [request for request in gateway.requests if request.path.endswith("/comments")]
    assert len({request.headers["idempotency-key"] for request in sent}) == 2
    assert signed_in("problems", "--comment", "7", "which?") == 2
    assert signed_in("problems", "--comment", "pr-7", "which?") == 1
    assert signed_in("problems", "--comment", "1") == 2


def test_no_connection_is_exit_code_4(signed_in: Program) -> None:
    assert signed_in("sync", "--service", "http://127.0.0.1:9") == 4
    assert "your work is kept" in signed_in.err


def test_a_token_that_ended_asks_again_once(signed_in: Program, gateway: Gateway) -> None:
    gateway.token = "another" * 5
    assert signed_in("sync") == 0
    assert [path for path in gateway.paths() if path.endswith("activation")] != []


def test_verify_says_when_nothing_could_be_compared(signed_in: Program) -> None:
    assert signed_in("verify") == 1  # this gateway states no digests
    assert "Not compared" in signed_in.out
    assert signed_in("status") == 0
    assert "not possible" in signed_in.out


def test_how_often_exchanges_compare_is_set_and_remembered(signed_in: Program) -> None:
    assert signed_in("verify", "--every", "12,5") == 0
    assert "every 12.5 h" in signed_in.out
    for told, hours in (("never", None), ("exchange", 0), ("12.5", 12.5)):
        assert signed_in("verify", "--every", told) == 0
        assert signed_in("status", "--json") == 0
        assert json.loads(signed_in.out)["verify_hours"] == hours
    for told in ("-1", "nan", "soon", "1e9"):
        assert signed_in("verify", f"--every={told}") == 2
    assert signed_in("status", "--json") == 0
    assert json.loads(signed_in.out)["verify_hours"] == 12.5


def test_a_refusal_is_a_sentence(signed_in: Program, gateway: Gateway) -> None:
    def refuse(request: Request) -> Answer | None:
        answer = problem(503, "maintenance")
        answer.headers["Retry-After"] = "60"
        return answer

    gateway.faults.append(refuse)
    assert signed_in("--lang", "ru", "синхронизация") == 1
    assert "Идёт обслуживание сервиса" in signed_in.err
    assert "60" in signed_in.err


def test_a_folder_that_is_no_workplace_is_named(tmp_path: Path, capsys: Captured) -> None:
    program = Program(tmp_path, capsys)
    assert program("status") == 1
    assert "Unzip the whole package" in program.err
    (tmp_path / "infobase.db").write_bytes(b"no database" * 100)
    assert program("status") == 1
    assert "damaged" in program.err
