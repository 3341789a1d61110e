"""What organisations a workplace may be given; the keys themselves were checked by the gateway, who can see them."""

from collections.abc import Sequence

from services.provisioning.tables import Application
from shared.runtime.problem import Problem


def require_declared(application: Application, organisations: Sequence[str] | None) -> None:
    """Problem `invalid_request` when organisations are chosen in an application that declares none."""
    if organisations is not None and not application.organisations_declared:
        raise Problem("invalid_request", "This application has no organisations to choose from.")


def same_scope(before: Sequence[str] | None, now: Sequence[str] | None) -> bool:
    """Whether two choices mean the same; None = all, also those added later, which no list equals."""
    if before is None or now is None:
        return before is now
    return set(before) == set(now)
