"""A third cause of suspension: fewer seats than workplaces."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE workplaces
            ADD COLUMN suspended_by_reduction text
                CHECK (suspended_by_reduction IN ('seats_reduced', 'local_licence_required')),
            ADD COLUMN seats_revision integer NOT NULL DEFAULT 0""")
    op.execute("ALTER TABLE workplaces ALTER COLUMN seats_revision DROP DEFAULT")
