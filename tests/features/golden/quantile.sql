-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(CASE channel WHEN 'web' THEN 1 END AS SMALLINT) AS "channel_code",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
    "channel_code",
    "event_type_code"
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
), by_customer_with_amount AS (
  SELECT
    customer_id,
    as_of,
    QUANTILE_CONT(CASE WHEN "channel_code" = 1 THEN CAST("exact_amount" AS DOUBLE) END, 0.25) AS quantile_25_amount_web
  FROM history
  WHERE
    NOT "exact_amount" IS NULL
  GROUP BY
    customer_id,
    as_of
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    QUANTILE_CONT(CAST("exact_amount" AS DOUBLE), 0.9) AS quantile_90_amount_purchase
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  by_customer_with_amount.quantile_25_amount_web,
  by_purchase.quantile_90_amount_purchase
FROM by_customer
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
LEFT JOIN by_purchase
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
