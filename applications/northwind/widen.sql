-- Northwind for the scale test: order keys widened to integer, orders multiplied with their details.
--   psql -v ON_ERROR_STOP=1 -c "SET yurt.orders = 100000" -f widen.sql        (up to 1,000,000; unset: 100,000)
-- Any driver may run it as one script after `SET yurt.orders = …`. Run again with a greater number it adds what is missing;
-- it never deletes. The same number gives the same rows: order n repeats an original one, some weeks later, at a freight of its own.

ALTER TABLE orders ALTER COLUMN order_id TYPE integer;
ALTER TABLE order_details ALTER COLUMN order_id TYPE integer;

DO $$
DECLARE
    wanted integer := coalesce(nullif(current_setting('yurt.orders', true), ''), '100000')::integer;
    -- The public sample's own 830 orders; everything above them was made here.
    first_original CONSTANT integer := 10248;
    originals CONSTANT integer := 830;
BEGIN
    IF wanted NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'yurt.orders must be from 1 to 1000000, it is %', wanted;
    ELSIF (SELECT count(*) FROM orders WHERE order_id BETWEEN first_original AND first_original + originals - 1) <> originals THEN
        RAISE EXCEPTION 'these are not the 830 orders of the public Northwind sample';
    END IF;

    CREATE TEMPORARY TABLE wider ON COMMIT DROP AS
    SELECT first_original + n AS order_id, first_original + n % originals AS original, n / originals AS round
    FROM generate_series(originals, wanted - 1) AS n
    WHERE NOT EXISTS (SELECT FROM orders WHERE order_id = first_original + n);

    INSERT INTO orders (order_id, customer_id, employee_id, order_date, required_date, shipped_date, ship_via, freight,
                        ship_name, ship_address, ship_city, ship_region, ship_postal_code, ship_country)
    SELECT wider.order_id, o.customer_id, o.employee_id, o.order_date + 7 * round, o.required_date + 7 * round,
           o.shipped_date + 7 * round, o.ship_via, (o.freight::numeric + wider.order_id % 100 / 100.0)::real,
           o.ship_name, o.ship_address, o.ship_city, o.ship_region, o.ship_postal_code, o.ship_country
    FROM wider JOIN orders AS o ON o.order_id = wider.original ORDER BY wider.order_id;

    INSERT INTO order_details (order_id, product_id, unit_price, quantity, discount)
    SELECT wider.order_id, d.product_id, d.unit_price, 1 + (d.quantity + wider.order_id) % 120, d.discount
    FROM wider JOIN order_details AS d ON d.order_id = wider.original ORDER BY wider.order_id, d.product_id;

    DROP TABLE wider;
END $$;

ANALYZE orders, order_details;
