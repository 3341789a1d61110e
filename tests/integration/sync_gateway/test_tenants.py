"""Every door of the gateway, tried by everybody it is not for, with the ids of somebody else.

The doors are those of the OpenAPI document, the callers the columns of one table; each cell says what the answer is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import pytest

from shared.contracts.envelope import Envelope
from shared.contracts.provisioning import WorkplaceChanged
from tests.integration.contents import contents
from tests.integration.sync_gateway import application
from tests.integration.sync_gateway.conftest import SUBSCRIPTION, operate
from tests.integration.sync_gateway.stand import OPERATOR, PASSWORD, Stand, bearer, code
from tests.integration.sync_gateway.test_exchanges import ORDER, Client, active, digest, edit, put

NEW = {"name": "Taken over"}
PERSON = {"full_name": "A stranger", "role": "administrator", "password": PASSWORD}
CLAIM = {"login": "nobody", "password": PASSWORD, "replica_id": "replica-2", "program": "tests/1.0"}


class Door(NamedTuple):
    """Whose it is (a row of REFUSALS), and a request that would be a good one from him."""

    kind: str
    body: Any = None
    query: str = ""


# In this order the rightful callers go through them: what ends something comes last.
DOORS = {
    "GET /health/live": Door("anyone"),
    "GET /health/ready": Door("anyone"),
    "GET /api/v1/ping": Door("ping"),
    "GET /api/v1/exchanges/{exchange}/changes": Door("replica", query="?after={position}"),
    "GET /api/v1/exchanges/{exchange}/delta": Door("replica"),
    "GET /api/v1/exchanges/{exchange}/schema": Door("replica"),
    "POST /api/v1/exchanges/{exchange}/messages/{number}": Door("replica", put(ORDER, None, "not mine")),
    "POST /api/v1/exchanges/{exchange}/completion": Door("replica", {"position": "1:1:", "applied": 0}),
    "DELETE /api/v1/exchanges/{exchange}": Door("replica"),
    "POST /api/v1/exchanges": Door("greeting", {}),
    "GET /api/v1/applications": Door("session"),
    "GET /api/v1/applications/{app}": Door("application"),
    "GET /api/v1/applications/{app}/exchanges": Door("application", query="?workplace={workplace}"),
    "GET /api/v1/applications/{app}/problems": Door("application"),
    "GET /api/v1/applications/{app}/workplaces": Door("list"),
    "GET /api/v1/workplaces/{workplace}": Door("read"),
    "GET /api/v1/workplaces/{workplace}/package": Door("either"),
    "GET /api/v1/workplaces/{workplace}/problems": Door("either"),
    "GET /api/v1/problems/{problem}": Door("either"),
    "POST /api/v1/problems/{problem}/comments": Door("either", {"text": "not mine"}),
    "POST /api/v1/problems/{problem}/resolution": Door("manage", {"choice": "rejected"}),
    "POST /api/v1/problems/{problem}/reopening": Door("manage", {"comment": "not mine"}),
    "PATCH /api/v1/workplaces/{workplace}": Door("manage", NEW),
    "POST /api/v1/workplaces/{workplace}/suspend": Door("manage"),
    "POST /api/v1/workplaces/{workplace}/resume": Door("manage"),
    "POST /api/v1/workplaces/{workplace}/package": Door("manage"),
    "POST /api/v1/workplaces/{workplace}/reissue": Door("manage"),
    "POST /api/v1/applications/{app}/workplaces": Door("application", NEW),
    "DELETE /api/v1/workplaces/{workplace}": Door("manage"),
    "GET /api/v1/workplaces/{workplace}/events": Door("read"),
    "POST /api/v1/workplaces/{workplace}/activation": Door("anyone", CLAIM),  # by credentials: test_activation.py
    "POST /api/v1/sessions": Door("anyone", {"login": "nobody", "password": PASSWORD}),
    "DELETE /api/v1/sessions/current": Door("session"),
    "GET /operator/v1/subscribers": Door("operator"),
    "GET /operator/v1/subscribers/{subscriber}": Door("operator"),
    "GET /operator/v1/applications": Door("operator"),
    "GET /operator/v1/applications/{app}": Door("operator"),
    "GET /operator/v1/applications/{app}/workplaces": Door("operator"),
    "GET /operator/v1/applications/{app}/exchanges": Door("operator"),
    "GET /operator/v1/workplaces/{workplace}": Door("operator"),
    "GET /operator/v1/dead-letters": Door("operator"),
    "POST /operator/v1/dead-letters/{letter}/replay": Door("operator"),
    "POST /operator/v1/applications/{app}/restored": Door("operator"),
    "PUT /operator/v1/subscribers/{subscriber}": Door("operator", {"name": "Taken over", **SUBSCRIPTION}),
    "PUT /operator/v1/applications/{app}": Door("operator", application.attachment("trade")),
    "PUT /operator/v1/applications/{app}/users/{login}": Door("operator", PERSON),
    "DELETE /operator/v1/applications/{app}/users/{login}": Door("operator"),
    "DELETE /operator/v1/applications/{app}": Door("operator"),
}

# `-`: his own right, no refusal.
ANSWERS = {
    "unknown": (401, "not_authenticated"),
    "kind": (403, "wrong_token_kind"),
    "role": (403, "not_permitted"),
    "hidden": (404, "not_found"),
    "copy": (409, "activated_elsewhere"),
}
REFUSALS = {
    row.split()[0]: row.split()[1:]
    for row in """
    caller       nobody   forger   operator  olga    boris   robot   vera    gate    foreign  sister  own     anna
    anyone       -        -        -         -       -       -       -       -       -        -       -       -
    ping         -        unknown  kind      kind    kind    kind    kind    kind    -        -       -       kind
    session      unknown  unknown  kind      -       -       -       -       -       kind     kind    kind    -
    application  unknown  unknown  kind      hidden  role    role    role    role    kind     kind    kind    -
    list         unknown  unknown  kind      hidden  -       role    -       role    kind     kind    kind    -
    read         unknown  unknown  kind      hidden  hidden  hidden  -       role    kind     kind    kind    -
    either       unknown  unknown  kind      hidden  hidden  hidden  -       role    hidden   hidden  -       -
    manage       unknown  unknown  kind      hidden  hidden  hidden  role    role    kind     kind    kind    -
    greeting     unknown  unknown  kind      kind    kind    kind    kind    kind    copy     copy    -       kind
    replica      unknown  unknown  kind      kind    kind    kind    kind    kind    hidden   hidden  -       kind
    operator     unknown  unknown  -         kind    kind    kind    kind    kind    kind     kind    kind    kind
    """.strip().splitlines()
}


@dataclass
class Prey:
    """What belongs to anna: an active workplace with an exchange, a large delta and a problem. `callers`: all others,
    and herself.

    olga administers another subscriber's application; boris (a user) and robot (synchronisation) have roles in anna's
    but are not listed in the workplace, vera and gate have the same roles and are; foreign, sister and own are tokens
    of replicas: of another application, of another workplace of this one, of this one.
    """

    stand: Stand
    client: Client
    ids: dict[str, str]
    callers: dict[str, dict[str, str]] = field(default_factory=dict)

    async def knock(self, door: str, caller: str) -> httpx.Response:
        """The answer to this caller's request with anna's ids."""
        method, _, template = door.partition(" ")
        path = (template + DOORS[door].query).format(**self.ids)
        body, headers = DOORS[door].body, dict(self.callers[caller])
        if isinstance(body, bytes):
            headers |= {"Content-Type": "application/x-ndjson", "Content-Digest": digest(body), "Yurt-Version": "1.0.0"}
            return await self.stand.client.request(method, path, content=body, headers=headers)
        if DOORS[door].kind == "greeting":
            body = self.client.greeting() | {"pending": 1}
        return await self.stand.client.request(method, path, json=body, headers=headers)

    async def state(self) -> set[tuple[str, str, str]]:
        """Database, table and rows of all tables of all databases."""
        await self.stand.settled()
        urls = [self.stand.application_url, *self.stand.databases]
        found = [(url, await asyncio.to_thread(contents, url)) for url in urls]
        return {(url, table, rows) for url, tables in found for table, rows in tables.items()}


@pytest.fixture
async def prey(stand: Stand) -> Prey:
    for login, role in (("vera", "user"), ("gate", "synchronisation")):
        await operate(stand, f"applications/trade/users/{login}", PERSON | {"role": role})
    client, workplace = await active(stand, users=["vera", "gate"])
    edit(stand, f"UPDATE orders SET note = repeat('cloud', 30000) WHERE id = '{ORDER}'")
    exchange = (await client.open(pending=1)).json()["id"]
    body = put(ORDER, client.position, "field", {"note": "order 2"}, number="C-2")
    (result,) = (await client.push(exchange, 1, body)).json()["results"]
    await stand.bus.publish(Envelope(name=WorkplaceChanged.wire_name, payload={"no": "event"}), 1)
    (letter,) = await stand.bus.dead_letters()
    ids = {"app": "trade", "subscriber": "acme", "login": "boris", "workplace": workplace, "exchange": exchange}
    ids |= {"number": "1", "problem": result["problem"], "letter": str(letter.id), "position": client.position}
    found = Prey(stand, client, ids)
    found.callers = {"nobody": {}, "forger": bearer("yurt_s_forged"), "operator": OPERATOR, "own": client.headers}
    for login in ("anna", "olga", "boris", "robot", "vera", "gate"):
        found.callers[login] = await stand.sign_in(login)
    for name, code_of, login in (("foreign", "foreign", "olga"), ("sister", "trade", "anna")):
        other = await stand.create_workplace(found.callers[login], code_of, login)
        await stand.build_package(other["id"], login=login)
        found.callers[name] = await stand.activate(other["id"], login, replica=f"replica of {name}")
    return found


async def test_every_door_refuses_everybody_it_is_not_for_and_nothing_changes(
    prey: Prey, record_property: Callable[[str, object], None]
) -> None:
    before = await prey.state()
    tried, wrong = 0, {}
    for door, (kind, *_) in DOORS.items():
        for caller, expected in zip(REFUSALS["caller"], REFUSALS[kind], strict=True):
            if expected == "-":
                continue
            answer = await prey.knock(door, caller)
            tried += 1
            found = code(answer) if answer.status_code >= 400 else (answer.status_code, "open")
            if found != ANSWERS[expected]:
                wrong[f"{caller}: {door}"] = found
    assert wrong == {}
    assert await prey.state() == before
    record_property("foreign calls refused", f"{tried - len(wrong)} of {tried}")


async def test_the_same_requests_open_the_doors_to_those_they_are_for(prey: Prey) -> None:
    answer = await prey.knock("GET /api/v1/exchanges/{exchange}/changes", "own")
    assert answer.status_code == 303  # there is a delta to be asked for
    closed = {}
    rightful = {"anyone": "nobody", "ping": "nobody", "replica": "own", "greeting": "own", "operator": "operator"}
    for door, (kind, *_) in DOORS.items():
        answer = await prey.knock(door, rightful.get(kind, "anna"))
        if answer.status_code in {401, 403, 404}:
            closed[door] = code(answer)
    # Whoever is not known to the service gets no session and no replica; a replica of today's version no schema.
    assert closed == {
        "GET /api/v1/exchanges/{exchange}/schema": (404, "not_found"),
        "POST /api/v1/workplaces/{workplace}/activation": (401, "wrong_credentials"),
        "POST /api/v1/sessions": (401, "wrong_credentials"),
    }


async def test_every_door_of_the_document_stands_in_the_table(stand: Stand) -> None:
    documented = {
        f"{method.upper()} {path}" for path, methods in stand.app.openapi()["paths"].items() for method in methods
    }
    spelt = {door.replace("/operator/v1/applications/{app}", "/operator/v1/applications/{code}") for door in DOORS}
    assert {door.replace("{subscriber}", "{code}") for door in spelt} == documented
