-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(CASE channel WHEN 'web' THEN 1 WHEN 'shop' THEN 2 END AS SMALLINT) AS "channel_code",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
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
    as_of,
    MIN(age_us) AS recency
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    MIN(CASE WHEN "channel_code" IN (1, 2) THEN age_us END) AS recency_purchase_web_or_shop
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
  CAST(by_customer.recency AS DOUBLE) / 86400000000 AS recency,
  CAST(by_purchase.recency_purchase_web_or_shop AS DOUBLE) / 86400000000 AS recency_purchase_web_or_shop
FROM by_customer
LEFT JOIN by_purchase
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
