"""What the snapshot builder remembers: jobs, base images, packages, ended workplaces."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Base of this service's tables, on a registry of its own: four services may live in one process."""


def _now() -> datetime:
    return datetime.now(UTC)


class Job(Table, table=True):
    """One package to be built. `claim` grows with every taking, so a worker that lost its lease cannot end the job.

    States: waiting → running → done | failed; cancelled from anywhere but the end.
    """

    __tablename__: ClassVar[str] = "jobs"

    package: UUID = Field(primary_key=True)
    workplace: UUID = Field(index=True)
    application: str
    name: str
    prefix: str
    organisations: list[str] | None = Field(sa_type=JSONB(none_as_null=True))
    scope_version: int
    state: str = "waiting"
    phase: str = "waiting"
    done: int = Field(default=0, sa_type=BigInteger)
    total: int = Field(default=0, sa_type=BigInteger)
    claim: int = 0
    worker: UUID | None = None
    lease_until: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    not_before: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    attempts: int = 0
    postponements: int = 0
    unreachable_since: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    code: str | None = None
    text: str | None = None
    trace: dict[str, str] = Field(default_factory=dict, sa_type=JSONB)
    created_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    finished_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class BaseImage(Table, table=True):
    """A replica without its personal part, in storage. Several may share a `key`; the newest is used."""

    __tablename__: ClassVar[str] = "base_images"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    key: str = Field(index=True)
    application: str = Field(index=True)
    object: str
    size: int = Field(sa_type=BigInteger)
    sha256: str
    position: str
    generation: str
    rows: dict[str, int] = Field(sa_type=JSONB)
    digests: dict[str, Any] = Field(sa_type=JSONB)
    built_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))


class StoredPackage(Table, table=True):
    """A finished package. Once `ended_at` is set or `expires_at` has passed, its object goes; the row tells of it."""

    __tablename__: ClassVar[str] = "packages"

    id: UUID = Field(primary_key=True)
    workplace: UUID = Field(index=True)
    application: str
    base_image: UUID
    object: str
    filename: str
    size: int = Field(sa_type=BigInteger)
    sha256: str
    position: str
    generation: str
    scope_version: int
    rows: dict[str, int] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    ended_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    removed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class EndedWorkplace(Table, table=True):
    """A workplace that needs no package any more: a request that arrives after its end is cancelled at once."""

    __tablename__: ClassVar[str] = "ended_workplaces"

    workplace: UUID = Field(primary_key=True)
    ended_at: datetime = Field(default_factory=_now, sa_type=DateTime(timezone=True))
