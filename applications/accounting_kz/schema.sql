-- Accounting for Kazakhstan: areas, catalogues, invoices, payments. PostgreSQL 15 to 18, no extensions.
-- A plain application: nothing here knows of Yurt. Run it in an empty database, then posting.sql, chart_of_accounts.sql, row_security.sql.

BEGIN;

-- ---------------------------------------------------------------- state registration numbers

-- Control digit of a BIN or IIN from its first 11 digits; null when the number is never issued. The weights are those of
-- the state register: 1 … 11, and where the remainder is 10 once more with 3 … 11, 1, 2.
CREATE FUNCTION public.bin_control_digit(number text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN weighed.first < 10 THEN weighed.first WHEN weighed.second < 10 THEN weighed.second END
    FROM (
        SELECT sum(digit.value * digit.place)::integer % 11 AS first,
               sum(digit.value * ((digit.place + 1) % 11 + 1))::integer % 11 AS second
        FROM (
            SELECT substr(number, place, 1)::integer AS value, place FROM generate_series(1, 11) AS place
        ) AS digit
    ) AS weighed;
END;

-- 12 digits with the right control digit: a BIN (organisation) or an IIN (person, sole proprietor). The register's own weight of
-- the 11th digit is 11, so by that digit alone it cannot tell two numbers apart.
CREATE FUNCTION public.is_bin_or_iin(number text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN number ~ '^[0-9]{12}$'
                THEN coalesce(public.bin_control_digit(number) = substr(number, 12, 1)::integer, false)
                ELSE false END;
END;

-- A BIN: month of registration in digits 3–4, kind of entity 4 … 6 in digit 5, branch mark 0 … 3 in digit 6.
CREATE FUNCTION public.is_bin(number text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT number ~ '^[0-9]{2}(0[1-9]|1[0-2])[4-6][0-3]' AND public.is_bin_or_iin(number);
END;

-- Standard rate of VAT in per cent on a day: 12 until the end of 2025, 16 from 2026.
CREATE FUNCTION public.vat_rate_on(day date) RETURNS numeric
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN day < DATE '2026-01-01' THEN 12.00 ELSE 16.00 END;
END;

-- ---------------------------------------------------------------- areas

-- Several subscribers share these tables. Each has one area; whose a row is says its area_id. Keys are uuids and never meet; what people
-- give by hand (BIN, codes, numbers) is unique per area, and no reference leads from one area into another.
CREATE TABLE public.areas (
    id         integer PRIMARY KEY CHECK (id > 0),
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The area this session works for; null where none is set.
CREATE FUNCTION public.current_area() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('accounting.area', true), '')::integer;

-- ---------------------------------------------------------------- catalogues

CREATE TYPE public.counterparty_kind AS ENUM ('legal_entity', 'sole_proprietor', 'person', 'state_body');
CREATE TYPE public.document_status AS ENUM ('draft', 'posted');
CREATE TYPE public.payment_direction AS ENUM ('in', 'out');

CREATE TABLE public.organisations (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id     integer NOT NULL DEFAULT public.current_area() REFERENCES public.areas,
    bin         char(12) NOT NULL CHECK (public.is_bin(bin::text)),
    name        text NOT NULL CHECK (name <> ''),
    full_name   text NOT NULL,
    address     text,
    vat_payer   boolean NOT NULL DEFAULT true,
    registered_on date,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (area_id, bin),
    UNIQUE (area_id, id)
);

-- Documents dated up to and including closed_until may not change any more. No row: everything is open.
CREATE TABLE public.closing_dates (
    organisation_id uuid NOT NULL,
    area_id         integer NOT NULL DEFAULT public.current_area(),
    closed_until    date NOT NULL,
    PRIMARY KEY (organisation_id, area_id),
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id) ON DELETE CASCADE
);

-- A counterparty belongs to one organisation: whom one entity trades with is nothing the other's people need to know, and
-- a copy for one organisation is closed in itself. Who deals with two organisations is entered twice.
CREATE TABLE public.counterparties (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id         integer NOT NULL DEFAULT public.current_area(),
    organisation_id uuid NOT NULL,
    kind            public.counterparty_kind NOT NULL DEFAULT 'legal_entity',
    bin_iin         char(12) CHECK (public.is_bin_or_iin(bin_iin::text)),  -- a foreign one has none
    name            text NOT NULL CHECK (name <> ''),
    search_name     text GENERATED ALWAYS AS (lower(name)) STORED,
    is_resident     boolean NOT NULL DEFAULT true,
    phones          text[] DEFAULT '{}',
    requisites      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(requisites) = 'object'),
    credit_limit    numeric(15,2) CHECK (credit_limit >= 0),
    payment_days    smallint NOT NULL DEFAULT 0 CHECK (payment_days >= 0),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (area_id, organisation_id, bin_iin),
    UNIQUE (organisation_id, id),  -- an organisation is of one area, so this pair says the area too
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id)
);

