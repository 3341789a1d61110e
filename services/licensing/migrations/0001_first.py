"""The first tables of licensing."""

from alembic import op

from shared.messaging.tables import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE subscriptions (
            subscriber text PRIMARY KEY,
            plan text NOT NULL CHECK (plan IN ('prof', 'extended', 'optimal', 'starter')),
            extra_seats integer NOT NULL CHECK (extra_seats >= 0),
            valid_until date,
            local_licence boolean NOT NULL,
            lapsed boolean NOT NULL,
            lapse_revision integer NOT NULL
        )""")
    op.execute("""
        CREATE TABLE seats (
            workplace uuid PRIMARY KEY,
            subscriber text NOT NULL,
            state text NOT NULL CHECK (state IN ('held', 'refused', 'released')),
            refusal_code text,
            refusal_text text,
            suspended boolean NOT NULL,
            changed_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX seats_held ON seats (subscriber) WHERE state = 'held'")
    create_messaging_tables(op)
