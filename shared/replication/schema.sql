-- Everything Yurt owns in an application database. Statements may be run again: each creates what is missing.

CREATE SCHEMA IF NOT EXISTS yurt;

-- One row that knows in which cluster, database and table it was written. A restored or copied one lies about it: then
-- the history is another database's (capture.state).
CREATE TABLE IF NOT EXISTS yurt.birthmark (
    system_identifier text NOT NULL,
    database oid NOT NULL,
    relation oid NOT NULL
);

-- One row per application attached to this database. Of transactions below `forgotten` marks may be gone; of those below
-- `compacted` a mark may be gone that a later one of the same object and kind stands for (retention.py). `secret` seals
-- the positions given out (history.py).
CREATE TABLE IF NOT EXISTS yurt.applications (
    code text PRIMARY KEY,
    area text,
    configuration text NOT NULL,
    version text NOT NULL,
    fingerprint text NOT NULL,
    generation text NOT NULL,
    secret text NOT NULL,
    forgotten xid8 NOT NULL DEFAULT '3',
    compacted xid8 NOT NULL DEFAULT '3',
    attached_at timestamptz NOT NULL DEFAULT now()
);

-- What replicas are in each configuration version the application had (shared/replication/blueprint.py).
CREATE TABLE IF NOT EXISTS yurt.versions (
    application text NOT NULL,
    version text NOT NULL,
    blueprint json NOT NULL,
    PRIMARY KEY (application, version)
);

-- Which tables are captured, and by which definition (a digest of the trigger functions). `relation`: which table had this
-- name then; another one may hold other rows, and nobody marked the difference.
CREATE TABLE IF NOT EXISTS yurt.captured (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    configuration text NOT NULL,
    definition text NOT NULL,
    relation oid NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);

-- The change history: that an aggregate changed, never what. Append-only, no constraint that could make a writer wait.
-- key: the root's key as text, NULL = the whole table (TRUNCATE). organisation_before/_after: NULL when the table has
-- none, when the row did not exist, or for a mark that a part row left on its root. origin: the workplace whose pushed
-- row is stored exactly as it was pushed. recipient: the mark is for that workplace alone (it is to get the aggregate
-- again); rejected: because its change was rejected. alias: how it spelt a key that is spelt otherwise or names nothing;
-- what it holds under that name is to be removed (then `key` is empty).
CREATE TABLE IF NOT EXISTS yurt.history (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    table_name text NOT NULL,
    key text[],
    area text,
    organisation_before text,
    organisation_after text,
    origin text,
    recipient text,
    rejected boolean NOT NULL DEFAULT false,
    alias text
);
-- IF NOT EXISTS would wait for the writers of the history before it looked.
DO $$ BEGIN
    IF to_regclass('yurt.history_xid') IS NULL THEN CREATE INDEX history_xid ON yurt.history (xid); END IF;
END $$;

-- What a workplace has pushed and acknowledged. `respected`: the position that the last compaction spared. `contacts`:
-- counted up when it is spoken to; who holds a position of a later contact than this knows what was restored away.
CREATE TABLE IF NOT EXISTS yurt.workplaces (
    workplace text PRIMARY KEY,
    application text NOT NULL,
    last_message bigint NOT NULL DEFAULT 0,
    contacts bigint NOT NULL DEFAULT 0,
    acknowledged text,
    acknowledged_at timestamptz,
    respected text
);

-- What databases attached by an earlier build lack. Asked first: ALTER TABLE would wait for readers.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'yurt.workplaces'::regclass AND attname = 'contacts') THEN
        ALTER TABLE yurt.workplaces ADD COLUMN contacts bigint NOT NULL DEFAULT 0;
        ALTER TABLE yurt.applications ADD COLUMN secret text NOT NULL DEFAULT gen_random_uuid()::text;
        ALTER TABLE yurt.applications ALTER COLUMN secret DROP DEFAULT, DROP COLUMN system_identifier;
        ALTER TABLE yurt.captured ADD COLUMN relation oid NOT NULL DEFAULT 0;
        UPDATE yurt.captured SET relation = to_regclass(quote_ident(schema_name) || '.' || quote_ident(table_name))::oid;
    END IF;
END $$;

-- Positions as time went by: what was visible then is seen by every position given out since.
CREATE TABLE IF NOT EXISTS yurt.moments (
    taken_at timestamptz NOT NULL DEFAULT now(),
    position text NOT NULL DEFAULT pg_current_snapshot()::text
);

-- The stored answers. Only the last message keeps its answer, all keep their digest. xid: whether the holder of a
-- position has what the message changed.
CREATE TABLE IF NOT EXISTS yurt.messages (
    workplace text NOT NULL,
    number bigint NOT NULL,
    digest text NOT NULL,
    answer json,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workplace, number)
);

