"""Tables of provisioning."""

from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from sqlalchemy import Column, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from shared.contracts.licensing import ReductionCode
from shared.contracts.provisioning import WorkplaceState

Role = Literal["administrator", "user", "synchronisation"]


class Table(SQLModel, registry=registry()):
    """The registry of this service: four services may live in one process."""


class Subscriber(Table, table=True):
    """Who pays. What he may use is known to licensing."""

    __tablename__: ClassVar[str] = "subscribers"

    code: str = Field(primary_key=True)
    name: str


class Application(Table, table=True):
    """One subscriber's instance of a configuration. `connection` is a name, never a secret.

    `workplaces_numbered` is the counter behind names and prefixes; the row outlives the application (`removed_at`), so
    that neither comes again when the application is attached anew.
    """

    __tablename__: ClassVar[str] = "applications"

    code: str = Field(primary_key=True)
    subscriber: str = Field(foreign_key="subscribers.code")
    title: Any = Field(sa_column=Column(JSONB, nullable=False))
    manifest: str
    connection: str
    area: str | None
    configuration: str
    version: str
    platform: str
    organisations_declared: bool
    generation: str | None
    workplaces_numbered: int = 0
    removed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class User(Table, table=True):
    """A person with a login that is his in the whole service. No password: he cannot sign in."""

    __tablename__: ClassVar[str] = "users"

    login: str = Field(primary_key=True)
    subscriber: str = Field(foreign_key="subscribers.code")
    full_name: str
    password_hash: str | None = None


class Membership(Table, table=True):
    """The role of a user in one application."""

    __tablename__: ClassVar[str] = "memberships"

    application: str = Field(primary_key=True, foreign_key="applications.code")
    login: str = Field(primary_key=True, foreign_key="users.login")
    role: Role = Field(sa_column=Column(Text, nullable=False))


class FailedLogin(Table, table=True):
    """Failures of one login in a row, known or unknown, and until when it is not listened to."""

    __tablename__: ClassVar[str] = "failed_logins"

    login: str = Field(primary_key=True)
    failures: int
    blocked_until: datetime = Field(sa_type=DateTime(timezone=True))


class Workplace(Table, table=True):
    """One workplace, kept after its end. What others may know of it is `describe_workplace.document`.

    `resumes_to` is the state a suspended workplace had. `suspended_by_*` are the causes, each by itself; the one of a
    reduction says what it lacks. `lapse_revision` is the newest lapse or renewal it heard of, `seats_revision` the
    newest reduction or restoration.
    `awaited_package` is the one package that is wanted now; any other that gets built is ignored.
    `trouble_*` say why it was refused, why it failed or why its last package was not built.
    """

    __tablename__: ClassVar[str] = "workplaces"

    id: UUID = Field(primary_key=True)
    application: str = Field(foreign_key="applications.code")
    subscriber: str
    number: int
    name: str
    prefix: str
    state: WorkplaceState = Field(sa_column=Column(Text, nullable=False))
    resumes_to: Literal["ready", "active"] | None = Field(default=None, sa_column=Column(Text))
    suspended_by_administrator: bool = False
    suspended_by_lapse: bool = False
    lapse_revision: int = 0
    suspended_by_reduction: ReductionCode | None = Field(default=None, sa_column=Column(Text))
    seats_revision: int = 0
    trouble_code: str | None = None
    trouble_text: str | None = None
    organisations: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    scope_version: int = 1
    users: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    awaited_package: UUID | None = None
    package: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    revision: int = 0
    created_by: str
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    last_sign_at: datetime = Field(sa_type=DateTime(timezone=True))
    idempotency_key: str | None = None

    def held_up(self) -> bool:
        """Whether there is any cause to suspend it, or to keep it suspended."""
        return self.suspended_by_administrator or self.suspended_by_lapse or self.suspended_by_reduction is not None
