"""Jobs, base images, packages, ended workplaces, and the tables of messaging."""

from alembic import op

from shared.messaging.tables import create_messaging_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_messaging_tables(op)
    op.execute("""
        CREATE TABLE jobs (
            package uuid PRIMARY KEY,
            workplace uuid NOT NULL,
            application text NOT NULL,
            name text NOT NULL,
            prefix text NOT NULL,
            organisations jsonb,
            scope_version integer NOT NULL,
            state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
            phase text NOT NULL,
            done bigint NOT NULL,
            total bigint NOT NULL,
            claim integer NOT NULL,
            worker uuid,
            lease_until timestamptz,
            not_before timestamptz NOT NULL,
            attempts integer NOT NULL,
            postponements integer NOT NULL,
            unreachable_since timestamptz,
            code text,
            text text,
            trace jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            finished_at timestamptz,
            CHECK (state <> 'running' OR lease_until IS NOT NULL)
        )""")
    op.execute("CREATE INDEX jobs_workplace ON jobs (workplace)")
    op.execute("CREATE INDEX jobs_unfinished ON jobs (created_at) WHERE state IN ('waiting', 'running')")
    op.execute("""
        CREATE TABLE base_images (
            id uuid PRIMARY KEY,
            key text NOT NULL,
            application text NOT NULL,
            object text NOT NULL UNIQUE,
            size bigint NOT NULL,
            sha256 text NOT NULL,
            position text NOT NULL,
            generation text NOT NULL,
            rows jsonb NOT NULL,
            digests jsonb NOT NULL,
            built_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX base_images_key ON base_images (key, built_at DESC)")
    op.execute("""
        CREATE TABLE packages (
            id uuid PRIMARY KEY,
            workplace uuid NOT NULL,
            application text NOT NULL,
            base_image uuid NOT NULL,
            object text NOT NULL UNIQUE,
            filename text NOT NULL,
            size bigint NOT NULL,
            sha256 text NOT NULL,
            position text NOT NULL,
            generation text NOT NULL,
            scope_version integer NOT NULL,
            rows jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            removed_at timestamptz
        )""")
    op.execute("CREATE INDEX packages_workplace ON packages (workplace)")
    op.execute("CREATE INDEX packages_stored ON packages (expires_at) WHERE removed_at IS NULL")
    op.execute("CREATE TABLE ended_workplaces (workplace uuid PRIMARY KEY, ended_at timestamptz NOT NULL)")
