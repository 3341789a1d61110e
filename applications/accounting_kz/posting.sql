-- The journal: what posted documents say, in accounts. Run it behind schema.sql. It is derived and nobody writes it but the triggers here: one
-- balanced entry for each posted document, kept to the document's present amounts, taken back when the document is unposted or deleted.

BEGIN;

CREATE TABLE public.journal_entries (
    id              uuid PRIMARY KEY,  -- the key of the document
    area_id         integer NOT NULL DEFAULT public.current_area(),
    organisation_id uuid NOT NULL,
    document        text NOT NULL CHECK (document IN ('invoice', 'payment')),
    number          text NOT NULL,
    entered_on      date NOT NULL,
    amount          numeric(18,2) NOT NULL,
    UNIQUE (area_id, id),
    FOREIGN KEY (area_id, organisation_id) REFERENCES public.organisations (area_id, id) DEFERRABLE
);
CREATE INDEX ON public.journal_entries (organisation_id, area_id, entered_on);

-- Amounts are in tenge, on one side of an account each.
CREATE TABLE public.journal_lines (
    entry_id     uuid NOT NULL,
    area_id      integer NOT NULL DEFAULT public.current_area(),
    line_no      smallint NOT NULL,
    account_code varchar(4) NOT NULL,
    debit        numeric(18,2) NOT NULL DEFAULT 0.00 CHECK (debit >= 0),
    credit       numeric(18,2) NOT NULL DEFAULT 0.00 CHECK (credit >= 0),
    PRIMARY KEY (entry_id, area_id, line_no),
    FOREIGN KEY (area_id, entry_id) REFERENCES public.journal_entries (area_id, id) ON DELETE CASCADE,
    FOREIGN KEY (area_id, account_code) REFERENCES public.accounts (area_id, code),
    CHECK ((debit = 0) <> (credit = 0))
);
CREATE INDEX ON public.journal_lines (area_id, account_code);

-- ---------------------------------------------------------------- what the journal has to say

CREATE VIEW public.posted_documents WITH (security_invoker = true) AS
SELECT id, area_id, organisation_id, 'invoice' AS document, number, issued_on AS entered_on,
       round(total_without_vat * exchange_rate, 2) + round(vat * exchange_rate, 2) AS amount
FROM public.invoices WHERE status = 'posted' AND round(total_without_vat * exchange_rate, 2) > 0
UNION ALL
SELECT id, area_id, organisation_id, 'payment', number, paid_on, amount FROM public.payments WHERE status = 'posted';

-- A sale: receivables to income and VAT. Money in: bank to receivables. Money out: payables to bank.
CREATE VIEW public.postings WITH (security_invoker = true) AS
SELECT invoice.id AS entry_id, invoice.area_id, side.line_no, side.account_code, side.debit, side.credit
FROM public.invoices AS invoice,
     LATERAL (SELECT round(total_without_vat * exchange_rate, 2) AS net, round(vat * exchange_rate, 2) AS vat) AS tenge,
     LATERAL (VALUES (1::smallint, '1210', tenge.net + tenge.vat, 0.00), (2::smallint, '6010', 0.00, tenge.net),
                     (3::smallint, '3130', 0.00, tenge.vat)) AS side (line_no, account_code, debit, credit)
WHERE invoice.status = 'posted' AND tenge.net > 0 AND side.debit + side.credit > 0
UNION ALL
SELECT payment.id, payment.area_id, side.line_no, side.account_code, side.debit, side.credit
FROM public.payments AS payment,
     LATERAL (VALUES (1::smallint, CASE direction WHEN 'in' THEN '1030' ELSE '3310' END, amount, 0.00),
                     (2::smallint, CASE direction WHEN 'in' THEN '1210' ELSE '1030' END, 0.00, amount))
             AS side (line_no, account_code, debit, credit)
WHERE payment.status = 'posted';

