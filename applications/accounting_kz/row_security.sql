-- Row-level security: the application's own connections work under role `accounting_app` (the login roles of its servers are granted it), after
-- `SET accounting.area = '<area>'`. Run it last. Without the setting they see and write nothing. The owner of the tables is not affected.

BEGIN;

DO $$ BEGIN
    CREATE ROLE accounting_app NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- it belongs to the whole server: another database made it
END $$;

GRANT USAGE ON SCHEMA public TO accounting_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.organisations, public.closing_dates, public.counterparties, public.units, public.items,
    public.invoices, public.invoice_lines, public.payments TO accounting_app;
GRANT SELECT, INSERT, UPDATE ON public.accounts, public.number_counters TO accounting_app;
GRANT SELECT ON public.areas, public.standard_accounts, public.journal_entries, public.journal_lines,
    public.posted_documents, public.postings TO accounting_app;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['organisations', 'closing_dates', 'counterparties', 'units', 'items', 'accounts', 'invoices', 'invoice_lines',
                                'payments', 'number_counters', 'journal_entries', 'journal_lines', 'areas'] LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_area ON public.%I TO accounting_app USING (%I = public.current_area())', name,
                       CASE name WHEN 'areas' THEN 'id' ELSE 'area_id' END);
    END LOOP;
END $$;

COMMIT;
