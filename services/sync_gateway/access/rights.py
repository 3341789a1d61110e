"""What a role opens (protocol.md, Sessions and administration). What one may not know of is `not_found`."""

from typing import Protocol

from services.sync_gateway.access.callers import Person
from shared.runtime.problem import Problem

ADMINISTRATOR, USER, SYNCHRONISATION = "administrator", "user", "synchronisation"


class Belongs(Protocol):
    """Something of an application with a list of users: a workplace."""

    application: str
    users: list[str]


def not_found(what: str = "There is nothing here.") -> Problem:
    """The same for what does not exist and for what belongs to others."""
    return Problem("not_found", what)


def not_permitted(detail: str = "Your role does not open this.") -> Problem:
    """The thing may be known, the right is missing."""
    return Problem("not_permitted", detail)


def require_administrator(person: Person, application: str) -> None:
    """He administers the application. Problems `not_found` (a foreign or unknown one) and `not_permitted`."""
    role = person.roles.get(application)
    if role is None:
        raise not_found("There is no such application.")
    if role != ADMINISTRATOR:
        raise not_permitted()


def require_role(person: Person, application: str) -> None:
    """He may read something of the application. Problems `not_found`, `not_permitted` (synchronisation only)."""
    role = person.roles.get(application)
    if role is None:
        raise not_found("There is no such application.")
    if role not in {ADMINISTRATOR, USER}:
        raise not_permitted()


def may_read(person: Person, workplace: Belongs) -> bool:
    """Whether the person may read this workplace: an administrator any, a user those he is listed in."""
    role = person.roles.get(workplace.application)
    return role == ADMINISTRATOR or (role == USER and person.login in workplace.users)


def require_reader(person: Person, workplace: Belongs | None) -> None:
    """He may read the workplace. Problems `not_found` (unknown, foreign, not listed) and `not_permitted`."""
    if workplace is None or not _may_know_of(person, workplace):
        raise not_found("There is no such workplace.")
    if not may_read(person, workplace):
        raise not_permitted()


def require_manager(person: Person, workplace: Belongs | None) -> None:
    """He may change the workplace. Problems as in `require_reader`."""
    if workplace is None or not _may_know_of(person, workplace):
        raise not_found("There is no such workplace.")
    require_administrator(person, workplace.application)


def _may_know_of(person: Person, workplace: Belongs) -> bool:
    role = person.roles.get(workplace.application)
    return role == ADMINISTRATOR or (role is not None and person.login in workplace.users)
