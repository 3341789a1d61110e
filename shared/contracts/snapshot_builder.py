"""Events of the snapshot builder: packages under way and done."""

from typing import ClassVar
from uuid import UUID

from shared.contracts.envelope import Event
from shared.contracts.provisioning import Package


class BuildProgressed(Event):
    """A build goes on, told at most once a second: `done` of `total` rows in `phase`.

    Phases are `waiting`, `reading`, `verifying`, `packing`.
    """

    wire_name: ClassVar[str] = "snapshot_builder.build_progressed.v1"

    workplace: UUID
    package_id: UUID
    phase: str
    done: int
    total: int


class PackageBuilt(Event):
    """The package lies in object storage, verified and whole. `rows` counts the rows of each table."""

    wire_name: ClassVar[str] = "snapshot_builder.package_built.v1"

    workplace: UUID
    package: Package
    rows: dict[str, int]


class BuildFailed(Event):
    """The package cannot be built; nothing of it is left in object storage."""

    wire_name: ClassVar[str] = "snapshot_builder.build_failed.v1"

    workplace: UUID
    package_id: UUID
    code: str
    text: str