-- Versions are json, not jsonb: they are kept as they were spelt. edits: what of the pushed version was edited: {"before", "parts_before", "new"}.
CREATE TABLE IF NOT EXISTS yurt.problems (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    application text NOT NULL,
    workplace text NOT NULL,
    message bigint NOT NULL,
    seq bigint NOT NULL,
    table_name text NOT NULL,
    key json NOT NULL,
    key_text text[] NOT NULL,
    organisation text,
    kind text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    title text,
    columns text[] NOT NULL DEFAULT '{}',
    op text NOT NULL,
    service json,
    pushed json,
    edits json NOT NULL DEFAULT '{}',
    in_force text NOT NULL,
    state text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    edited_by text,
    resolved_at timestamptz,
    resolved_by text,
    comment text
);
CREATE INDEX IF NOT EXISTS problems_application ON yurt.problems (application, created_at, id);
CREATE INDEX IF NOT EXISTS problems_workplace ON yurt.problems (workplace, created_at, id);
-- By a hash, because a key may be longer than an index holds.
CREATE INDEX IF NOT EXISTS problems_record ON yurt.problems (workplace, table_name, hash_array(key_text));

-- What became of each problem, in this order: accepted, rejected, reopened, commented by people; corrected: the workplace
-- itself changed the record again. replaced: what a decision wrote over, null for nothing. No foreign key: a message that
-- corrects never waits for a person who decides.
DO $$ BEGIN
    IF to_regclass('yurt.problem_events') IS NULL THEN
        CREATE TABLE yurt.problem_events (
            place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            problem uuid NOT NULL,
            happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            action text NOT NULL,
            login text NOT NULL,
            comment text,
            in_force text,
            replaced json
        );
        CREATE INDEX problem_events_problem ON yurt.problem_events (problem, place);
        -- Decisions from before this table.
        INSERT INTO yurt.problem_events (problem, happened_at, action, login, comment, in_force)
        SELECT id, resolved_at, state, resolved_by, comment, in_force FROM yurt.problems
        WHERE resolved_by IS NOT NULL ORDER BY resolved_at;
    END IF;
END $$;

-- Integer keys leased to workplaces; ends are inclusive. A void lease is never given again.
CREATE TABLE IF NOT EXISTS yurt.leases (
    application text NOT NULL,
    table_name text NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    workplace text NOT NULL,
    void boolean NOT NULL DEFAULT false,
    leased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application, table_name, first)
);

-- json as the database prints jsonb; what jsonb cannot hold ("\u0000", 1e400000) as it is stored.
CREATE OR REPLACE FUNCTION yurt.json_text(value json) RETURNS text
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    RETURN value::jsonb::text;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN value::text;
END $$;

-- Wire spelling of arrays whose elements PostgreSQL prints otherwise (protocol.md, Values). `value` is array_to_json's.
CREATE OR REPLACE FUNCTION yurt.wire_array(value json, element text) RETURNS text
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    RETURN '[' || coalesce((
        SELECT string_agg(
            CASE json_typeof(e) WHEN 'array' THEN yurt.wire_array(e, element) WHEN 'null' THEN 'null'
            ELSE CASE element
                WHEN 'bigint' THEN CASE WHEN abs((e #>> '{}')::numeric) <= 9007199254740991 THEN e #>> '{}'
                                   ELSE '"' || (e #>> '{}') || '"' END
                -- A number as it is printed, but one zero: the replica's readers cannot tell -0 from 0 in JSON.
                WHEN 'float' THEN CASE WHEN json_typeof(e) = 'string' THEN e::text WHEN e #>> '{}' = '-0' THEN '0'
                                  ELSE e #>> '{}' END
                WHEN 'timestamp' THEN '"' || CASE
                    WHEN isfinite((e #>> '{}')::timestamp) AND (e #>> '{}')::timestamp >= '0001-01-01'
                    THEN to_char((e #>> '{}')::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US')
                    ELSE (e #>> '{}')::timestamp::text END || '"'
                WHEN 'timestamptz' THEN '"' || CASE
                    WHEN isfinite((e #>> '{}')::timestamptz) AND (e #>> '{}')::timestamptz >= '0001-01-01 00:00+00'
                    THEN to_char((e #>> '{}')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z'
                    ELSE (e #>> '{}')::timestamptz::text END || '"'
                WHEN 'json' THEN to_json(yurt.json_text((e #>> '{}')::json))::text
                WHEN 'bytea' THEN '"' || translate(encode((e #>> '{}')::bytea, 'base64'), E'\n', '') || '"'
                ELSE to_json(e #>> '{}')::text END
            END, ',' ORDER BY place)
        FROM json_array_elements(value) WITH ORDINALITY AS elements(e, place)), '') || ']';
END $$;
