"""What each command asks, and how it prints the answer."""

import json
from typing import Any

import pytest

from tests.unit.deploy.yurtctl.scripted import ScriptedGateway

ACME = {
    "code": "acme",
    "name": "ТОО «Акме»",
    "plan": "optimal",
    "extra_seats": 1,
    "valid_until": "2027-12-31",
    "local_licence": True,
    "limit": 3,
    "used": 2,
    "lapsed": False,
}
TRADE = {
    "code": "trade",
    "subscriber": "acme",
    "title": {"ru": "Торговля", "en": "Trade"},
    "configuration": "trading",
    "version": "1.2.0",
    "platform": ">=3.11",
    "connection": "trade-db",
    "area": None,
    "generation": "g1",
    "users": [{"login": "anna", "full_name": "Анна", "role": "administrator"}],
}
WORKPLACE: dict[str, Any] = {
    "id": "5f0c9c0e-0000-4000-8000-000000000001",
    "name": "Shop",
    "application": "trade",
    "state": "active",
    "reason": None,
    "progress": {"phase": "done", "done": 7, "total": 7},
    "organisations": None,
    "users": ["anna", "boris"],
    "prefix": "A",
    "package": {
        "filename": "Автономная работа.zip",
        "size": 1234567,
        "sha256": "0",
        "expires_at": "2026-02-01T00:00:00.000000Z",
    },
    "last_exchange": {"id": "e", "started_at": "2026-01-02T03:04:05.678901Z", "finished_at": None, "result": "open"},
    "unsent": 4,
    "created_at": "2026-01-01T00:00:00.000000Z",
}


def words(line: str) -> list[str]:
    return [part.strip() for part in line.split("  ") if part.strip()]


def test_subscribers_are_put_with_all_their_terms_and_shown(gateway: ScriptedGateway) -> None:
    gateway.answer("PUT /operator/v1/subscribers/acme", ACME, 201)
    ended = gateway.call(
        *("subscriber", "put", "acme", "--name", "ТОО «Акме»", "--plan", "optimal", "--extra-seats", "1"),
        *("--valid-until", "2027-12-31", "--local-licence"),
    )
    assert ended.code == 0, ended.err
    named = ("name", "plan", "extra_seats", "valid_until", "local_licence")
    assert gateway.asked[0].body == {name: ACME[name] for name in named}
    assert ["seats in use", "2 of 3"] in map(words, ended.out.splitlines())
    gateway.call("subscriber", "put", "acme", "--name", "A", "--plan", "prof", "--no-local-licence")
    assert gateway.asked[1].body == {
        "name": "A",
        "plan": "prof",
        "extra_seats": 0,
        "valid_until": None,
        "local_licence": False,
    }


def test_a_list_is_read_to_its_last_page(gateway: ScriptedGateway) -> None:
    gateway.answer("GET /operator/v1/subscribers?limit=200", {"items": [ACME], "next": "ac&me"})
    lapsed = ACME | {"code": "other", "lapsed": True, "plan": "prof"}
    gateway.answer("GET /operator/v1/subscribers?limit=200&after=ac%26me", {"items": [lapsed], "next": None})
    lines = gateway.call("subscriber", "list").out.splitlines()
    assert words(lines[0]) == ["code", "name", "plan", "extra seats", "seats in use", "valid until", "local licence"]
    assert words(lines[2]) == ["acme", "ТОО «Акме»", "optimal", "1", "2 of 3", "2027-12-31", "yes"]
    assert words(lines[3])[5] == "lapsed after 2027-12-31"
    assert gateway.call("subscriber", "list", "--json").json == [ACME, lapsed]


def test_who_uses_more_seats_than_he_has_is_shown_with_his_time(gateway: ScriptedGateway) -> None:
    over = ACME | {"used": 5, "over": 2, "grace_until": "2026-12-07T10:00:00.000001Z"}
    gateway.answer("GET /operator/v1/subscribers/acme", over)
    assert ["seats in use", "5 of 3, 2 over until 2026-12-07"] in map(
        words, gateway.call("subscriber", "show", "acme").out.splitlines()
    )
    gateway.answer("GET /operator/v1/subscribers/acme", over | {"grace_until": None})
    assert ["seats in use", "5 of 3, 2 over, suspended"] in map(
        words, gateway.call("subscriber", "show", "acme").out.splitlines()
    )


