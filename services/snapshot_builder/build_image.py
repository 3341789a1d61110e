"""The calls into the heart: identify, build, personalise, verify. Synchronous; run them in a thread."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection

from services.snapshot_builder.application_source import ApplicationSource
from services.snapshot_builder.failures import ApplicationChanged
from shared.protocol.values import canonical_json
from shared.replication import capture, image, manifest, model, ranges, session

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cut:
    """What an image is made of: the application as provisioning describes it, its database, the organisations."""

    application: str
    source: ApplicationSource
    url: str
    organisations: tuple[str, ...] | None
    scope_version: int

    @property
    def scope(self) -> image.Scope:
        return image.Scope(self.organisations, self.scope_version)


def identify(cut: Cut) -> str:
    """The key of base images that may stand for each other: lower-case hex.

    Raises `ManifestInvalid`, `ApplicationChanged`, and psycopg's errors when the database is away.
    """
    with _attached(cut) as (_, bound, attached):
        return _key(cut, bound, attached.generation)


def build_base(cut: Cut, path: Path, progress: Progress) -> tuple[str, image.Image]:
    """Write the base image to `path`; the key it has in truth, and what is in it. Raises as `identify`, and what
    `progress` raises."""
    with _attached(cut) as (conn, bound, _):
        built = image.build(conn, bound, cut.scope, path, progress)
        return _key(cut, bound, built.generation), built


def personalise(cut: Cut, path: Path, workplace: UUID, document: dict[str, Any]) -> None:
    """Make the copy of a base image at `path` the workplace's own. Its older key ranges are void afterwards."""
    with _attached(cut) as (conn, bound, _):
        leased = ranges.lease(conn, bound, cut.application, str(workplace))
        image.personalise(path, document, leased)


def verify(path: Path, digests: dict[str, Any]) -> None:
    """Raises `ImageDamaged` unless the file is sound and holds exactly what PostgreSQL counted."""
    image.verify(path, digests)


@contextmanager
def _attached(cut: Cut) -> Iterator[tuple[Connection[Any], model.Model, capture.Capture]]:
    parsed = manifest.parse(cut.source.manifest)
    with session.connect(cut.url) as conn:
        bound = model.load(conn, parsed, cut.source.area)
        attached = capture.state(conn, cut.application)
        conn.commit()
        if attached is None:
            raise ApplicationChanged(f"Application {cut.application} is not attached to its database.")
        if attached.fingerprint != bound.fingerprint:
            raise ApplicationChanged(
                f"The synchronised tables of application {cut.application} were altered since it was attached."
            )
        yield conn, bound, attached


def _key(cut: Cut, bound: model.Model, generation: str) -> str:
    organisations = None if cut.organisations is None else sorted(cut.organisations)
    named = [cut.application, cut.source.area, cut.source.manifest, cut.source.version, bound.fingerprint, generation]
    return hashlib.sha256(canonical_json([*named, organisations]).encode()).hexdigest()
