"""The user's own computer: a folder with the unzipped package, and a bare Python to run its program."""

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from deploy.demo.narrator import StoryBroken
from deploy.demo.plot import Edit
from shared.protocol.digest import table_digests

PROGRAM = "yurt-workplace.pyz"


class Computer:
    """A workplace unzipped into `folder`; what the computer keeps outside of it (its token) is in `settings`."""

    def __init__(self, folder: Path, settings: Path) -> None:
        self.folder = folder
        self.settings = settings
        self.replica = folder / "InfoBase" / "infobase.db"

    def unzip(self, package: Path) -> list[str]:
        """Unpacks the package; the paths of its files."""
        with zipfile.ZipFile(package) as archive:
            archive.extractall(self.folder)
            return archive.namelist()

    def manifest(self) -> dict[str, Any]:
        """`manifest.json` of the package."""
        document: dict[str, Any] = json.loads((self.folder / "manifest.json").read_bytes())
        return document

    def damaged(self) -> list[str]:
        """Files whose size or SHA-256 is not as the manifest says, and files it does not know."""
        named = self.manifest()["files"]
        present = {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if path.is_file()}
        wrong = [name for name, said in named.items() if name not in present or _differs(present[name], said)]
        return wrong + sorted(present.keys() - named.keys() - {"manifest.json"})

    def run(self, *arguments: str, typed: str = "", expect: tuple[int, ...] = (0,)) -> str:
        """What the program prints. `typed` goes to its input.

        `StoryBroken` when its exit code is not among those that `expect` names.
        """
        with self.start(*arguments) as program:
            told, complained = program.communicate(typed, timeout=300)
        if program.returncode not in expect:
            said = (told + complained).strip()
            raise StoryBroken(f"`{' '.join((PROGRAM, *arguments))}` ended with {program.returncode}: {said}")
        return told

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The program under way, run by Python with nothing but its standard library."""
        command = [sys.executable, "-I", "-S", PROGRAM, "--lang", "en", *arguments]
        env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.settings),
            "YURT_CONFIG_HOME": str(self.settings),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "110",
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def pick(self, queries: dict[str, str]) -> dict[str, Any]:
        """The only value of each query."""
        with self._opened() as replica:
            picked: dict[str, Any] = {}
            for name, query in queries.items():
                row = replica.execute(query).fetchone()
                if row is None:
                    raise StoryBroken(f"the data hold nothing for the pick {name!r}")
                picked[name] = row[0]
            return picked

    def edit(self, edit: Edit, picks: dict[str, Any]) -> None:
        """A command of the workplace's program, or statements of any SQLite program in one transaction."""
        if edit.program:
            self.run(*(str(picks[word[1:]]) if word.startswith(":") else word for word in edit.program))
        else:
            self._execute(edit.sql, picks)

    def _execute(self, script: str, picks: dict[str, Any]) -> None:
        with self._opened() as replica, replica:
            for statement in script.split(";"):
                replica.execute(statement, picks)

    def asked(self, query: str, picks: dict[str, Any]) -> Any:
        """The only value of a query; None without a row."""
        with self._opened() as replica:
            row = replica.execute(query, picks).fetchone()
            return row[0] if row else None

    def changes(self) -> list[tuple[str, str]]:
        """Table and operation of every edit that is not sent yet."""
        with self._opened() as replica:
            return list(replica.execute("SELECT table_name, op FROM yurt_changes ORDER BY seq"))

    def digests(self) -> dict[str, dict[str, Any]]:
        """Rows and digest per table, computed here from the replica."""
        with self._opened() as replica:
            return table_digests(replica)

    def credentials(self) -> dict[str, Any]:
        """What the program stored outside the folder when it was activated."""
        (file,) = self.settings.rglob("credentials.json")
        document: dict[str, Any] = json.loads(file.read_bytes())
        return document

    def state(self) -> dict[str, Any]:
        """`yurt_workplace` of the replica."""
        with self._opened() as replica:
            return {key: json.loads(value) for key, value in replica.execute("SELECT key, value FROM yurt_workplace")}

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.replica)
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            yield connection
        finally:
            connection.close()


def _differs(path: Path, said: dict[str, Any]) -> bool:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return bool(path.stat().st_size != said["size"] or digest != said["sha256"])
