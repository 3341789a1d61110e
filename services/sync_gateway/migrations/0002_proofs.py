"""What replicas said when they compared their rows with the service's."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exchanges", sa.Column("verified", sa.Boolean))
    op.add_column("exchanges", sa.Column("differing", JSONB))
    op.add_column("exchanges", sa.Column("repaired", JSONB))


def downgrade() -> None:
    for column in ("repaired", "differing", "verified"):
        op.drop_column("exchanges", column)
