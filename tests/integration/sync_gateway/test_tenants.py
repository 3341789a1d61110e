"""Every public door, tried by those it is not for. A door that is missing in the table fails the last test."""

from dataclasses import dataclass
from typing import Any

import psycopg
from fastapi import FastAPI

from tests.integration.sync_gateway.stand import API, Stand, code
from tests.integration.sync_gateway.test_exchanges import ORDER, Client, active, edit, put

NEW = {"name": "Taken over"}
RESOLUTION = {"choice": "accepted"}
COMPLETION = {"position": "1:1:", "applied": 0}

# Doors of people: what anna's stand is asked for by others.
PEOPLE: list[tuple[str, str, Any]] = [
    ("GET", "/applications/{app}", None),
    ("GET", "/applications/{app}/exchanges", None),
    ("GET", "/applications/{app}/workplaces", None),
    ("POST", "/applications/{app}/workplaces", NEW),
    ("GET", "/applications/{app}/problems", None),
    ("GET", "/workplaces/{workplace}", None),
    ("GET", "/workplaces/{workplace}/events", None),
    ("PATCH", "/workplaces/{workplace}", NEW),
    ("DELETE", "/workplaces/{workplace}", None),
    ("POST", "/workplaces/{workplace}/suspend", None),
    ("POST", "/workplaces/{workplace}/resume", None),
    ("POST", "/workplaces/{workplace}/reissue", None),
    ("POST", "/workplaces/{workplace}/package", None),
    ("POST", "/problems/{problem}/resolution", RESOLUTION),
]
EITHER: list[tuple[str, str, Any]] = [
    ("GET", "/workplaces/{workplace}/package", None),
    ("GET", "/workplaces/{workplace}/problems", None),
]
REPLICAS: list[tuple[str, str, Any]] = [
    ("GET", "/exchanges/{exchange}/changes?after=1:1:", None),
    ("GET", "/exchanges/{exchange}/delta", None),
    ("GET", "/exchanges/{exchange}/schema", None),
    ("POST", "/exchanges/{exchange}/messages/{number}", NEW),
    ("POST", "/exchanges/{exchange}/completion", COMPLETION),
    ("DELETE", "/exchanges/{exchange}", None),
]
# Doors that show a caller his own only; activation has its own tests.
OWN = {
    *(("GET", "/ping"), ("POST", "/sessions"), ("DELETE", "/sessions/current"), ("GET", "/applications")),
    *(("POST", "/exchanges"), ("POST", "/workplaces/{workplace}/activation")),
}


@dataclass
class Prey:
    """What belongs to anna."""

    client: Client
    workplace: str
    exchange: str
    problem: str

    def path(self, template: str) -> str:
        names = {"workplace": self.workplace, "exchange": self.exchange, "problem": self.problem, "number": "1"}
        return API + template.format(app="trade", **names)


async def _prey(stand: Stand) -> Prey:
    client, workplace = await active(stand)
    edit(stand, f"UPDATE orders SET note = 'cloud' WHERE id = '{ORDER}'")
    exchange = (await client.open(pending=1)).json()["id"]
    body = put(ORDER, client.position, "field", {"note": "order 2"}, number="C-2")
    answer = (await client.push(exchange, 1, body)).json()
    return Prey(client, workplace, exchange, answer["results"][0]["problem"])


async def _tried(
    stand: Stand, prey: Prey, doors: list[tuple[str, str, Any]], headers: dict[str, str]
) -> dict[str, tuple[int, str]]:
    found = {}
    for method, template, body in doors:
        answer = await stand.client.request(method, prey.path(template), json=body, headers=headers)
        found[f"{method} {template}"] = code(answer) if answer.status_code >= 400 else (answer.status_code, "open")
    return found


def _state(stand: Stand) -> Any:
    with psycopg.connect(stand.application_url) as connection:
        return [
            connection.execute(query).fetchall()
            for query in (
                "SELECT * FROM orders ORDER BY id",
                "SELECT id, state FROM yurt.problems",
                "SELECT workplace, last_message FROM yurt.workplaces ORDER BY workplace",
            )
        ]


async def test_a_person_cannot_open_any_door_of_another_tenants_application(stand: Stand) -> None:
    prey = await _prey(stand)
    before = _state(stand)
    tried = await _tried(stand, prey, PEOPLE + EITHER, await stand.sign_in("olga"))
    assert set(tried.values()) == {(404, "not_found")}, tried
    assert _state(stand) == before


async def test_a_user_cannot_open_any_door_of_a_workplace_he_is_not_listed_in(stand: Stand) -> None:
    prey = await _prey(stand)
    doors = [door for door in PEOPLE + EITHER if "{app}" not in door[1]]
    for login in ("boris", "robot"):
        tried = await _tried(stand, prey, doors, await stand.sign_in(login))
        assert set(tried.values()) == {(404, "not_found")}, tried


async def test_a_replica_cannot_open_any_door_of_another_workplace(stand: Stand) -> None:
    prey = await _prey(stand)
    before = _state(stand)
    olga = await stand.sign_in("olga")
    foreign = await stand.create_workplace(olga, "foreign", "olga")
    await stand.build_package(foreign["id"], login="olga")
    stranger = await stand.activate(foreign["id"], "olga")
    tried = await _tried(stand, prey, REPLICAS + EITHER, stranger)
    assert set(tried.values()) == {(404, "not_found")}, tried
    assert _state(stand) == before


async def test_no_kind_of_token_opens_the_doors_of_another_kind(stand: Stand) -> None:
    prey = await _prey(stand)
    tried = await _tried(stand, prey, PEOPLE, prey.client.headers)
    tried |= await _tried(stand, prey, REPLICAS, await stand.sign_in("anna"))
    assert set(tried.values()) == {(403, "wrong_token_kind")}, tried
    nobody = await _tried(stand, prey, PEOPLE + REPLICAS + EITHER, {})
    assert set(nobody.values()) == {(401, "not_authenticated")}, nobody


async def test_every_door_stands_in_one_of_the_tables(stand: Stand) -> None:
    tried = {(method, path.partition("?")[0]) for method, path, _ in PEOPLE + EITHER + REPLICAS} | OWN
    assert _doors(stand.app) == tried


def _doors(app: FastAPI) -> set[tuple[str, str]]:
    document = app.openapi()
    return {
        (method.upper(), path.removeprefix(API))
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith(API) and method != "head"
    }
