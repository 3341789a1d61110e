"""An attached accounting application, its administrator, and creations followed through crashes of services."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.demo.doors import Operator, Person
from deploy.demo.narrator import Narrator
from deploy.demo.plot import Plot, read_plot
from deploy.demo.story import PASSWORD, attach, fill_the_cloud
from deploy.stack.stack import Stack

PLOT = read_plot("accounting_kz")
FINAL = {"ready", "failed", "refused", "deleted"}


@dataclass
class CloudOffice:
    """One subscriber with one application on a running stack."""

    stack: Stack
    operator: Operator
    person: Person

    def sell_seats(self, limit: int) -> None:
        """Afterwards the subscriber may hold `limit` seats: Starter's one and additional ones."""
        terms = {"name": PLOT.subscriber, "plan": "starter", "extra_seats": limit - 1}
        self.operator.put(f"subscribers/{PLOT.code}", {**terms, "valid_until": "2099-12-31", "local_licence": True})

    def create(self, name: str) -> dict[str, Any]:
        return self.person.call("POST", f"applications/{PLOT.code}/workplaces", {"name": name})

    def seats(self) -> dict[str, int]:
        seats: dict[str, int] = self.person.call("GET", f"applications/{PLOT.code}")["seats"]
        return seats

    def workplace(self, identity: str) -> dict[str, Any]:
        return self.person.call("GET", f"workplaces/{identity}")

    def followed(self, identity: str) -> Iterator[dict[str, Any]]:
        """Its states, also across the death of the gateway: the stream is opened anew once that serves again."""
        gateway = self.stack.services["sync-gateway"]
        while True:
            starts = gateway.starts
            try:
                for state in self.person.follow(identity):
                    yield state
                    if state["state"] in FINAL:
                        return
            except httpx.TransportError:
                if gateway.starts == starts:
                    gateway.wait_for_start(starts + 1, timeout=60)

    def end(self, identity: str) -> None:
        self.person.call("DELETE", f"workplaces/{identity}")


@contextmanager
def cloud_office(stack: Stack, plot: Plot = PLOT) -> Iterator[CloudOffice]:
    """The accounting application filled, attached, and somebody signed in."""
    nobody = Narrator.silent()
    fill_the_cloud(nobody, stack, plot)
    with Operator(stack.url, stack.operator_token) as operator, attach(nobody, stack, plot, operator) as person:
        yield CloudOffice(stack, operator, person)


__all__ = ["PASSWORD", "PLOT", "CloudOffice", "cloud_office"]
