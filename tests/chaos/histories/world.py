"""Two subscribers, their application, and four workplaces: what a history acts on, and how it is judged."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg

from deploy.demo.doors import Operator, Person
from deploy.stack.program import build_program
from shared.replication.digest import service_digests
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.scope import Scope
from shared.runtime.database import service_database_url
from tests.chaos.histories.bazaar import HERE, Bazaar
from tests.chaos.histories.desk import Desk
from tests.chaos.histories.ledger import Evidence, Ledger
from tests.chaos.histories.line import Line, bad_line
from tests.chaos.histories.services import OPERATOR_TOKEN, services
from workplace.engine.exchange import Outcome

AREAS = {"north": 1, "south": 2}
PASSWORD = "felt-and-lattice-42"
SCOPES: tuple[tuple[str, ...] | None, ...] = (("A",), ("A", "B"), ("B", "C"), None)
DESKS: tuple[tuple[str, tuple[str, ...] | None], ...] = (
    ("north", ("A", "B")), ("north", ("B", "C")), ("north", None), ("south", None),
)  # fmt: skip
# A workplace that has a good line is done after so many exchanges.
EXCHANGES_TO_REST = 4
SERVICES = ("licensing", "provisioning", "sync-gateway", "snapshot-builder")


@dataclass
class Place:
    """A workplace as the service has it, its desk, and the scope it was given last."""

    application: str
    desk: Desk
    scope: tuple[str, ...] | None
    dismissed: bool = False
    suspended: bool = False


class World:
    """Everything that a history needs, running. `counted` is what happened in all of its histories."""

    def __init__(
        self, url: str, bazaar: Bazaar, line: Line, folder: Path, databases: Sequence[str], counted: Counter[str]
    ) -> None:
        self.url = url
        self.bazaar = bazaar
        self.line = line
        self.folder = folder
        self._outboxes = [psycopg.connect(url, autocommit=True) for url in databases]
        self.counted = counted
        self.ledger = Ledger()
        self.places: list[Place] = []
        self.operator = Operator(url, OPERATOR_TOKEN)
        self.people: dict[str, Person] = {}
        self.found: Exception | None = None
        self.lapsed: set[str] = set()
        self.former_problems: set[int] = set()
        self._models: dict[int, Model] = {}
        self.manifest = (HERE / "bazaar.toml").read_text()
        self._version = 0

    def close(self) -> None:
        for conn in self._outboxes:
            conn.close()
        self.operator.http.close()
        for person in self.people.values():
            person.http.close()

    # The beginning

    def furnish(self) -> None:
        """Subscribers, applications, people and workplaces; each workplace is unzipped and was activated."""
        for code in AREAS:
            self.pay(code)
            self._attach(code)
            self._admit(code, f"boss@{code}", "administrator")
            self.people[code] = Person(self.url, f"boss@{code}", PASSWORD)
        self.bazaar.refill(tuple(AREAS.values()))
        for nth, (code, scope) in enumerate(DESKS):
            login = f"desk{nth}@{code}"
            self._admit(code, login, "synchronisation")
            wishes = {"name": f"Desk {nth}", "users": [login], "organisations": scope and list(scope)}
            workplace = self.people[code].call("POST", f"applications/{code}/workplaces", wishes)
            desk = Desk(workplace["id"], AREAS[code], login, self.folder / f"desk{nth}", self.line.url)
            desk.folder.mkdir()
            desk.password = PASSWORD
            self.places.append(Place(code, desk, scope))
        for place in self.places:
            self.fetch_package(place)

    def _attach(self, code: str) -> None:
        body = {"subscriber": code, "title": code, "manifest": self.manifest, "connection": "bazaar"}
        self.operator.put(f"applications/{code}", body | {"area": str(AREAS[code])})

    def _admit(self, code: str, login: str, role: str, password: str = PASSWORD) -> None:
        self.operator.put(
            f"applications/{code}/users/{login}", {"full_name": login, "role": role, "password": password}
        )

    def fetch_package(self, place: Place) -> None:
        """Waits for the package, and unzips it in the place of what was there."""
        self.reaches(place, lambda document: document["package"] is not None)
        person = self.people[place.application]
        file = place.desk.folder / "package.zip"
        file.unlink(missing_ok=True)
        person.download_part(place.desk.workplace, file)
        place.desk.unzip(file)

    def begin(self) -> None:
        """Afterwards the cloud is as at the beginning of every history, and the ledger is empty.

        The workplaces hold what the former history left, which is all replaced in the cloud.
        """
        self.make_peace()
        self.ledger = Ledger(last=self.ledger.last)
        self.bazaar.refill(tuple(AREAS.values()))
        self.bazaar.drop_backup()
        for place, (_, scope) in zip(self.places, DESKS, strict=True):
            self.rescope(place, scope)
            place.desk.befell = self.counted
            place.desk.start_afresh()
        self.settle_events()

    # What people do

    def pay(self, code: str, until: str = "2099-12-31") -> None:
        """The subscription of this subscriber ends on that day."""
        terms = {"name": code, "plan": "prof", "extra_seats": 0, "valid_until": until, "local_licence": True}
        self.operator.put(f"subscribers/{code}", terms)
        self.lapsed.discard(code)
        self.settle_events()

    def lapse(self, place: Place) -> None:
        """The subscription is over; its workplaces are suspended."""
        self.pay(place.application, "2020-01-01")
        self.lapsed.add(place.application)
        self.reaches(place, lambda document: document["state"] == "suspended")

    def rescope(self, place: Place, scope: tuple[str, ...] | None) -> None:
        """An administrator changes the organisations."""
        if scope != place.scope:
            self._change(place, "PATCH", "", {"organisations": scope and list(scope)})
            place.scope = scope

    def suspend(self, place: Place) -> None:
        """An administrator stops the workplace."""
        self._change(place, "POST", "/suspend", allow=(409,))
        place.suspended = True

    def resume(self, place: Place) -> None:
        """And lets it go on."""
        self._change(place, "POST", "/resume", allow=(409,))
        place.suspended = False

    def _change(
        self, place: Place, method: str, path: str, body: dict[str, Any] | None = None, allow: tuple[int, ...] = ()
    ) -> None:
        self.people[place.application].call(method, f"workplaces/{place.desk.workplace}{path}", body, allow=allow)
        self.settle_events()

    def dismiss(self, place: Place) -> None:
        """The user of the workplace is no user of the application any more."""
        self.operator.call("DELETE", f"/operator/v1/applications/{place.application}/users/{place.desk.login}")
        place.dismissed = True
        self.settle_events()

    def admit(self, place: Place, password: str | None = None) -> None:
        """He is one again, with a new password perhaps; the workplace names him again."""
        self._admit(place.application, place.desk.login, "synchronisation", password or place.desk.password)
        self.settle_events()
        self._change(place, "PATCH", "", {"users": [place.desk.login]})
        place.dismissed = False

    def reissue(self, place: Place, *, upload: bool) -> None:
        """A new package takes the place of the old replica; without `upload` what is unsent there is thrown away."""
        self._change(place, "POST", "/reissue", allow=(409,))
        if upload:
            place.desk.exchange()
            self.counted["uploaded before a reissue"] += not place.desk.unanswered
        self.ledger.give_up(place.desk.unanswered)
        place.desk.unanswered.clear()
        place.desk.forget_backup()
        self.fetch_package(place)

    def decide(self, rng: random.Random) -> None:
        """A person decides one of the open problems."""
        found = [
            (code, problem)
            for code in AREAS
            for problem in self.people[code].call("GET", f"applications/{code}/problems?limit=200")["items"]
            if problem["state"] == "open"
        ]
        if not found:
            return
        code, problem = rng.choice(sorted(found, key=lambda one: one[1]["created_at"]))
        choice = rng.choice(["accepted", "rejected"])
        with self.bazaar.not_in_the_way(self.ledger, commit=True):
            answer = self.people[code].call(
                "POST", f"problems/{problem['id']}/resolution", {"choice": choice}, allow=(409,)
            )
        self.counted[f"decided: {answer.get('code', choice)}"] += 1

    def upgrade(self) -> None:
        """The application gets a new version, with one more column; what was backed up is of the former one."""
        self.bazaar.release(self.ledger, commit=True)
        before, self._version = self._version, self._version + 1
        self.bazaar.conn.execute(f"ALTER TABLE partners ADD COLUMN extra{self._version} text DEFAULT 'new'".encode())
        self.manifest = self.manifest.replace(f'"1.{before}"', f'"1.{self._version}"')
        for code in AREAS:
            self._attach(code)
        self._models.clear()
        self.bazaar.drop_backup()
        self.counted["application upgraded"] += 1

    def restore_database(self) -> None:
        """The operator puts the backup in the place of the application's database, and says so."""
        self.bazaar.release(self.ledger, commit=False)
        told = self.bazaar.restore()
        unanswered = {number for place in self.places for number in place.desk.unanswered}
        self.ledger.restored(unanswered - told)
        self.former_problems |= told
        for code in AREAS:
            self.operator.call("POST", f"/operator/v1/applications/{code}/restored")
        self.counted["database restored"] += 1

    # The end

    def make_peace(self) -> None:
        """Whatever stands in somebody's way is removed: lines, locks, rights, suspensions."""
        self.line.plan([])
        self.line.deliver_late_ones()
        self.bazaar.release(self.ledger, commit=True)
        lapsed = sorted(self.lapsed)
        for code in lapsed:
            self.pay(code)
        for place in self.places:
            if place.dismissed:
                self.admit(place)
            if place.suspended:
                self.resume(place)
            if place.application in lapsed:
                self.reaches(place, lambda document: document["state"] in {"active", "ready"})

    def bring_to_rest(self, place: Place) -> None:
        """Exchanges until everything is sent; raises AssertionError when that does not come to an end."""
        said: list[Outcome | str] = []
        for _ in range(EXCHANGES_TO_REST):
            outcome = place.desk.exchange()
            said.append(outcome)
            if isinstance(outcome, Outcome):
                assert outcome.next_exchange_in is not None, "nobody would wake it up again"
                if not place.desk.state().unsent:
                    return
        raise AssertionError(f"{place.desk.workplace} does not come to rest: {said}")

    def judge(self) -> Counter[str]:
        """Everybody has a good line again: copies are equal, and every edit is accounted for."""
        self.make_peace()
        for place in self.places:
            if place.desk.unanswered or place.desk.state().unsent:
                self.bring_to_rest(place)
        for place in self.places:  # the others have sent something since
            self._compare(place)
        fates = self.ledger.settle(self._evidence())
        self._judge_messages()
        self._judge_areas()
        self._judge_services()
        self.counted.update(fates)
        self.counted.update({f"line: {fault}": times for fault, times in self.line.befell.items()})
        self.line.befell.clear()
        return fates

    def _compare(self, place: Place) -> None:
        desk = place.desk
        outcome = desk.exchange(prove=True)
        with self.bazaar.conn.transaction():
            there = service_digests(self.bazaar.conn, self._model(place), Scope(place.scope))
        state = desk.state()
        assert state.content == there, _differences(self.bazaar, desk, place.scope)
        assert isinstance(outcome, Outcome), outcome
        assert not state.local_problems, state  # of these edits each can be sent
        assert not state.unsent, state
        assert outcome.verified, outcome
        assert outcome.next_exchange_in is not None, "nobody would wake it up again"
        document = self.people[place.application].call("GET", f"workplaces/{desk.workplace}")
        assert (document["state"], document["unsent"]) == ("active", 0), document

    def _model(self, place: Place) -> Model:
        area = AREAS[place.application]
        if area not in self._models:
            self._models[area] = load(self.bazaar.conn, parse(self.manifest), str(area))
        return self._models[area]

    def problems(self, code: str) -> list[dict[str, Any]]:
        """The whole list, as the administrator sees it."""
        items: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.people[code].call("GET", f"applications/{code}/problems?limit=200{after}")
            items += page["items"]
            if page["next"] is None:
                return items
            after = f"&after={page['next']}"

    def _evidence(self) -> Evidence:
        problems: dict[str, list[Any]] = {place.desk.workplace: [] for place in self.places}
        for code in AREAS:
            for problem in self.problems(code):
                assert problem["pushed"] or problem["service"] or problem["kind"] == "rejected", problem
                assert problem["kind"] == "rejected" or problem["columns"], problem
                assert problem["edited_at"], problem
                problems[problem["workplace"]].append(problem)
                self.counted[f"problem: {problem['code']}"] += 1
        return Evidence(
            in_force=self.bazaar.in_force(),
            present=self.bazaar.present(),
            writes=self.bazaar.written(),
            problems=problems,
            former=self.former_problems,
        )

    def _judge_messages(self) -> None:
        """No message counts twice: no body was applied under two numbers."""
        twice = self.bazaar.conn.execute(
            "SELECT workplace, digest, array_agg(number) FROM yurt.messages GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchall()
        assert not twice, twice

    def _judge_areas(self) -> None:
        """Nobody wrote into the rows of the other subscriber."""
        own = {place.desk.workplace: place.desk.area for place in self.places}
        strange = [write for write in self.bazaar.written() if write.origin and own[write.origin] != write.area]
        assert not strange, strange

    def _judge_services(self) -> None:
        assert self.operator.call("GET", "/operator/v1/dead-letters")["items"] == []
        for code in AREAS:
            seats = self.people[code].call("GET", f"applications/{code}")["seats"]["used"]
            assert seats == sum(place.application == code for place in self.places)

    # Waiting

    def settle_events(self) -> None:
        """No event is on its way any more."""
        while any(conn.execute("SELECT FROM outbox LIMIT 1").fetchall() for conn in self._outboxes):
            pass

    def reaches(self, place: Place, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Returns once the workplace is so, told by its stream of events; a new one is opened when it ends."""
        person = self.people[place.application]
        while True:
            with person.http.stream("GET", f"workplaces/{place.desk.workplace}/events") as stream:
                for line in stream.iter_lines():
                    if line.startswith("data:") and condition(httpx.Response(200, text=line[5:]).json()):
                        return

    def copy_desk(self, place: Place) -> None:
        """Somebody takes a copy of the folder to another computer, and is refused, once it was activated here."""
        if not place.desk.is_activated():
            return
        other = place.desk.copied(self.folder / f"copy-{uuid4().hex}")
        refusal = other.exchange()
        assert isinstance(refusal, str), refusal
        self.counted[f"a copy: {refusal}"] += 1
        shutil.rmtree(other.folder)


def _differences(bazaar: Bazaar, desk: Desk, scope: tuple[str, ...] | None) -> str:
    """What a person needs to see first: rows that only one side has."""
    text = [f"{desk.workplace} of area {desk.area} with {scope} differs:"]
    with desk.opened() as replica:
        for table in ("items", "partners", "orders", "order_lines", "order_marks", "tasks", "rates"):
            cursor = replica.connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            here = {str({name: str(value) for name, value in zip(names, row, strict=True)}) for row in cursor}
            there = {
                str({name: str(row[name]) for name in names})
                for row in bazaar.rows(table, desk.area)
                if scope is None or row.get("firm", scope[0]) in scope
            }
            text += [f"  {table}: only here {row}" for row in here - there]
            text += [f"  {table}: only there {row}" for row in there - here]
    return "\n".join(text)


@contextmanager
def world(postgres_url: str, s3_url: str, folder: Path, counted: Counter[str]) -> Iterator[World]:
    """A running world on these servers, with databases and a bucket of its own."""
    mark = f"hist_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {mark}_bazaar".encode())
    bazaar_url = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{mark}_bazaar"))
    environment = {
        "YURT_HOME": str(folder / "home"),
        "YURT_POSTGRES_URL": postgres_url,
        "YURT_DATABASE_PREFIX": mark,
        "YURT_S3_URL": urlunsplit(urlsplit(s3_url)._replace(path=f"/{mark.replace('_', '-')}")),
        "YURT_PROGRAM_DIR": str(build_program(folder / "program")),
        "YURT_CONNECTION_BAZAAR": bazaar_url,
        "YURT_LAPSE_INTERVAL": "0.2",
        "YURT_DELTA_DIRECT_LIMIT": "2500",  # both ways of a delta are walked
        "YURT_APPLICATION_BINDS_FOR": "0",
    }
    with ExitStack() as running:
        running.callback(_drop_databases, postgres_url, mark)
        bazaar = Bazaar(bazaar_url)
        running.callback(bazaar.close)
        url = running.enter_context(services(environment))
        line = running.enter_context(bad_line(url))
        databases = [service_database_url(postgres_url, name, mark) for name in SERVICES]
        made = World(url, bazaar, line, folder, databases, counted)
        running.callback(made.close)
        made.furnish()
        yield made


def _drop_databases(server_url: str, mark: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as server:
        names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [mark]).fetchall()
        for (name,) in names:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
