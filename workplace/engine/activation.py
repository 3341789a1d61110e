"""Claiming this workplace for this computer (protocol.md, Activation)."""

from dataclasses import replace

from workplace.engine.home import Credentials, Home
from workplace.engine.replica import Replica
from workplace.engine.service import PROGRAM, Service


def activate(replica: Replica, service: Service, home: Home, login: str, password: str) -> Credentials:
    """Claims the workplace, or renews the token; stores the token outside the folder and notes who edits from now on.

    Raises ServiceRefused: `wrong_credentials`, `not_permitted`, `activated_elsewhere`, `workplace_deleted`.
    """
    known = home.credentials()
    document = {"login": login, "password": password, "replica_id": known.replica_id, "program": PROGRAM}
    answer = service.call("POST", f"/workplaces/{replica.get('workplace')}/activation", document).document
    credentials = replace(
        known, token=answer["token"], expires_at=answer["expires_at"], login=login, package=package_of(replica)
    )
    home.store_credentials(credentials)
    service.token = credentials.token
    with replica.writing():
        replica.put("user", login)
    return credentials


def usable_token(replica: Replica, credentials: Credentials) -> str | None:
    """The stored token, unless it was given to another package of the same workplace (a reissue)."""
    return credentials.token if credentials.package == package_of(replica) else None


def package_of(replica: Replica) -> str:
    """What tells two packages of one workplace apart."""
    return str(replica.get("created_at"))