def test_applications_are_listed_and_shown(gateway: ScriptedGateway) -> None:
    gateway.answer("GET /operator/v1/applications?limit=200", {"items": [TRADE], "next": None})
    gateway.answer("GET /operator/v1/applications/trade", TRADE)
    listed = gateway.call("application", "list").out.splitlines()
    assert words(listed[2]) == ["trade", "acme", "Trade", "trading 1.2.0", "trade-db", "–"]
    shown = gateway.call("application", "show", "trade")
    assert ["users", "anna (administrator)"] in map(words, shown.out.splitlines())
    assert gateway.call("application", "show", "trade", "--json").json == TRADE


def test_detaching_and_restoring_want_a_yes(gateway: ScriptedGateway) -> None:
    gateway.answers["DELETE /operator/v1/applications/trade"] = (204, "", "")
    gateway.answer("POST /operator/v1/applications/trade/restored", {"code": "trade", "generation": "g2"})
    assert "--yes" in gateway.call("application", "detach", "trade").err
    assert gateway.call("application", "detach", "trade", "--yes", "--json").json == {"code": "trade", "detached": True}
    assert gateway.call("application", "restored", "trade", "--yes").out == "trade has the new generation g2.\n"


def test_a_password_comes_from_stdin_and_is_never_printed(gateway: ScriptedGateway) -> None:
    anna = {"login": "anna", "full_name": "Анна", "role": "user"}
    gateway.answer("PUT /operator/v1/applications/trade/users/anna", anna, 201)
    put = ("user", "put", "trade", "anna", "--full-name", "Анна", "--role", "user")
    ended = gateway.call(*put, "--password-stdin", stdin=" wide horse \nrest")
    assert ended.code == 0
    assert gateway.asked[0].body == {"full_name": "Анна", "role": "user", "password": " wide horse "}
    assert "horse" not in ended.out + ended.err
    assert gateway.call(*put).code == 0
    assert gateway.asked[1].body == {"full_name": "Анна", "role": "user"}


def test_users_are_listed_and_removed(gateway: ScriptedGateway) -> None:
    gateway.answer("GET /operator/v1/applications/trade", TRADE)
    gateway.answers["DELETE /operator/v1/applications/trade/users/a%2Fb"] = (204, "", "")
    assert words(gateway.call("user", "list", "trade").out.splitlines()[2]) == ["anna", "Анна", "administrator"]
    assert gateway.call("user", "list", "trade", "--json").json == TRADE["users"]
    assert gateway.call("user", "remove", "trade", "a/b").out == "a/b has no role in trade any more.\n"


def test_workplaces_are_listed_without_deleted_ones_unless_wanted(gateway: ScriptedGateway) -> None:
    ended = WORKPLACE | {"state": "deleted", "name": "Old", "last_exchange": None, "organisations": ["1", "2"]}
    page = {"items": [WORKPLACE, ended], "next": None}
    gateway.answer("GET /operator/v1/applications/trade/workplaces?limit=200", page)
    listed = gateway.call("workplace", "list", "trade").out.splitlines()[2:]
    assert [words(line)[1:] for line in listed] == [["Shop", "A", "active", "4", "2026-01-02 03:04:05", "open"]]
    both = gateway.call("workplace", "list", "trade", "--deleted")
    assert words(both.out.splitlines()[3])[1:] == ["Old", "A", "deleted", "4", "–", "–"]
    assert gateway.call("workplace", "list", "trade", "--json").json == [WORKPLACE]


def test_a_workplace_is_shown_with_its_reason(gateway: ScriptedGateway) -> None:
    refused = WORKPLACE | {"state": "refused", "reason": {"code": "seat_limit_reached", "text": "No seat is free."}}
    gateway.answer("GET /operator/v1/workplaces/w", refused)
    lines = [words(line) for line in gateway.call("workplace", "show", "w").out.splitlines()]
    assert ["users", "anna, boris"] in lines
    assert ["reason", "seat_limit_reached: No seat is free."] in lines
    assert ["package", "Автономная работа.zip, 1,234,567 bytes, until 2026-02-01 00:00:00"] in lines


