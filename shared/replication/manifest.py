"""The manifest: what of an application synchronises (architecture.md, Configuration of an application)."""

import re
import sqlite3
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.protocol.statements import EndsTransaction, statements

Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00\"]+$")]
Titles = dict[str, str]


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a manifest, and where: a path like `aggregates[2].parts[0].parent`."""

    place: str
    text: str


class ManifestInvalid(Exception):
    """A manifest that cannot be used. Holds every mistake found, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.place}: {mistake.text}" for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


_SPECIFIER = re.compile(r"(===?|!=|~=|<=?|>=?) *\d+(\.\d+)*(\.\*)?", re.ASCII)


def _specifier(platform: str) -> str:
    if not all(_SPECIFIER.fullmatch(part.strip()) for part in platform.split(",")):
        raise ValueError("it must say which Python is needed, like >=3.11")
    return platform


class Configuration(_Section):
    """Name and version of the kind of application, and what its copy needs on the local computer."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,3}$")]
    title: Titles
    platform: Annotated[str, AfterValidator(_specifier)] = ">=3.11"
    isolation: Literal["database", "column"] = "database"
    area_column: Name | None = None
    # The PostgreSQL schema of the application's tables.
    schema_name: Name = Field(default="public", alias="schema")

    @model_validator(mode="after")
    def _area_goes_with_isolation(self) -> "Configuration":
        if (self.isolation == "column") != (self.area_column is not None):
            raise ValueError("area_column goes with isolation = 'column', and only with it")
        return self


class Organisations(_Section):
    """The table of the legal entities whose records live in the application."""

    table: Name
    key: Name
    title: Name


class Numbering(_Section):
    """A document number filled offline with the workplace's prefix."""

    column: Name


class Closed(_Section):
    """Closed periods: documents dated up to and including `until` of their organisation may not change."""

    column: Name
    table: Name
    organisation: Name
    until: Name


class Part(_Section):
    """Rows that belong to a root row and travel with it."""

    table: Name
    key: tuple[Name, ...] = Field(min_length=1)
    parent: Name
    keys: Literal["uuid", "range", "natural"] | None = None
    exclude: tuple[Name, ...] = ()
    within_scope: tuple[Name, ...] = ()


class Aggregate(_Section):
    """A root table with its parts: the unit of change, conflict and delivery."""

    table: Name
    key: tuple[Name, ...] = Field(min_length=1)
    keys: Literal["uuid", "range", "natural"]
    organisation: Name | None = None
    access: Literal["read_write", "read_only"] = "read_write"
    policy: Literal["service_wins", "workplace_wins", "manual"] = "service_wins"
    number: Numbering | None = None
    closed: Closed | None = None
    title: Name | None = None
    exclude: tuple[Name, ...] = ()
    within_scope: tuple[Name, ...] = ()
    parts: tuple[Part, ...] = ()


def _inlined(sqlite: str) -> str:
    if re.fullmatch(r"[^\n;]+\.sql", sqlite):
        raise ValueError(f"{sqlite} names a file: its text must stand here")
    return sqlite


class Migration(_Section):
    """How replicas and messages of version `from` become those of this version. `sqlite` is SQL text."""

    from_version: str = Field(alias="from")
    sqlite: Annotated[str, AfterValidator(_inlined)] = ""
    renames: dict[str, dict[str, str]] = {}
    defaults: dict[str, dict[str, Any]] = {}


class Manifest(_Section):
    """A whole manifest, consistent in itself; whether it fits the database, `model.load` tells."""

    configuration: Configuration
    organisations: Organisations | None = None
    aggregates: tuple[Aggregate, ...] = Field(min_length=1)
    migrations: tuple[Migration, ...] = ()

    def migration(self, version: str) -> "Migration | None":
        """How what `version` left becomes this version, as far as it is told."""
        return next((known for known in self.migrations if known.from_version == version), None)


@dataclass(frozen=True)
class Survey:
    """Everything that can be said of a manifest without its database.

    `manifest` is None only when nothing of it can be used. With `mistakes` it is the manifest without what is wrong,
    good for looking for further mistakes and for nothing else.
    """

    manifest: Manifest | None
    mistakes: tuple[Mistake, ...]


def parse(text: str) -> Manifest:
    """Read a manifest. Raises `ManifestInvalid` with all mistakes that can be seen without the database."""
    found = survey(text)
    if found.mistakes or found.manifest is None:
        raise ManifestInvalid(found.mistakes)
    return found.manifest


