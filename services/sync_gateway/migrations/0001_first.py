"""The first tables of the gateway."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.messaging.tables import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("workplace", sa.Uuid),
        sa.Column("replica", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("tokens_login", "tokens", ["login"])
    op.create_index("tokens_workplace", "tokens", ["workplace"], postgresql_where=sa.text("workplace IS NOT NULL"))
    op.create_index("tokens_expires_at", "tokens", ["expires_at"])
    op.create_table(
        "workplaces",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("subscriber", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", JSONB),
        sa.Column("organisations", JSONB),
        sa.Column("scope_version", sa.Integer, nullable=False),
        sa.Column("users", JSONB, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("package", JSONB),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("history_released", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index(
        "workplaces_to_release",
        "workplaces",
        ["id"],
        postgresql_where=sa.text("state = 'deleted' AND NOT history_released"),
    )
    op.create_index("workplaces_application", "workplaces", ["application", "created_at", "id"])
    op.create_table(
        "builds",
        sa.Column("workplace", sa.Uuid, primary_key=True),
        sa.Column("package", sa.Uuid, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "known_scopes",
        sa.Column("workplace", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("organisations", JSONB),
    )
    op.create_table(
        "activations",
        sa.Column("workplace", sa.Uuid, primary_key=True),
        sa.Column("replica", sa.Text, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("activated_at", MOMENT, nullable=False),
        sa.Column("reissued_at", MOMENT),
        sa.Column("position", sa.Text),
        sa.Column("scope_version", sa.Integer),
        sa.Column("unsent", sa.BigInteger),
        sa.Column("differing", JSONB),
    )
    op.create_table(
        "exchanges",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("workplace", sa.Uuid, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("replica", sa.Text, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("result", sa.Text),
        sa.Column("opened", JSONB, nullable=False),
        sa.Column("messages", JSONB, nullable=False),
        sa.Column("offered", JSONB, nullable=False),
        sa.Column("delta", JSONB),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("problems", sa.BigInteger, nullable=False),
        sa.Column("unsent", sa.BigInteger, nullable=False),
    )
    op.create_index("exchanges_workplace", "exchanges", ["workplace", "started_at", "id"])
    op.create_index("exchanges_application", "exchanges", ["application", "started_at", "id"])
    op.create_index("exchanges_running", "exchanges", ["expires_at"], postgresql_where=sa.text("finished_at IS NULL"))
    op.create_table(
        "kept_replies",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("document", JSONB),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    create_messaging_tables(op)


def downgrade() -> None:
    for table in ("kept_replies", "exchanges", "activations", "known_scopes", "builds", "workplaces", "tokens"):
        op.drop_table(table)
