"""What every command works with: the open replica, this computer's settings, the screen."""

import getpass
import os
import sys
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

from workplace.engine.activation import activate, usable_token
from workplace.engine.failures import Failure
from workplace.engine.home import Home
from workplace.engine.replica import Replica
from workplace.engine.service import Service
from workplace.terminal.screen import Screen
from workplace.texts import Texts


@dataclass
class Desk:
    """One command's surroundings."""

    text: Texts
    screen: Screen
    replica: Replica
    home: Home
    arguments: Namespace

    def service(self) -> Service:
        """The service with the stored token, reached as it was told now or before."""
        access = self.home.internet_access()
        told = {
            "proxy": getattr(self.arguments, "proxy", None),
            "ca_file": getattr(self.arguments, "ca", None),
            "service": getattr(self.arguments, "service", None),
        }
        if changed := {name: value for name, value in told.items() if value is not None}:
            access = replace(access, **changed)
            self.home.store_internet_access(access)
        token = usable_token(self.replica, self.home.credentials())
        return Service(str(self.replica.get("service")), access, token)

    def sign_in(self, service: Service) -> None:
        """Asks for login and password and activates. Raises `password_needed` where nobody can be asked."""
        login, password = self._who()
        activate(self.replica, service, self.home, login, password)
        self.screen.complain(self.text("activated", login=login))

    def _who(self) -> tuple[str, str]:
        login = self.arguments.login or self.home.credentials().login
        password = os.environ.get("YURT_PASSWORD")
        if self.arguments.password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        if not (login and password) and not sys.stdin.isatty():
            raise Failure("password_needed")
        login = login or input(self.text("ask.login")).strip()
        return login, password if password is not None else getpass.getpass(self.text("ask.password", login=login))


def find_replica(told: str | None, program: Path) -> Path:
    """The replica of a folder: a package's, `InfoBase` itself, or the file; by default beside the program."""
    start = Path(told or os.environ.get("YURT_FOLDER") or program.resolve().parent)
    for candidate in (start, start / "infobase.db", start / "InfoBase" / "infobase.db"):
        if candidate.is_file() and candidate.suffix == ".db":
            return candidate
    return start / "InfoBase" / "infobase.db"
