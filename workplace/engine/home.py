"""What a computer keeps of its workplaces, outside their folders: who it is, its token, its way to the Internet."""

import json
import os
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from workplace.engine.failures import Failure


def config_home() -> Path:
    """The folder of this person on this computer. `YURT_CONFIG_HOME` says otherwise.

    Never one that roams between computers: a replica belongs to one.
    """
    if told := os.environ.get("YURT_CONFIG_HOME"):
        return Path(told)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Yurt"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Yurt"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "yurt"


@dataclass(frozen=True)
class Credentials:
    """`replica_id` is made once per computer and workplace. The token counts only for the package it was given to."""

    replica_id: str
    token: str | None = None
    expires_at: str | None = None
    login: str | None = None
    package: str | None = None


@dataclass(frozen=True)
class InternetAccess:
    """`proxy`: `system`, `none` or an URL. `ca_file`: one's own certificate authority. `service`: another address."""

    proxy: str = "system"
    ca_file: str | None = None
    service: str | None = None


Stored = TypeVar("Stored", Credentials, InternetAccess)


class Home:
    """The files of one workplace in `config_home()`, readable by their owner only."""

    def __init__(self, workplace: str, home: Path | None = None) -> None:
        safe = workplace if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", workplace) else sha256(workplace.encode()).hexdigest()
        self.folder = (home or config_home()) / safe

    def credentials(self) -> Credentials:
        """Who this computer is for the service; the id is made and stored at the first call."""
        stored = self._read("credentials.json", Credentials)
        if stored is None:
            stored = Credentials(replica_id=str(uuid4()))
            self.store_credentials(stored)
        return stored

    def store_credentials(self, credentials: Credentials) -> None:
        """Replaces what is stored, whole or not at all."""
        self._write("credentials.json", asdict(credentials))

    def internet_access(self) -> InternetAccess:
        """How the service is reached."""
        return self._read("internet.json", InternetAccess) or InternetAccess()

    def store_internet_access(self, access: InternetAccess) -> None:
        """Replaces what is stored."""
        self._write("internet.json", asdict(access))

    def _read(self, name: str, kind: type[Stored]) -> Stored | None:
        try:
            document = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:  # another id would look like another computer, so nothing is guessed
            raise Failure("damaged_settings", str(self.folder / name)) from error
        known = {field.name for field in fields(kind)}
        return kind(**{key: value for key, value in document.items() if key in known})

    def _write(self, name: str, document: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        # mkstemp makes a file that only its owner may read, before there is anything in it.
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