CREATE TABLE public.units (
    id      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id integer NOT NULL DEFAULT public.current_area() REFERENCES public.areas,
    code    varchar(4) NOT NULL,
    name    varchar(20) NOT NULL,
    name_kk varchar(20) NOT NULL,
    UNIQUE (area_id, code),
    UNIQUE (area_id, id)
);

CREATE TABLE public.items (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id    integer NOT NULL DEFAULT public.current_area(),
    code       text NOT NULL CHECK (code <> ''),
    name       text NOT NULL CHECK (name <> ''),
    name_kk    text,
    unit_id    uuid NOT NULL,
    is_service boolean NOT NULL DEFAULT false,
    price      numeric(15,2) NOT NULL DEFAULT 0.00 CHECK (price >= 0),
    weight_kg  double precision,
    archived   boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (area_id, code),
    UNIQUE (area_id, id),
    FOREIGN KEY (area_id, unit_id) REFERENCES public.units (area_id, id)
);
CREATE INDEX ON public.items (unit_id, area_id);

-- The standard chart of accounts, and what each area has of it: a copy from the day the area was opened. A section is an account
-- whose code ends in three zeros.
CREATE TABLE public.standard_accounts (
    code    varchar(4) PRIMARY KEY CHECK (code ~ '^[1-8][0-9]{3}$'),
    name    text NOT NULL,
    name_kk text NOT NULL
);
CREATE TABLE public.accounts (
    area_id integer NOT NULL DEFAULT public.current_area() REFERENCES public.areas,
    code    varchar(4) NOT NULL CHECK (code ~ '^[1-8][0-9]{3}$'),
    name    text NOT NULL CHECK (name <> ''),
    name_kk text NOT NULL,
    PRIMARY KEY (area_id, code)
);

-- A new subscriber's area with the standard chart of accounts in it.
CREATE FUNCTION public.open_area(id integer, name text) RETURNS integer
    LANGUAGE sql SET search_path = public, pg_temp
BEGIN ATOMIC
    INSERT INTO areas (id, name) VALUES (open_area.id, open_area.name);
    INSERT INTO accounts (area_id, code, name, name_kk) SELECT open_area.id, code, name, name_kk FROM standard_accounts;
    SELECT open_area.id;
END;

-- ---------------------------------------------------------------- documents

CREATE TABLE public.invoices (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id           integer NOT NULL DEFAULT public.current_area(),
    organisation_id   uuid NOT NULL,
    number            text NOT NULL DEFAULT '' CHECK (number <> ''),  -- given by the trigger when left empty
    issued_on         date NOT NULL DEFAULT current_date,
    counterparty_id   uuid NOT NULL,
    currency          char(3) NOT NULL DEFAULT 'KZT' CHECK (currency ~ '^[A-Z]{3}$'),
    exchange_rate     numeric(12,4) NOT NULL DEFAULT 1.0000 CHECK (exchange_rate > 0),  -- tenge for one of the currency
    status            public.document_status NOT NULL DEFAULT 'draft',
    note              text,
    total_without_vat numeric(15,2) NOT NULL DEFAULT 0.00,  -- the three sums of the lines, kept by the triggers
    vat               numeric(15,2) NOT NULL DEFAULT 0.00,
    total             numeric(15,2) NOT NULL DEFAULT 0.00,
    internal_note     text,                              -- for the accountants of the service, never leaves it
    created_at        timestamptz NOT NULL DEFAULT now(),
    posted_at         timestamptz,
    UNIQUE (area_id, organisation_id, number),
    UNIQUE (area_id, id),
    UNIQUE (organisation_id, id),
    CHECK (currency <> 'KZT' OR exchange_rate = 1),
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id),
    FOREIGN KEY (organisation_id, counterparty_id) REFERENCES public.counterparties (organisation_id, id) DEFERRABLE
) WITH (fillfactor = 85);
CREATE INDEX ON public.invoices (organisation_id, issued_on);
CREATE INDEX ON public.invoices (organisation_id, counterparty_id);