-- Brings the entries of the given documents up to date, set-based; rows that are right already are not touched. Each view is asked for these
-- documents alone: joined to them otherwise, the planner reads it whole.
CREATE FUNCTION public.book(documents uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM journal_entries AS entry
    WHERE entry.id = ANY (documents) AND entry.id NOT IN (SELECT id FROM posted_documents WHERE id = ANY (documents));

    INSERT INTO journal_entries AS entry (id, area_id, organisation_id, document, number, entered_on, amount)
    SELECT id, area_id, organisation_id, document, number, entered_on, amount
    FROM posted_documents WHERE id = ANY (documents) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET area_id = excluded.area_id, organisation_id = excluded.organisation_id,
        number = excluded.number, entered_on = excluded.entered_on, amount = excluded.amount
    WHERE (entry.area_id, entry.organisation_id, entry.number, entry.entered_on, entry.amount)
          IS DISTINCT FROM (excluded.area_id, excluded.organisation_id, excluded.number, excluded.entered_on, excluded.amount);

    DELETE FROM journal_lines AS line
    WHERE line.entry_id = ANY (documents) AND (line.entry_id, line.line_no) NOT IN (
        SELECT entry_id, line_no FROM postings WHERE entry_id = ANY (documents));

    INSERT INTO journal_lines AS line (entry_id, area_id, line_no, account_code, debit, credit)
    SELECT entry_id, area_id, line_no, account_code, debit, credit
    FROM postings WHERE entry_id = ANY (documents) ORDER BY entry_id, line_no
    ON CONFLICT (entry_id, area_id, line_no) DO UPDATE
        SET account_code = excluded.account_code, debit = excluded.debit, credit = excluded.credit
    WHERE (line.account_code, line.debit, line.credit)
          IS DISTINCT FROM (excluded.account_code, excluded.debit, excluded.credit);
END $$;
REVOKE EXECUTE ON FUNCTION public.book(uuid[]) FROM PUBLIC;

-- ---------------------------------------------------------------- triggers

CREATE FUNCTION public.book_invoices() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    touched uuid[] := ARRAY(
        SELECT coalesce(before.id, after.id)
        FROM rows_before AS before FULL JOIN rows_after AS after ON after.id = before.id
        WHERE (before.status = 'posted' OR after.status = 'posted')
          AND (before.status, before.organisation_id, before.number, before.issued_on, before.total_without_vat, before.vat, before.exchange_rate)
              IS DISTINCT FROM
              (after.status, after.organisation_id, after.number, after.issued_on, after.total_without_vat, after.vat, after.exchange_rate));
BEGIN
    IF touched <> '{}' THEN
        PERFORM book(touched);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.book_payments() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    touched uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        touched := ARRAY(SELECT id FROM rows_after WHERE status = 'posted');
    ELSE
        touched := ARRAY(
            SELECT coalesce(before.id, after.id)
            FROM rows_before AS before FULL JOIN rows_after AS after ON after.id = before.id
            WHERE (before.status = 'posted' OR after.status = 'posted')
              AND (before.status, before.organisation_id, before.number, before.paid_on, before.direction, before.amount)
                  IS DISTINCT FROM
                  (after.status, after.organisation_id, after.number, after.paid_on, after.direction, after.amount));
    END IF;
    IF touched <> '{}' THEN
        PERFORM book(touched);
    END IF;
    RETURN NULL;
END $$;

-- A deleted document takes its entry with it, a truncated table all of its kind.
CREATE FUNCTION public.take_back_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM journal_entries WHERE id IN (SELECT id FROM rows_before WHERE status = 'posted');
    RETURN NULL;
END $$;
CREATE FUNCTION public.take_back_all() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM journal_entries WHERE document = TG_ARGV[0];
    RETURN NULL;
END $$;

-- A new invoice has no sums yet: its entry comes with its lines.
CREATE TRIGGER book_changed AFTER UPDATE ON public.invoices REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after
    FOR EACH STATEMENT EXECUTE FUNCTION public.book_invoices();
CREATE TRIGGER book_deleted AFTER DELETE ON public.invoices REFERENCING OLD TABLE AS rows_before
    FOR EACH STATEMENT EXECUTE FUNCTION public.take_back_deleted();
CREATE TRIGGER book_truncated AFTER TRUNCATE ON public.invoices
    FOR EACH STATEMENT EXECUTE FUNCTION public.take_back_all('invoice');
CREATE TRIGGER book_new AFTER INSERT ON public.payments REFERENCING NEW TABLE AS rows_after
    FOR EACH STATEMENT EXECUTE FUNCTION public.book_payments();
CREATE TRIGGER book_changed AFTER UPDATE ON public.payments REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_after
    FOR EACH STATEMENT EXECUTE FUNCTION public.book_payments();
CREATE TRIGGER book_deleted AFTER DELETE ON public.payments REFERENCING OLD TABLE AS rows_before
    FOR EACH STATEMENT EXECUTE FUNCTION public.take_back_deleted();
CREATE TRIGGER book_truncated AFTER TRUNCATE ON public.payments
    FOR EACH STATEMENT EXECUTE FUNCTION public.take_back_all('payment');

COMMIT;
