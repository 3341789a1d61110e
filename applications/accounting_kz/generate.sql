-- SELECT generate(documents, organisations, seed, areas) fills an empty accounting database: that many invoices with three lines
-- each, a payment to every second one, everything they refer to, over `areas` areas of `organisations` each. The same arguments give
-- the same rows to the last byte, keys and times included, on every server: each value is computed from the number of its row by md5.
-- All names are made up, from a stock of common words; where one resembles a real firm or person, that is chance.

-- 128 bits for row `i` of a kind, as 32 hex digits: the source of its key and of its dice. (`OFFSET 0` where it is used
-- keeps the planner from computing it anew for every column.)
CREATE OR REPLACE FUNCTION public.generated_hash(seed integer, kind text, i bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(seed::text || '/' || kind || '/' || i::text);

-- The hash as a uuid of version 8 (RFC 9562: "whatever the vendor computes").
CREATE OR REPLACE FUNCTION public.generated_key(hash text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN overlay(overlay(hash PLACING '8' FROM 13 FOR 1) PLACING '9' FROM 17 FOR 1)::uuid;

-- A number from 0 to sides - 1; `at` (1 … 5) chooses which six digits of the hash decide.
CREATE OR REPLACE FUNCTION public.generated_dice(hash text, at integer, sides integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || substr(hash, at * 6 - 5, 6))::bit(24)::integer % sides;

-- The first 12-digit number with these ten digits before it whose control digit exists.
CREATE OR REPLACE FUNCTION public.generated_bin(ten text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT ten || free || public.bin_control_digit(ten || free) FROM generate_series(0, 9) AS free
    WHERE public.bin_control_digit(ten || free) IS NOT NULL ORDER BY free LIMIT 1
);

CREATE OR REPLACE FUNCTION public.generate_catalogues(documents integer, organisations integer, seed integer, areas integer)
RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    firm_words text[] := ARRAY['Алтын', 'Көкше', 'Жетісу', 'Ертіс', 'Шығыс', 'Дала', 'Береке', 'Қарлығаш', 'Тұлпар', 'Ұлытау',
        'Сарыарқа', 'Ақжол', 'Мейірім', 'Өрлеу', 'Бәйтерек', 'Самал', 'Вектор', 'Ориентир', 'Степной', 'Горизонт'];
    firm_trades text[] := ARRAY['Сауда', 'Құрылыс', 'Логистик', 'Сервис', 'Өнім', 'Дән', 'Трейд', 'Мебель', 'Техника', 'Тағам'];
    surnames text[] := ARRAY['Ахметов', 'Сейітқали', 'Нұрланов', 'Жұмабек', 'Қасымов', 'Әбдіров', 'Омаров', 'Тілеген', 'Петренко',
        'Соколов', 'Ким', 'Мұратов', 'Есенов', 'Шәріпов', 'Гаврилов', 'Беков'];
    given_names text[] := ARRAY['Айдар', 'Гүлнар', 'Нұржан', 'Әсел', 'Ерлан', 'Мария', 'Қайрат', 'Сәуле', 'Андрей', 'Жанар', 'Ольга', 'Тимур'];
    cities text[] := ARRAY['Алматы', 'Астана', 'Шымкент', 'Қарағанды', 'Өскемен', 'Ақтөбе', 'Павлодар', 'Қостанай', 'Тараз', 'Атырау'];
    streets text[] := ARRAY['Абай көшесі', 'ул. Садовая', 'Достық даңғылы', 'ул. Степная', 'Наурыз көшесі', 'пр. Мира', 'Жібек жолы'];
    goods text[] := ARRAY['Бумага офисная', 'Ручка шариковая', 'Стол письменный', 'Кресло рабочее', 'Шкаф для документов', 'Лампа настольная',
        'Монитор', 'Клавиатура', 'Кабель', 'Мука пшеничная', 'Сахар', 'Чай чёрный', 'Вода питьевая', 'Масло подсолнечное', 'Цемент',
        'Кирпич', 'Краска фасадная', 'Плитка', 'Доставка', 'Монтаж', 'Консультация', 'Аренда помещения'];
    goods_kk text[] := ARRAY['Кеңсе қағазы', 'Қаламсап', 'Жазу үстелі', 'Жұмыс креслосы', 'Құжат шкафы', 'Үстел шамы',
        'Монитор', 'Пернетақта', 'Кабель', 'Бидай ұны', 'Қант', 'Қара шай', 'Ауыз су', 'Күнбағыс майы', 'Цемент',
        'Кірпіш', 'Қасбет бояуы', 'Плитка', 'Жеткізу', 'Орнату', 'Кеңес беру', 'Үй-жайды жалға беру'];
    per_organisation integer := greatest(10, documents / areas / organisations / 50);
    item_count integer := least(5000, greatest(60, documents / areas / 100));
BEGIN
    PERFORM open_area(area, format('Абонент %s', area)) FROM generate_series(1, areas) AS area;
    UPDATE public.areas SET created_at = TIMESTAMPTZ '2023-12-01 02:00:00Z';

    INSERT INTO units (id, area_id, code, name, name_kk)
    SELECT generated_key(generated_hash(seed, 'unit', (area - 1) * 8 + place)), area, code, name, name_kk
    FROM generate_series(1, areas) AS area, (VALUES (1, '796', 'шт', 'дана'), (2, '166', 'кг', 'кг'), (3, '112', 'л', 'л'), (4, '006', 'м', 'м'), (5, '055', 'м²', 'м²'),
                 (6, '778', 'упак', 'қаптама'), (7, '356', 'ч', 'сағ'), (8, '362', 'мес', 'ай')) AS unit (place, code, name, name_kk);

    INSERT INTO items (id, area_id, code, name, name_kk, unit_id, is_service, price, weight_kg, archived, created_at, updated_at)
    SELECT generated_key(hash), area, lpad(i::text, 6, '0'),
           format('%s, вид %s', goods[kind], (i - 1) / 22 + 1), format('%s, %s-түр', goods_kk[kind], (i - 1) / 22 + 1),
           generated_key(generated_hash(seed, 'unit', (area - 1) * 8 + CASE WHEN kind > 18 THEN 7 ELSE 1 + generated_dice(hash, 1, 6) END)),
           kind > 18, 50 + generated_dice(hash, 2, 2000000) / 100.0,
           CASE WHEN kind <= 18 THEN (1 + generated_dice(hash, 3, 50000)) / 1000.0 END, generated_dice(hash, 4, 40) = 0, at, at
    FROM generate_series(1, areas) AS area, generate_series(1, item_count) AS i,
         LATERAL (SELECT generated_hash(seed, 'item', (area - 1) * item_count + i) AS hash, (i - 1) % 22 + 1 AS kind,
                         TIMESTAMPTZ '2023-12-01 04:00:00Z' + i * interval '7 seconds' AS at) AS made;

    INSERT INTO organisations (id, area_id, bin, name, full_name, address, vat_payer, registered_on, created_at)
    SELECT generated_key(hash), (o - 1) / organisations + 1, generated_bin(format('%s40%s', to_char(registered, 'YYMM'), lpad(o::text, 4, '0'))),
           format('«%s %s» ЖШС', firm, trade), format('Жауапкершілігі шектеулі серіктестігі «%s %s»', firm, trade),
           format('%s, %s, %s', cities[1 + generated_dice(hash, 1, 10)], streets[1 + generated_dice(hash, 2, 7)], 1 + generated_dice(hash, 3, 150)),
           o % 5 <> 0, registered, TIMESTAMPTZ '2023-12-01 03:00:00Z' + o * interval '1 minute'
    FROM generate_series(1, areas * organisations) AS o,
         LATERAL (SELECT generated_hash(seed, 'organisation', o) AS hash) AS h,
         LATERAL (SELECT DATE '2005-01-10' + generated_dice(hash, 5, 6000) AS registered,
                         firm_words[1 + (o + seed) % 20] AS firm, firm_trades[1 + (o / 20 + o + seed) % 10] AS trade) AS made;

    INSERT INTO closing_dates (organisation_id, area_id, closed_until)
    SELECT id, area_id, DATE '2023-12-31' FROM public.organisations;

    -- Registration months in front and a running number behind keep the numbers apart; one counterparty in 50 is foreign.
    INSERT INTO counterparties (id, area_id, organisation_id, kind, bin_iin, name, is_resident, phones, requisites, credit_limit,
                                payment_days, created_at, updated_at)
    SELECT generated_key(hash), (c - 1) / per_organisation / organisations + 1, generated_key(generated_hash(seed, 'organisation', (c - 1) / per_organisation + 1)),
           kind::counterparty_kind,
           CASE WHEN resident AND kind IN ('legal_entity', 'state_body')
                THEN generated_bin(format('%s%s%s%s', lpad((5 + c / 9000 % 20)::text, 2, '0'), lpad((1 + c / 180000 % 12)::text, 2, '0'),
                                          CASE kind WHEN 'state_body' THEN '41' ELSE '40' END, lpad((1 + c % 9000)::text, 4, '0')))
                WHEN resident
                THEN generated_bin(format('%s%s%s%s', lpad((60 + c / 9000 % 40)::text, 2, '0'), lpad((1 + c % 12)::text, 2, '0'),
                                          lpad((1 + c % 28)::text, 2, '0'), 3000 + c % 2000))
           END,
           CASE kind WHEN 'legal_entity' THEN format(CASE WHEN c % 2 = 0 THEN 'ТОО «%s %s-%s»' ELSE '«%s %s-%s» ЖШС' END, firm, trade, c)
                     WHEN 'state_body' THEN format('Управление «%s» %s', trade, c)
                     WHEN 'sole_proprietor' THEN format('ИП %s %s', surname, given_name)
                     ELSE format('%s %s', surname, given_name) END,
           resident,
           CASE generated_dice(hash, 1, 3) WHEN 0 THEN '{}' WHEN 1 THEN ARRAY[phone || '1'] ELSE ARRAY[phone || '1', phone || '2'] END,
           jsonb_build_object('iban', format('KZ%s000%s', lpad((10 + c % 89)::text, 2, '0'), lpad(generated_dice(hash, 2, 16000000)::text, 13, '0')),
                              'bik', 'XXXXKZKX', 'address', cities[1 + generated_dice(hash, 4, 10)], 'contract', jsonb_build_object('no', c, 'signed', c % 3 > 0)),
           CASE WHEN c % 3 = 0 THEN generated_dice(hash, 5, 9000000) + 0.5 END, (ARRAY[0, 5, 10, 30])[1 + c % 4], at, at
    FROM generate_series(1, per_organisation * organisations * areas) AS c,
         LATERAL (SELECT generated_hash(seed, 'counterparty', c) AS hash) AS h,
         LATERAL (SELECT (ARRAY['legal_entity', 'legal_entity', 'legal_entity', 'legal_entity', 'sole_proprietor', 'sole_proprietor',
                                'state_body', 'person'])[1 + generated_dice(hash, 3, 8)] AS kind,
                         c % 50 <> 49 AS resident,
                         firm_words[1 + generated_dice(hash, 4, 20)] AS firm, firm_trades[1 + generated_dice(hash, 5, 10)] AS trade,
                         surnames[1 + generated_dice(hash, 4, 16)] AS surname, given_names[1 + generated_dice(hash, 5, 12)] AS given_name,
                         '+7 7' || lpad((c * 7919 % 100000000)::text, 8, '0') AS phone,
                         TIMESTAMPTZ '2023-12-02 04:00:00Z' + c * interval '3 seconds' AS at) AS made;
END $$;

-- Documents `first` … `last`, of `documents` in all. They go round the organisations of all areas; numbers follow the dates.
CREATE OR REPLACE FUNCTION public.generate_documents(
    first integer, last integer, documents integer, organisations integer, seed integer, areas integer
) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    everywhere integer := areas * organisations;
    per_organisation integer := greatest(10, documents / areas / organisations / 50);
    item_count integer := least(5000, greatest(60, documents / areas / 100));
BEGIN
    INSERT INTO invoices (id, area_id, organisation_id, number, issued_on, counterparty_id, currency, exchange_rate, status, note, internal_note, created_at, posted_at)
    SELECT generated_key(hash), (o - 1) / organisations + 1, generated_key(generated_hash(seed, 'organisation', o)), lpad((1 + (d - 1) / everywhere)::text, 8, '0'),
           issued, generated_key(generated_hash(seed, 'counterparty', (o - 1) * per_organisation + 1 + generated_dice(hash, 1, per_organisation))),
           CASE WHEN d % 200 = 0 THEN 'USD' ELSE 'KZT' END,
           CASE WHEN d % 200 = 0 THEN 450 + generated_dice(hash, 5, 1000) / 10.0 ELSE 1 END, CASE WHEN posted THEN 'posted' ELSE 'draft' END::document_status,
           CASE generated_dice(hash, 3, 12) WHEN 0 THEN 'Тауар қоймадан босатылды' WHEN 1 THEN 'Оплата в течение 10 дней' WHEN 2 THEN 'Срочно' END,
           CASE WHEN d % 25 = 0 THEN 'Проверить НДС до закрытия месяца' END,
           at, CASE WHEN posted THEN at + interval '1 hour' END
    FROM generate_series(first, last) AS d,
         LATERAL (SELECT generated_hash(seed, 'invoice', d) AS hash, (d - 1) % everywhere + 1 AS o,
                         DATE '2024-01-01' + ((d - 1)::bigint * 900 / documents)::integer AS issued OFFSET 0) AS h,
         LATERAL (SELECT generated_dice(hash, 2, 10) > 0 AS posted,
                         (issued + interval '4 hours' + generated_dice(hash, 4, 32400) * interval '1 second') AT TIME ZONE 'UTC' AS at) AS made;

    INSERT INTO invoice_lines (id, area_id, invoice_id, line_no, item_id, quantity, price, vat_rate)
    SELECT generated_key(hash), area, generated_key(generated_hash(seed, 'invoice', d)), line, item.id,
           CASE WHEN item.is_service THEN 1 + generated_dice(hash, 2, 8) ELSE (1 + generated_dice(hash, 2, 40000)) / 1000.0 END,
           round(item.price * (90 + generated_dice(hash, 3, 30)) / 100, 2),
           CASE WHEN ((d - 1) % everywhere + 1) % 5 = 0 THEN 0 ELSE vat_rate_on(DATE '2024-01-01' + ((d - 1)::bigint * 900 / documents)::integer) END
    FROM generate_series(first, last) AS d CROSS JOIN generate_series(1, 3) AS line,
         LATERAL (SELECT generated_hash(seed, 'line', d * 3::bigint + line) AS hash, (d - 1) % everywhere / organisations + 1 AS area OFFSET 0) AS h
         JOIN LATERAL (SELECT lpad((1 + generated_dice(h.hash, 1, item_count))::text, 6, '0') AS code) AS chosen ON true
         JOIN items AS item ON item.area_id = h.area AND item.code = chosen.code;

    INSERT INTO payments (id, area_id, organisation_id, number, paid_on, direction, status, counterparty_id, invoice_id, amount, purpose, bank_reference,
                          created_at, posted_at)
    SELECT generated_key(hash), invoice.area_id, invoice.organisation_id,
           lpad((1 + (d - 1) / everywhere / 2)::text, 8, '0'),
           invoice.issued_on + 1 + generated_dice(hash, 1, 20), CASE WHEN generated_dice(hash, 2, 20) = 0 THEN 'out' ELSE 'in' END::payment_direction,
           CASE WHEN posted THEN 'posted' ELSE 'draft' END::document_status,
           invoice.counterparty_id, CASE WHEN generated_dice(hash, 3, 8) > 0 THEN invoice.id END,
           greatest(round(invoice.total * invoice.exchange_rate / CASE WHEN generated_dice(hash, 4, 3) = 0 THEN 2 ELSE 1 END, 2), 0.01),
           format('Оплата по счёту %s', invoice.number), upper(substr(hash, 1, 16)),
           invoice.created_at + interval '48 hours', CASE WHEN posted THEN invoice.created_at + interval '49 hours' END
    FROM generate_series(first, last) AS d
         JOIN LATERAL (SELECT generated_hash(seed, 'payment', d) AS hash OFFSET 0) AS h ON true
         JOIN LATERAL (SELECT generated_dice(hash, 5, 20) > 0 AS posted) AS made ON true
         JOIN LATERAL (SELECT generated_key(generated_hash(seed, 'invoice', d)) AS id) AS paid ON true
         JOIN invoices AS invoice ON invoice.id = paid.id
    WHERE (d - 1) / everywhere % 2 = 1;  -- every second one of each organisation
END $$;

CREATE OR REPLACE FUNCTION public.generate(
    documents integer, organisations integer DEFAULT 3, seed integer DEFAULT 1, areas integer DEFAULT 1
) RETURNS bigint LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    first integer := 1;
    name text;
    rows bigint;
BEGIN
    IF documents < 1 OR organisations < 1 OR areas < 1 OR areas::bigint * organisations > 9000 OR seed < 0 THEN
        RAISE EXCEPTION 'documents must be 1 or more, areas × organisations 1 to 9000, seed 0 or more';
    ELSIF EXISTS (SELECT FROM public.areas) THEN
        RAISE EXCEPTION 'the database holds data already: generate() fills an empty one';
    END IF;
    PERFORM generate_catalogues(documents, organisations, seed, areas);
    WHILE first <= documents LOOP  -- portions keep the queues of the triggers, and so the memory, small
        PERFORM generate_documents(first, least(first + 9999, documents), documents, organisations, seed, areas);
        IF first = 1 OR first + 10000 > documents THEN  -- nobody else can while this transaction is open
            ANALYZE organisations, counterparties, items, invoices, invoice_lines, payments, journal_entries, journal_lines;
        END IF;
        first := first + 10000;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['areas', 'accounts', 'organisations', 'counterparties', 'items', 'invoices', 'invoice_lines', 'payments',
                                'journal_entries', 'journal_lines'] LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', name) INTO rows;
        RAISE NOTICE '% %', rows, name;
    END LOOP;
    RETURN documents;
END $$;
