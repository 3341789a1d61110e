"""The states of a workplace and the ways between them: the whole state machine, as a table."""

from typing import Literal

from shared.contracts.provisioning import WorkplaceState

Act = Literal[
    "grant", "refuse", "build", "build_suspended", "fail", "activate", "suspend", "resume", "resume_active", "delete"
]

TRANSITIONS: dict[WorkplaceState, dict[Act, WorkplaceState]] = {
    "requested": {"grant": "preparing", "refuse": "refused", "fail": "failed", "delete": "deleted"},
    "preparing": {"build": "ready", "build_suspended": "suspended", "fail": "failed", "delete": "deleted"},
    "ready": {"activate": "active", "suspend": "suspended", "delete": "deleted"},
    "active": {"suspend": "suspended", "delete": "deleted"},
    "suspended": {"resume": "ready", "resume_active": "active", "delete": "deleted"},
    "refused": {"delete": "deleted"},
    "failed": {"delete": "deleted"},
    "deleted": {},
}

UNDER_WAY: frozenset[WorkplaceState] = frozenset({"requested", "preparing"})
USABLE: frozenset[WorkplaceState] = frozenset({"ready", "active"})
OVER: frozenset[WorkplaceState] = frozenset({"refused", "failed", "deleted"})


def after(state: WorkplaceState, act: Act) -> WorkplaceState | None:
    """The state that `act` leads to, or None where it is not allowed."""
    return TRANSITIONS[state].get(act)
