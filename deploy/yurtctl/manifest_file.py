"""A manifest as it lies on the operator's disk, made into the one text that is sent."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.yurtctl.manifest_places import Spot, nearest, spots
from deploy.yurtctl.usage import UsageMistake

_FILE = re.compile(r"[^\n;]+\.sql")
_LINE = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True)
class ManifestFile:
    """`text` has the SQL files it named inside; `mistakes` are those that could not be read, as place and text."""

    path: Path
    text: str
    mistakes: list[dict[str, str]]
    places: dict[str, Spot]

    def line_of(self, place: str, text: str) -> int | None:
        """The line of the file that a mistake is about, or the closest around it; None where there is none."""
        if said := _LINE.search(text):
            return int(said.group(1))
        spot = nearest(self.places, place)
        return spot.line if spot else None


def read_manifest(path: Path) -> ManifestFile:
    """The file with its migrations inline. What is no TOML is left for the service to refuse. Raises `UsageMistake`."""
    text = _read(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ManifestFile(path, text, [], {})
    places = spots(text)
    mistakes: list[dict[str, str]] = []
    inlined = text
    for place, name in reversed(_named_files(document)):
        sql = _sql(path.parent, name)
        if sql is None:
            mistakes.insert(0, {"place": place, "text": f"there is no file {name} beside the manifest"})
        elif place in places:
            spot = places[place]
            inlined = inlined[: spot.begin] + _toml_string(sql) + inlined[spot.end :]
    return ManifestFile(path, inlined, mistakes, places)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageMistake(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UsageMistake(f"{path} is not UTF-8.") from None


def _named_files(document: dict[str, Any]) -> list[tuple[str, str]]:
    migrations = document.get("migrations")
    return [
        (f"migrations[{at}].sqlite", migration["sqlite"])
        for at, migration in enumerate(migrations if isinstance(migrations, list) else [])
        if isinstance(migration, dict)
        and isinstance(migration.get("sqlite"), str)
        and _FILE.fullmatch(migration["sqlite"])
    ]


def _sql(folder: Path, name: str) -> str | None:
    """The text of a file in or below the manifest's folder: a manifest from elsewhere sends nothing else."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        return None
    return _read(file)


def _toml_string(text: str) -> str:
    """A basic string: as JSON writes it, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
