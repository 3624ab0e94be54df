-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
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
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS recency_purchase,
    COUNT(*) AS count_purchase,
    SUM("exact_amount") AS sum_amount_purchase
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
  CAST(by_purchase.recency_purchase AS DOUBLE) / 86400000000 AS recency_purchase,
  COALESCE(by_purchase.count_purchase, 0) AS count_purchase,
  CAST(COALESCE(by_purchase.sum_amount_purchase, 0) AS DOUBLE) AS sum_amount_purchase
FROM by_customer
LEFT JOIN by_purchase
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