CREATE TABLE public.invoice_lines (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id            integer NOT NULL DEFAULT public.current_area(),
    invoice_id         uuid NOT NULL,
    line_no            integer NOT NULL DEFAULT 1 CHECK (line_no > 0),
    item_id            uuid NOT NULL,
    quantity           numeric(15,3) NOT NULL DEFAULT 1.000 CHECK (quantity > 0),
    price              numeric(15,2) NOT NULL DEFAULT 0.00 CHECK (price >= 0),
    vat_rate           numeric(5,2) NOT NULL DEFAULT 0.00 CHECK (vat_rate BETWEEN 0 AND 100),
    amount_without_vat numeric(15,2) NOT NULL DEFAULT 0.00,  -- the three amounts are computed by the trigger
    vat_amount         numeric(15,2) NOT NULL DEFAULT 0.00,
    amount             numeric(15,2) NOT NULL DEFAULT 0.00,
    FOREIGN KEY (area_id, invoice_id) REFERENCES public.invoices (area_id, id) ON DELETE CASCADE,
    FOREIGN KEY (area_id, item_id) REFERENCES public.items (area_id, id)
);
CREATE INDEX ON public.invoice_lines (invoice_id, area_id);
CREATE INDEX ON public.invoice_lines (item_id, area_id);

CREATE TABLE public.payments (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    area_id         integer NOT NULL DEFAULT public.current_area(),
    organisation_id uuid NOT NULL,
    number          text NOT NULL DEFAULT '' CHECK (number <> ''),
    paid_on         date NOT NULL DEFAULT current_date,
    direction       public.payment_direction NOT NULL DEFAULT 'in',
    status          public.document_status NOT NULL DEFAULT 'draft',
    counterparty_id uuid NOT NULL,
    invoice_id      uuid,
    amount          numeric(15,2) NOT NULL CHECK (amount > 0),  -- in tenge
    purpose         text,
    bank_reference  varchar(34),
    created_at      timestamptz NOT NULL DEFAULT now(),
    posted_at       timestamptz,
    UNIQUE (area_id, organisation_id, number),
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id),
    -- An invoice and its payments move to another organisation in one transaction: SET CONSTRAINTS ALL DEFERRED first.
    FOREIGN KEY (organisation_id, counterparty_id) REFERENCES public.counterparties (organisation_id, id) DEFERRABLE,
    FOREIGN KEY (organisation_id, invoice_id) REFERENCES public.invoices (organisation_id, id) DEFERRABLE
);
CREATE INDEX ON public.payments (organisation_id, paid_on);
CREATE INDEX ON public.payments (organisation_id, counterparty_id);
CREATE INDEX ON public.payments (organisation_id, invoice_id);

-- ---------------------------------------------------------------- numbers of documents

-- The last number of digits alone per organisation and kind of document. Numbers of another shape (`B-17`) are
-- somebody else's and pass by it.
CREATE TABLE public.number_counters (
    area_id         integer NOT NULL DEFAULT public.current_area(),
    organisation_id uuid NOT NULL,
    document        text NOT NULL,
    last            bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (area_id, organisation_id, document),
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id) ON DELETE CASCADE
);

