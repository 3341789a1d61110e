"""The people who order workplaces, and ask again as long as the service is not there."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx

from deploy.demo.computer import Computer
from deploy.demo.doors import Operator, Person
from deploy.stack.stack import Stack
from tests.chaos.outages import application
from tests.chaos.outages.moment import PATIENCE
from tests.chaos.outages.workplaces import PAUSE, Workplace

LOGIN, PASSWORD = "admin@trade", "felt-and-lattice-42"
LOOK_AGAIN = 0.2

_pausing = threading.Event()


@dataclass
class Build:
    """A package somebody waits for. `failed`: the codes of requests that had to be repeated."""

    failed: Counter[str] = field(default_factory=Counter)
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return str(self.last["id"])


class Office:
    """Signed in for the application, which is attached; `seats` are sold."""

    def __init__(self, stack: Stack, seats: int) -> None:
        self._url = f"{stack.url}/api/v1"
        with Operator(stack.url, stack.operator_token) as operator:
            terms = {"name": "Acme", "plan": "starter", "extra_seats": seats - 1, "local_licence": True}
            operator.put(f"subscribers/{application.SUBSCRIBER}", {**terms, "valid_until": "2099-12-31"})
            operator.put(f"applications/{application.CODE}", dict(application.attachment()))
            user = {"full_name": "Aigerim", "role": "administrator", "password": PASSWORD}
            operator.put(f"applications/{application.CODE}/users/{LOGIN}", user)
        with Person(stack.url, LOGIN, PASSWORD) as person:
            self._headers = dict(person.http.headers)

    def create(self, name: str, organisation: str) -> Build:
        """A new workplace, followed to its end."""
        build = Build()
        path = f"applications/{application.CODE}/workplaces"
        wish = {"name": name, "organisations": [organisation]}
        build.last = self._insist(build, "POST", path, wish, {"Idempotency-Key": uuid4().hex})
        return self._followed(build)

    def reissue(self, identity: str) -> Build:
        """A new package for a workplace, followed to its end."""
        build = Build()
        build.last = self._insist(build, "POST", f"workplaces/{identity}/reissue")
        return self._followed(build)

    def end(self, identity: str) -> None:
        """The workplace's seat is free afterwards."""
        self._insist(Build(), "DELETE", f"workplaces/{identity}")

    def seats(self) -> dict[str, int]:
        """As the application shows them."""
        seats: dict[str, int] = self._insist(Build(), "GET", f"applications/{application.CODE}")["seats"]
        return seats

    def workplaces(self) -> list[dict[str, Any]]:
        """All of the application."""
        path = f"applications/{application.CODE}/workplaces?limit=200"
        items: list[dict[str, Any]] = self._insist(Build(), "GET", path)["items"]
        return items

    def unzipped(self, build: Build, number: int, folder: Path) -> Workplace:
        """The package on a computer, whole."""
        folder.mkdir(parents=True)
        file = folder / "package.zip"
        with self._client() as client:
            file.write_bytes(client.get(f"workplaces/{build.identity}/package").raise_for_status().content)
        computer = Computer(folder / "workplace", folder / "computer")
        computer.unzip(file)
        assert not computer.damaged()
        return Workplace(number, build.identity, computer.folder)

    def _followed(self, build: Build) -> Build:
        """Until its package is there, or it is clear that none will come."""
        limit = monotonic() + PATIENCE
        while build.last["state"] not in {"failed", "refused", "deleted"}:
            if build.last["package"] is not None:
                return build
            assert monotonic() < limit, f"the build has not ended: {build.last}"
            _pausing.wait(LOOK_AGAIN)
            build.last = self._insist(build, "GET", f"workplaces/{build.identity}")
        return build

    def _insist(
        self, build: Build, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        limit = monotonic() + PATIENCE
        while True:
            with self._client() as client:
                try:
                    answer = client.request(method, path, json=body, headers=headers)
                except httpx.TransportError as error:
                    code = type(error).__name__
                else:
                    if answer.is_success:
                        return dict(answer.json()) if answer.content else {}
                    code = answer.json()["code"]
                    assert answer.status_code in {409, 429, 503}, answer.text
            build.failed[code] += 1
            assert monotonic() < limit, f"{method} {path} is still answered {code}"
            _pausing.wait(PAUSE)

    def _client(self) -> httpx.Client:
        headers = {"Authorization": self._headers["authorization"]}
        return httpx.Client(base_url=self._url, headers=headers, timeout=60, trust_env=False)