def test_exchanges_are_filtered_limited_and_exported(gateway: ScriptedGateway) -> None:
    row = {
        "id": "e1",
        "workplace": "w",
        "started_at": "2026-01-02T03:04:05.000000Z",
        "finished_at": None,
        "result": "open",
    }
    rows = [row | {"id": f"e{n}", "sent": n, "received": 0, "problems": 0} for n in range(3)]
    query = "workplace=w&result=open&from=2026-01-01T00%3A00%3A00%2B00%3A00&to=2026-01-31T23%3A59%3A59.999999%2B00%3A00"
    base = "GET /operator/v1/applications/trade/exchanges?"
    gateway.answer(f"{base}{query}&limit=200", {"items": rows, "next": None})
    filters = ("--workplace", "w", "--result", "open", "--from", "2026-01-01", "--to", "2026-01-31")
    listed = gateway.call("exchange", "list", "trade", *filters, "--limit", "2")
    assert listed.code == 0, listed.err
    assert [words(line)[3] for line in listed.out.splitlines()[2:]] == ["0", "1"]
    assert gateway.call("exchange", "list", "trade", *filters, "--limit", "0", "--json").json == rows
    gateway.answers[f"{base}{query}"] = (200, "text/csv; charset=utf-8", "id,workplace\r\ne1,w\r\n")
    assert gateway.call("exchange", "list", "trade", *filters, "--csv").out.splitlines() == ["id,workplace", "e1,w"]
    gateway.refuse(base.rstrip("?"), 404, "not_found", "There is no such application.")
    assert gateway.call("exchange", "list", "trade", "--csv").code == 1


def test_dead_letters_are_listed_and_replayed(gateway: ScriptedGateway) -> None:
    letter = {
        "id": "l1",
        "service": "provisioning",
        "consumer": "follow_build",
        "reason": "exhausted",
        "error": "Boom\n\x1b[31mred",
        "attempts": 6,
        "failed_at": "2026-01-02T03:04:05.000000Z",
        "envelope": {"name": "snapshot_builder.package_built.v1"},
    }
    gateway.answer("GET /operator/v1/dead-letters?limit=200", {"items": [letter], "next": None})
    gateway.answer("POST /operator/v1/dead-letters/l1/replay", {"id": "l1", "replayed": True}, 202)
    gateway.refuse("POST /operator/v1/dead-letters/l2/replay", 404, "not_found", "There is no such dead letter.")
    listed = gateway.call("dead-letter", "list").out
    assert words(listed.splitlines()[2])[2:] == [
        *("snapshot_builder.package_built.v1", "provisioning", "follow_build", "exhausted", "6", "Boom �[31mred")
    ]
    assert gateway.call("dead-letter", "replay", "l1", "--json").json == [{"id": "l1", "replayed": True}]
    ended = gateway.call("dead-letter", "replay", "l1", "l2")
    assert (ended.code, ended.err) == (1, "not_found: There is no such dead letter.\n")


@pytest.mark.parametrize("away", [False, True])
def test_health_names_the_part_that_does_not_answer(gateway: ScriptedGateway, away: bool) -> None:
    gateway.answer("GET /health/live", {"status": "live"})
    gateway.answer("GET /health/ready", {"status": "ready"})
    gateway.answer("GET /operator/v1/subscribers?limit=1", {"items": [], "next": None})
    gateway.answer("GET /operator/v1/dead-letters?limit=1", {"items": [], "next": None})
    if away:
        gateway.refuse("GET /health/ready", 503, "service_unavailable", "The service's database is away.")
    ended = gateway.call("health", "--json")
    assert ended.code == int(away)
    assert [part["well"] for part in ended.json] == [True, not away, True, True]
    assert json.dumps(ended.json).count("service_unavailable") == int(away)
    assert len(gateway.call("health").out.splitlines()) == 6
