"""The calls into the heart: identify, build, personalise, verify. Synchronous; run them in a thread."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection

from services.snapshot_builder.application_source import ApplicationSource
from services.snapshot_builder.build_steps import BuildSteps
from services.snapshot_builder.failures import ApplicationChanged, ApplicationRestored
from shared.protocol.values import canonical_json
from shared.replication import capture, history, image, manifest, model, opening, ranges, session
from shared.replication.scope import Scope


@dataclass(frozen=True)
class Cut:
    """What an image is made of: the application as provisioning describes it, its database, the organisations."""

    application: str
    source: ApplicationSource
    url: str
    organisations: tuple[str, ...] | None
    scope_version: int

    @property
    def scope(self) -> Scope:
        return Scope(self.organisations, self.scope_version)


@dataclass(frozen=True)
class Identity:
    """`key` is the same for base images that may stand for each other.

    `last_message`: the transaction that a workplace's image must have seen, 0 for none. Without it, what its former
    replica sent last would be missing and numbers be given twice.
    """

    key: str
    generation: str
    last_message: int = 0


def identify(cut: Cut, workplace: UUID, steps: BuildSteps) -> Identity:
    """Which base image the workplace needs now.

    Raises `ManifestInvalid`, `ApplicationChanged`, `BuildStopped`, and psycopg's errors when the database is away.
    """
    with _attached(cut, steps) as (conn, bound, attached):
        identity = _identity(cut, bound, attached.generation)
        return replace(identity, last_message=opening.last_applied(conn, str(workplace))[1])


def build_base(cut: Cut, path: Path, steps: BuildSteps) -> tuple[Identity, image.Image]:
    """Write the base image to `path`, telling `steps`. Raises as `identify`."""
    with _attached(cut, steps) as (conn, bound, before):
        built = image.build(conn, bound, cut.scope, path, steps.step)
        after = capture.state(conn, cut.application)
        if after is None or after.generation != before.generation:
            raise ApplicationRestored(cut.application)
        return _identity(cut, bound, after.generation), built


def personalise(cut: Cut, path: Path, workplace: UUID, document: Mapping[str, Any], steps: BuildSteps) -> None:
    """Make the copy of a base image at `path` the workplace's own.

    Afterwards its older key ranges are void, and the history is kept from the image's position on.
    """
    with _attached(cut, steps) as (conn, bound, _):
        opening.register(conn, cut.application, str(workplace), document["position"])
        number, transaction = opening.last_applied(conn, str(workplace))
        if not history.has_seen(document["position"], transaction):
            number -= 1  # it came while the package was built
        image.personalise(path, document, ranges.renew(conn, cut.application, bound, str(workplace)), number)


@contextmanager
def _attached(cut: Cut, steps: BuildSteps) -> Iterator[tuple[Connection[Any], model.Model, capture.Capture]]:
    parsed = manifest.parse(cut.source.manifest)
    with session.connect(cut.url) as conn, steps.interruptible(conn.cancel_safe):
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


def _identity(cut: Cut, bound: model.Model, generation: str) -> Identity:
    organisations = None if cut.organisations is None else sorted(cut.organisations)
    source = cut.source
    made_of = [cut.application, source.area, source.manifest, source.version, bound.fingerprint, generation]
    return Identity(hashlib.sha256(canonical_json([*made_of, organisations]).encode()).hexdigest(), generation)
