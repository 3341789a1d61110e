"""The first tables of provisioning."""

from alembic import op

from shared.messaging.tables import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE subscribers (code text PRIMARY KEY, name text NOT NULL)")
    op.execute("""
        CREATE TABLE applications (
            code text PRIMARY KEY,
            subscriber text NOT NULL REFERENCES subscribers,
            title jsonb NOT NULL,
            manifest text NOT NULL,
            connection text NOT NULL,
            area text,
            configuration text NOT NULL,
            version text NOT NULL,
            platform text NOT NULL,
            organisations_declared boolean NOT NULL,
            generation text,
            workplaces_numbered integer NOT NULL,
            removed_at timestamptz
        )""")
    op.execute("""
        CREATE TABLE users (
            login text PRIMARY KEY,
            subscriber text NOT NULL REFERENCES subscribers,
            full_name text NOT NULL,
            password_hash text
        )""")
    op.execute("""
        CREATE TABLE memberships (
            application text REFERENCES applications,
            login text REFERENCES users,
            role text NOT NULL CHECK (role IN ('administrator', 'user', 'synchronisation')),
            PRIMARY KEY (application, login)
        )""")
    op.execute("CREATE INDEX memberships_login ON memberships (login)")
    op.execute("""
        CREATE TABLE failed_logins (
            login text PRIMARY KEY,
            failures integer NOT NULL,
            blocked_until timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX failed_logins_blocked_until ON failed_logins (blocked_until)")
    _workplaces()
    create_messaging_tables(op)


def _workplaces() -> None:
    op.execute("""
        CREATE TABLE workplaces (
            id uuid PRIMARY KEY,
            application text NOT NULL REFERENCES applications,
            subscriber text NOT NULL,
            number integer NOT NULL,
            name text NOT NULL,
            prefix text NOT NULL,
            state text NOT NULL CHECK (state IN (
                'requested', 'preparing', 'ready', 'active', 'suspended', 'deleted', 'refused', 'failed'
            )),
            resumes_to text CHECK (resumes_to IN ('ready', 'active')),
            suspended_by_administrator boolean NOT NULL,
            suspended_by_lapse boolean NOT NULL,
            lapse_revision integer NOT NULL,
            trouble_code text,
            trouble_text text,
            organisations text[],
            scope_version integer NOT NULL,
            users text[] NOT NULL,
            awaited_package uuid,
            package jsonb,
            revision integer NOT NULL,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            last_sign_at timestamptz NOT NULL,
            idempotency_key text,
            CHECK ((state = 'suspended') = (resumes_to IS NOT NULL)),
            UNIQUE (application, number),
            UNIQUE (application, prefix),
            UNIQUE (application, idempotency_key)
        )""")
    op.execute("""
        CREATE INDEX workplaces_waiting ON workplaces (last_sign_at)
        WHERE state IN ('requested', 'preparing') OR awaited_package IS NOT NULL""")
