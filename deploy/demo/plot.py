"""What differs from application to application: which rows are edited on which side. Read from `plots/<name>.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Edit:
    """A change and the sentence that tells it: `sql`, or the words of a command of the workplace's own `program`.

    `:name` stands for a picked value, on both sides. `arrived`, asked on the other side after the exchange, gives one
    true value; `outcome` is what that value means.
    """

    say: str
    arrived: str
    sql: str = ""
    program: tuple[str, ...] = ()
    outcome: str = "arrived"


@dataclass(frozen=True)
class Plot:
    """The story of one application.

    `load`: SQL files in order, or empty where the data come from elsewhere; `after_load`: one more statement.
    `area`: which subscriber's rows these are, None when the application has its database to itself.
    `scope`: a query on the fresh replica that gives a true value, and the `scope_promise` it keeps.
    `picks`: queries on the replica whose only value is used by the edits under that name.
    `conflict`: the table and column both sides edit, and the picked key.
    """

    application: str
    subscriber: str
    administrator: str
    title: str
    load: tuple[str, ...]
    after_load: str
    area: str | None
    measure: str
    scope: str
    scope_promise: str
    picks: dict[str, str]
    offline: tuple[Edit, ...]
    cloud: tuple[Edit, ...]
    conflict: dict[str, str]

    @property
    def code(self) -> str:
        """The application's code in the service."""
        return self.application.replace("_", "-")

    @property
    def connection(self) -> str:
        """The name of its connection: see `Stack`."""
        return f"demo-{self.code}"


def read_plot(application: str) -> Plot:
    """The plot of one of the applications in `plots/`."""
    with (Path(__file__).parent / "plots" / f"{application}.toml").open("rb") as file:
        told: dict[str, Any] = tomllib.load(file)
    return Plot(
        application=application,
        subscriber=told["subscriber"],
        administrator=told["administrator"],
        title=told["title"],
        load=tuple(told["load"]),
        after_load=told["after_load"],
        area=told.get("area"),
        measure=told["measure"],
        scope=told["scope"],
        scope_promise=told["scope_promise"],
        picks=told["picks"],
        offline=tuple(Edit(**edit) for edit in told["offline"]),
        cloud=tuple(Edit(**edit) for edit in told["cloud"]),
        conflict=told["conflict"],
    )
