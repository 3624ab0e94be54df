-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount"
  FROM coded
  JOIN (
    SELECT
      as_of
    FROM (VALUES
      (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
      (CAST('2024-02-29 22:30:00' AS TIMESTAMP))) AS listed(as_of)
  ) AS cutoffs
    ON at_us < EPOCH_US(as_of) AND known_us < EPOCH_US(as_of)
), by_customer AS (
  SELECT
    customer_id,
    as_of
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_customer_with_amount_lately AS (
  SELECT
    customer_id,
    as_of,
    MIN(CASE WHEN age_us <= 2592000000000 THEN "exact_amount" END) AS min_amount_30d
  FROM history
  WHERE
    NOT "exact_amount" IS NULL AND age_us <= 2592000000000
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_customer_with_amount_lately.min_amount_30d AS DOUBLE) AS min_amount_30d
FROM by_customer
LEFT JOIN by_customer_with_amount_lately
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
