"""How this workplace stands, without the network."""

from dataclasses import dataclass
from typing import Any

from workplace.engine import problems, ranges, repair, unsent, verify
from workplace.engine.activation import usable_token
from workplace.engine.clock import age_seconds
from workplace.engine.home import Home
from workplace.engine.replica import Replica


@dataclass(frozen=True)
class Status:
    """`age`: seconds since the last exchange that was completed; None before the first. `repairs`: see `repair`."""

    name: str
    application: str
    configuration: str
    version: str
    service: str
    prefix: str
    login: str | None
    activated: bool
    created_at: str
    age: float | None
    last_exchange: dict[str, Any] | None
    last_attempt: dict[str, Any] | None
    unsent: int
    problems: int
    free_keys: dict[str, int]
    verify_hours: float | None
    last_proof: dict[str, Any] | None
    repairs: list[dict[str, Any]]


def read_status(replica: Replica, home: Home) -> Status:
    """The present state; reads the replica and this computer's settings only."""
    credentials = home.credentials()
    last = replica.note("last_exchange")
    return Status(
        name=str(replica.get("name", "")),
        application=str(replica.get("application", "")),
        configuration=str(replica.get("configuration", "")),
        version=str(replica.get("version", "")),
        service=str(replica.get("service", "")),
        prefix=str(replica.get("prefix", "")),
        login=credentials.login,
        activated=usable_token(replica, credentials) is not None,
        created_at=str(replica.get("created_at", "")),
        age=age_seconds(last["finished_at"]) if last else None,
        last_exchange=last,
        last_attempt=replica.note("last_attempt"),
        unsent=unsent.count_unsent(replica.connection),
        problems=len(problems.open_problems(replica.connection)),
        free_keys=ranges.free(replica.connection),
        verify_hours=verify.hours_between(replica),
        last_proof=replica.note("last_proof"),
        repairs=repair.repairs(replica),
    )