-- Numbers a document that has none with eight digits, and goes on behind one that came with a number of digits. The counter
-- is locked and read once per statement and organisation, and written once at the statement's end: between them it
-- lives in a setting that a rolled-back savepoint takes back together with the rows.
CREATE FUNCTION public.number_document() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counters jsonb := coalesce(nullif(current_setting('accounting.counters', true), ''), '{}')::jsonb;
    counter  text := concat_ws('/', TG_TABLE_NAME, NEW.area_id, NEW.organisation_id);
    reached  bigint := (counters ->> counter)::bigint;
    given    bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.number = OLD.number THEN
        NEW.number := NULL;  -- moved to another organisation (see the triggers' conditions): numbered there anew
    END IF;
    IF NEW.number <> '' THEN
        IF NEW.number !~ '^[0-9]{1,18}$' THEN
            RETURN NEW;
        END IF;
        given := NEW.number::bigint;
    END IF;
    IF reached IS NULL AND EXISTS (
        SELECT FROM public.organisations WHERE area_id = NEW.area_id AND id = NEW.organisation_id
    ) THEN
        INSERT INTO public.number_counters (area_id, organisation_id, document)
        VALUES (NEW.area_id, NEW.organisation_id, TG_TABLE_NAME) ON CONFLICT DO NOTHING;
        SELECT last INTO reached FROM public.number_counters
        WHERE area_id = NEW.area_id AND organisation_id = NEW.organisation_id AND document = TG_TABLE_NAME FOR UPDATE;
    END IF;
    IF reached IS NULL THEN
        NEW.number := coalesce(given::text, '00000001');
        RETURN NEW;  -- no such organisation in this area: the foreign key says so
    ELSIF given <= reached THEN
        RETURN NEW;
    ELSIF given IS NULL THEN
        given := reached + 1;
        NEW.number := lpad(given::text, greatest(8, length(given::text)), '0');
    END IF;
    PERFORM set_config('accounting.counters', (counters || jsonb_build_object(counter, given))::text, true);
    RETURN NEW;
END $$;

CREATE FUNCTION public.keep_counters() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    counters text := current_setting('accounting.counters', true);
BEGIN
    IF counters <> '' THEN
        UPDATE number_counters SET last = reached.value::bigint
        FROM jsonb_each_text(counters::jsonb) AS reached
        WHERE area_id = split_part(reached.key, '/', 2)::integer
          AND organisation_id = split_part(reached.key, '/', 3)::uuid AND document = split_part(reached.key, '/', 1);
        PERFORM set_config('accounting.counters', '', true);
    END IF;
    RETURN NULL;
END $$;

-- ---------------------------------------------------------------- what the application computes itself

CREATE FUNCTION public.compute_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.amount_without_vat := round(NEW.quantity * NEW.price, 2);
    NEW.vat_amount := round(NEW.amount_without_vat * NEW.vat_rate / 100, 2);
    NEW.amount := NEW.amount_without_vat + NEW.vat_amount;
    RETURN NEW;
END $$;

-- Brings the sums of the given invoices up to date. They are locked before the lines are read, always in the order of
-- their keys: of two transactions on lines of one invoice the second then sees the lines of the first, and no two wait
-- for each other.
CREATE FUNCTION public.sum_invoices(touched uuid[]) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM invoices WHERE id = ANY (touched) ORDER BY id FOR NO KEY UPDATE;
    UPDATE invoices SET total_without_vat = sums.total_without_vat, vat = sums.vat, total = sums.total
    FROM (
        SELECT invoice.id,
               coalesce(sum(line.amount_without_vat), 0) AS total_without_vat,
               coalesce(sum(line.vat_amount), 0) AS vat,
               coalesce(sum(line.amount), 0) AS total
        FROM (SELECT DISTINCT id FROM unnest(touched) AS id) AS invoice LEFT JOIN invoice_lines AS line ON line.invoice_id = invoice.id
        GROUP BY invoice.id
    ) AS sums
    WHERE invoices.id = sums.id
      AND (invoices.total_without_vat, invoices.vat, invoices.total)
          IS DISTINCT FROM (sums.total_without_vat, sums.vat, sums.total);
END $$;

CREATE FUNCTION public.sum_invoices_of_lines() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM sum_invoices(ARRAY(SELECT DISTINCT invoice_id FROM lines_after));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM sum_invoices(ARRAY(SELECT DISTINCT invoice_id FROM lines_before));
    ELSE
        PERFORM sum_invoices(ARRAY(SELECT invoice_id FROM lines_after UNION SELECT invoice_id FROM lines_before));
    END IF;
    RETURN NULL;
END $$;

-- Totals belong to the lines: a new invoice starts at nothing, and no statement but the one above changes them.
CREATE FUNCTION public.guard_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.total_without_vat := 0; NEW.vat := 0; NEW.total := 0;
    ELSE
        NEW.total_without_vat := OLD.total_without_vat; NEW.vat := OLD.vat; NEW.total := OLD.total;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.stamp_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.posted_at := CASE WHEN NEW.status = 'posted' THEN coalesce(NEW.posted_at, now()) END;
    RETURN NEW;
END $$;

-- Catalogues tell when they were last changed. Documents do not: there every change would be two. A statement that
-- changes nothing is no change (a generated column is not computed yet here, so it is left out of the comparison).
CREATE FUNCTION public.stamp_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR to_jsonb(NEW) - 'search_name' <> to_jsonb(OLD) - 'search_name' THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.stamp_creation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.created_at := now();  -- only where it was given as null
    RETURN NEW;
END $$;

-- Row triggers of one event fire in the order of their names.
CREATE TRIGGER number_new BEFORE INSERT ON public.invoices
    FOR EACH ROW EXECUTE FUNCTION public.number_document();
CREATE TRIGGER number_changed BEFORE UPDATE OF number, organisation_id ON public.invoices
    FOR EACH ROW WHEN (OLD.number IS DISTINCT FROM NEW.number
                       OR OLD.organisation_id <> NEW.organisation_id AND NEW.number ~ '^[0-9]+$')
    EXECUTE FUNCTION public.number_document();
CREATE TRIGGER number_written AFTER INSERT OR UPDATE ON public.invoices
    FOR EACH STATEMENT EXECUTE FUNCTION public.keep_counters();
CREATE TRIGGER number_new BEFORE INSERT ON public.payments
    FOR EACH ROW EXECUTE FUNCTION public.number_document();
CREATE TRIGGER number_changed BEFORE UPDATE OF number, organisation_id ON public.payments
    FOR EACH ROW WHEN (OLD.number IS DISTINCT FROM NEW.number
                       OR OLD.organisation_id <> NEW.organisation_id AND NEW.number ~ '^[0-9]+$')
    EXECUTE FUNCTION public.number_document();
CREATE TRIGGER number_written AFTER INSERT OR UPDATE ON public.payments
    FOR EACH STATEMENT EXECUTE FUNCTION public.keep_counters();

CREATE TRIGGER totals_new BEFORE INSERT ON public.invoices
    FOR EACH ROW WHEN ((NEW.total_without_vat, NEW.vat, NEW.total) IS DISTINCT FROM (0.00, 0.00, 0.00))
    EXECUTE FUNCTION public.guard_totals();
CREATE TRIGGER totals_changed BEFORE UPDATE ON public.invoices
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND (OLD.total_without_vat, OLD.vat, OLD.total)
                       IS DISTINCT FROM (NEW.total_without_vat, NEW.vat, NEW.total))
    EXECUTE FUNCTION public.guard_totals();
