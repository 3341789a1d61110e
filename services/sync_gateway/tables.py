"""The gateway's own records. Times are UTC."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, DateTime, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

JSON = JSONB(none_as_null=True)


class Table(SQLModel, registry=registry()):
    """Tables of this service only, so that several services can live in one process."""


class Token(Table, table=True):
    """A bearer's right: a person's session (`workplace` None) or a replica's. Only the SHA-256 of the token is kept."""

    __tablename__ = "tokens"

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    login: str
    workplace: UUID | None = None
    replica: str | None = None
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))


class Workplace(Table, table=True):
    """What provisioning last said of a workplace (the greatest `revision` wins).

    `history_released`: a deleted workplace holds back no marks in the application's history any more.
    """

    __tablename__ = "workplaces"

    id: UUID = Field(primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    application: str
    subscriber: str
    name: str
    state: str
    reason: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    organisations: list[str] | None = Field(default=None, sa_type=JSON)
    scope_version: int
    users: list[str] = Field(sa_type=JSON)
    prefix: str
    package: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_by: str
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    history_released: bool = False


class Build(Table, table=True):
    """How far the newest package of a workplace is. Kept apart: it may be heard of before the workplace itself."""

    __tablename__ = "builds"

    workplace: UUID = Field(primary_key=True)
    package: UUID
    phase: str
    done: int = Field(sa_type=BigInteger)
    total: int = Field(sa_type=BigInteger)


class KnownScope(Table, table=True):
    """The organisations a workplace had under each version of its scope (None = all)."""

    __tablename__ = "known_scopes"

    workplace: UUID = Field(primary_key=True)
    version: int = Field(primary_key=True)
    organisations: list[str] | None = Field(default=None, sa_type=JSON)


class Activation(Table, table=True):
    """The replica that holds a workplace. `reissued_at`: another may claim it; until then this one may still upload."""

    __tablename__ = "activations"

    workplace: UUID = Field(primary_key=True)
    replica: str
    login: str
    activated_at: datetime = Field(sa_type=DateTime(timezone=True))
    reissued_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    position: str | None = None
    scope_version: int | None = None
    unsent: int | None = Field(default=None, sa_type=BigInteger)
    differing: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class Exchange(Table, table=True):
    """One exchange. `result` None while it runs. `opened`: the request and its answer; `messages`: number → counts;
    `offered`: positions its deltas lead to → lines; `delta`: the file of a large one. `verified`, `differing`,
    `repaired`: what the replica said of the comparison, None when it said nothing.
    """

    __tablename__ = "exchanges"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    workplace: UUID
    application: str
    replica: str
    login: str
    program: str
    started_at: datetime = Field(sa_type=DateTime(timezone=True))
    expires_at: datetime = Field(sa_type=DateTime(timezone=True))
    finished_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    result: str | None = None
    opened: dict[str, Any] = Field(sa_type=JSON)
    messages: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    offered: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    delta: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    sent: int = Field(default=0, sa_type=BigInteger)
    received: int = Field(default=0, sa_type=BigInteger)
    problems: int = Field(default=0, sa_type=BigInteger)
    unsent: int = Field(default=0, sa_type=BigInteger)
    verified: bool | None = None
    differing: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    repaired: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class KeptReply(Table, table=True):
    """The answer to a creating request, kept under its Idempotency-Key for a day. `status` None: still under way."""

    __tablename__ = "kept_replies"

    owner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request: bytes = Field(sa_type=LargeBinary)
    status: int | None = None
    document: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
