"""The tables of messaging, the same in the database of every service."""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Column, DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """On a registry of its own: no service's tables are mixed with these."""


def _instant() -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=False, server_default=text("now()"))


def _json() -> Column[Any]:
    return Column(JSONB, nullable=False)


class OutboxRow(Table, table=True):
    """An event that is true and not yet with all its subscribers. `due_at`: nobody touches it before."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "due_at"),)

    id: UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_column=_instant())
    headers: dict[str, str] = Field(sa_column=_json())
    payload: dict[str, Any] = Field(sa_column=_json())
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    due_at: datetime = Field(sa_column=_instant())


class InboxRow(Table, table=True):
    """A consumer's effect of an event is committed; it is not had again."""

    __tablename__ = "inbox"
    __table_args__ = (Index("inbox_handled", "handled_at"),)

    consumer: str = Field(primary_key=True, sa_type=Text)
    event_id: UUID = Field(primary_key=True)
    handled_at: datetime = Field(sa_column=_instant())


class DeadLetterRow(Table, table=True):
    """An event a consumer gave up, kept until a person replays it (in-process bus; the broker has a queue for them)."""

    __tablename__ = "dead_letters"

    id: UUID = Field(primary_key=True)
    failed_at: datetime = Field(sa_column=_instant())
    letter: dict[str, Any] = Field(sa_column=_json())


class Operations(Protocol):
    """What `alembic.op` offers, as far as it is needed here."""

    def execute(self, sqltext: str, /) -> None: ...


def create_messaging_tables(op: Operations) -> None:
    """For a service's first migration: outbox, inbox and dead letters as of now."""
    op.execute("""
        CREATE TABLE outbox (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            occurred_at timestamptz NOT NULL DEFAULT now(),
            headers jsonb NOT NULL,
            payload jsonb NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            due_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX outbox_due ON outbox (due_at)")
    op.execute("""
        CREATE TABLE inbox (
            consumer text NOT NULL,
            event_id uuid NOT NULL,
            handled_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (consumer, event_id)
        )""")
    op.execute("CREATE INDEX inbox_handled ON inbox (handled_at)")
    op.execute("""
        CREATE TABLE dead_letters (
            id uuid PRIMARY KEY,
            failed_at timestamptz NOT NULL DEFAULT now(),
            letter jsonb NOT NULL
        )""")