def survey(text: str) -> Survey:
    """Read a manifest and go on behind its mistakes."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Survey(None, (Mistake("manifest", str(error)),))
    mistakes: list[Mistake] = []
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        mistakes = _mistakes(error)
        for item in error.errors():
            _leave_out(document, item["loc"])
        try:
            manifest = Manifest.model_validate(document)
        except ValidationError:
            return Survey(None, tuple(mistakes))
    return Survey(manifest, (*mistakes, *_contradictions(manifest)))


def _mistakes(error: ValidationError) -> list[Mistake]:
    found = {
        _place(item["loc"]): f"{item['msg']}, not {item['input']!r}" if item["type"] == "literal_error" else item["msg"]
        for item in error.errors()
    }
    # A list whose items are all wrong is called too short as well.
    return [
        Mistake(place, text)
        for place, text in found.items()
        if not any(other.startswith(f"{place}[") for other in found)
    ]


# What stands for a value that is wrong or missing but must be there, so that the rest can be looked at.
_STAND_INS: dict[str, Any] = {"keys": "natural", "version": "0", "name": "unnamed", "title": {}}


def _leave_out(document: Any, location: tuple[int | str, ...]) -> None:
    """Take a wrong value out of a document."""
    *path, last = location
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(document, dict) and isinstance(last, str):
        document.pop(last, None)
        if last in _STAND_INS:
            document[last] = _STAND_INS[last]


def _place(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".") or "manifest"


def _contradictions(manifest: Manifest) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for at, aggregate in enumerate(manifest.aggregates):
        place = f"aggregates[{at}]"
        yield from _table_name(place, aggregate.table, seen)
        for part_at, part in enumerate(aggregate.parts):
            yield from _table_name(f"{place}.parts[{part_at}]", part.table, seen)
            for column in sorted({*part.key, part.parent} & set(part.exclude)):
                yield Mistake(f"{place}.parts[{part_at}].exclude", f"column {column} is needed by the replica")
        if aggregate.parts and len(aggregate.key) != 1:
            yield Mistake(f"{place}.key", "parts refer to their root by one column: the key must have one")
        if aggregate.organisation and manifest.organisations is None:
            yield Mistake(f"{place}.organisation", "the manifest has no [organisations]")
        if aggregate.closed and not aggregate.organisation:
            yield Mistake(f"{place}.closed", "closed periods need the column `organisation`")
        if aggregate.number and aggregate.number.column in aggregate.exclude:
            yield Mistake(f"{place}.number.column", "the column is excluded")
        kept = {*aggregate.key, *filter(None, [aggregate.organisation, aggregate.title])}
        for column in sorted(kept & set(aggregate.exclude)):
            yield Mistake(f"{place}.exclude", f"column {column} is needed by the replica")
    yield from _organisations(manifest)
    yield from _migrations(manifest)


def _migrations(manifest: Manifest) -> Iterator[Mistake]:
    seen: dict[str, str] = {manifest.configuration.version: "configuration.version"}
    for at, migration in enumerate(manifest.migrations):
        place = f"migrations[{at}].from"
        if migration.from_version in seen:
            yield Mistake(place, f"{migration.from_version} stands already at {seen[migration.from_version]}")
        seen.setdefault(migration.from_version, place)
        unreadable = _unreadable(migration.sqlite)
        if unreadable:
            yield Mistake(f"migrations[{at}].sqlite", unreadable)


_ILL_WRITTEN = ("syntax error", "unrecognized token", "incomplete input")


def _unreadable(script: str) -> str | None:
    """Why SQLite cannot read the script. Whether it runs shows on a replica of its version (`versions.mistakes`)."""
    with closing(sqlite3.connect(":memory:")) as db:
        try:
            for statement in statements(script):
                _read(db, statement)
        except EndsTransaction as error:
            return f"it runs inside a transaction: {error}"
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            return str(error)
    return None


def _read(db: sqlite3.Connection, statement: str) -> None:
    """Nothing is run, and there are no tables to be found missing."""
    try:
        db.execute(f"EXPLAIN {statement}")
    except sqlite3.OperationalError as error:
        if any(text in str(error) for text in _ILL_WRITTEN):
            raise


def _organisations(manifest: Manifest) -> Iterator[Mistake]:
    own = manifest.organisations
    if own is None:
        return
    aggregate = next((found for found in manifest.aggregates if found.table == own.table), None)
    if aggregate is None:
        yield Mistake("organisations.table", "the organisations table must be an aggregate too")
    elif aggregate.key != (own.key,):
        yield Mistake("organisations.key", f"it must be the key of the aggregate {own.table}")


def _table_name(place: str, table: str, seen: dict[str, str]) -> Iterator[Mistake]:
    folded = table.lower()  # SQLite tells no case apart
    if folded.startswith(("yurt_", "sqlite_")):
        yield Mistake(f"{place}.table", f"names like {table} belong to the replica")
    if folded in seen:
        yield Mistake(f"{place}.table", f"{table} stands already at {seen[folded]}")
    seen[folded] = place
