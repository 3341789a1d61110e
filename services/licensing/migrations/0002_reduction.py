"""Fewer seats than are held: a grace, then the newest workplaces are suspended."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE subscriptions
            ADD COLUMN grace_until timestamptz,
            ADD COLUMN seats_revision integer NOT NULL DEFAULT 0""")
    op.execute("ALTER TABLE subscriptions ALTER COLUMN seats_revision DROP DEFAULT")
    op.execute("""
        ALTER TABLE seats
            ADD COLUMN reduced text CHECK (reduced IN ('seats_reduced', 'local_licence_required')),
            ADD CHECK (reduced IS NULL OR state = 'held')""")
    # Who is over already gets the default grace from today: nobody was told before.
    op.execute("""
        UPDATE subscriptions SET grace_until = now() + interval '14 days'
        WHERE (SELECT count(*) FROM seats WHERE seats.subscriber = subscriptions.subscriber AND state = 'held')
            > CASE WHEN local_licence THEN extra_seats
                + CASE plan WHEN 'starter' THEN 1 WHEN 'optimal' THEN 2 ELSE 5 END ELSE 0 END""")
    op.execute("CREATE INDEX subscriptions_in_grace ON subscriptions (grace_until) WHERE grace_until IS NOT NULL")
