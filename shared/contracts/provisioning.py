"""Events of provisioning: the life of a workplace."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.contracts.envelope import Event

WorkplaceState = Literal["requested", "preparing", "ready", "active", "suspended", "deleted", "refused", "failed"]


class Reason(BaseModel):
    """Why a workplace is in its state: a code for programs and a text for the person who must act."""

    model_config = ConfigDict(frozen=True)

    code: str
    text: str


class Package(BaseModel):
    """A finished package in object storage. `size` in bytes, `sha256` in lower-case hex, `position` opaque."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    object: str
    filename: str
    size: int
    sha256: str
    position: str
    generation: str
    scope_version: int
    expires_at: AwareDatetime


class WorkplaceRequested(Event):
    """Somebody asked for a workplace; it waits for a seat."""

    wire_name: ClassVar[str] = "provisioning.workplace_requested.v1"

    workplace: UUID
    application: str
    subscriber: str


class PackageRequested(Event):
    """A package is to be built for a workplace. `organisations` are keys of the manifest's table, None = all."""

    wire_name: ClassVar[str] = "provisioning.package_requested.v1"

    package: UUID
    workplace: UUID
    application: str
    name: str
    prefix: str
    organisations: list[str] | None
    scope_version: int


class WorkplaceChanged(Event):
    """The present state of a workplace, whole. Of two, the one with the greater `revision` is newer."""

    wire_name: ClassVar[str] = "provisioning.workplace_changed.v1"

    workplace: UUID
    revision: int
    application: str
    subscriber: str
    name: str
    state: WorkplaceState
    reason: Reason | None
    organisations: list[str] | None
    scope_version: int
    users: list[str]
    prefix: str
    package: Package | None
    created_by: str
    created_at: AwareDatetime


class WorkplaceEnded(Event):
    """The workplace needs neither seat nor package any more, whatever came before or is still under way."""

    wire_name: ClassVar[str] = "provisioning.workplace_ended.v1"

    workplace: UUID
    subscriber: str
    outcome: Literal["deleted", "failed"]