CREATE TRIGGER posting BEFORE INSERT OR UPDATE ON public.invoices
    FOR EACH ROW WHEN ((NEW.status = 'posted') <> (NEW.posted_at IS NOT NULL))
    EXECUTE FUNCTION public.stamp_posting();
CREATE TRIGGER posting BEFORE INSERT OR UPDATE ON public.payments
    FOR EACH ROW WHEN ((NEW.status = 'posted') <> (NEW.posted_at IS NOT NULL))
    EXECUTE FUNCTION public.stamp_posting();

CREATE TRIGGER amounts BEFORE INSERT OR UPDATE ON public.invoice_lines
    FOR EACH ROW EXECUTE FUNCTION public.compute_line();
CREATE TRIGGER totals_inserted AFTER INSERT ON public.invoice_lines REFERENCING NEW TABLE AS lines_after
    FOR EACH STATEMENT EXECUTE FUNCTION public.sum_invoices_of_lines();
CREATE TRIGGER totals_updated AFTER UPDATE ON public.invoice_lines
    REFERENCING OLD TABLE AS lines_before NEW TABLE AS lines_after
    FOR EACH STATEMENT EXECUTE FUNCTION public.sum_invoices_of_lines();
CREATE TRIGGER totals_deleted AFTER DELETE ON public.invoice_lines REFERENCING OLD TABLE AS lines_before
    FOR EACH STATEMENT EXECUTE FUNCTION public.sum_invoices_of_lines();

-- An update that sets updated_at itself is left alone.
CREATE TRIGGER stamp_update BEFORE UPDATE ON public.counterparties
    FOR EACH ROW WHEN (OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at)
    EXECUTE FUNCTION public.stamp_update();
CREATE TRIGGER stamp_update BEFORE UPDATE ON public.items
    FOR EACH ROW WHEN (OLD.updated_at IS NOT DISTINCT FROM NEW.updated_at)
    EXECUTE FUNCTION public.stamp_update();

-- Whoever cannot know the time of creation leaves it null.
CREATE TRIGGER created BEFORE INSERT ON public.invoices
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION public.stamp_creation();
CREATE TRIGGER created BEFORE INSERT ON public.payments
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION public.stamp_creation();
CREATE TRIGGER created BEFORE INSERT ON public.counterparties
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION public.stamp_creation();
CREATE TRIGGER created BEFORE INSERT ON public.items
    FOR EACH ROW WHEN (NEW.created_at IS NULL) EXECUTE FUNCTION public.stamp_creation();
CREATE TRIGGER stamp_new BEFORE INSERT ON public.counterparties
    FOR EACH ROW WHEN (NEW.updated_at IS NULL) EXECUTE FUNCTION public.stamp_update();
CREATE TRIGGER stamp_new BEFORE INSERT ON public.items
    FOR EACH ROW WHEN (NEW.updated_at IS NULL) EXECUTE FUNCTION public.stamp_update();

COMMIT;
