-- sqlglot 30
WITH cutoffs AS (
  SELECT
    as_of
  FROM VALUES
    (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
    (CAST('2024-02-29 22:30:00' AS TIMESTAMP)) AS listed(as_of)
), events AS (
  SELECT
    `user` AS customer_id,
    TIMESTAMP_MICROS(UNIX_MICROS(`ts`)) AS `timestamp`,
    `kind` AS event_type,
    NULLIF(`revenue`, CAST('NaN' AS DOUBLE)) AS amount,
    TIMESTAMP_MICROS(UNIX_MICROS(`seen`)) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    UNIX_MICROS(cutoffs.as_of) - UNIX_MICROS(events.`timestamp`) AS age_us,
    events.event_type,
    CAST(events.amount AS DECIMAL(18, 6)) AS exact_amount
  FROM events
  JOIN cutoffs
    ON events.`timestamp` < cutoffs.as_of
    AND COALESCE(events.recorded_at, events.`timestamp`) < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(MIN(CASE WHEN event_type = 'purchase' THEN age_us END) AS DOUBLE) / 86400000000 AS recency_purchase,
    COUNT(CASE WHEN event_type = 'purchase' THEN 1 END) AS count_purchase,
    CAST(COALESCE(SUM(CASE WHEN event_type = 'purchase' THEN exact_amount END), 0) AS DOUBLE) AS sum_amount_purchase
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.recency_purchase,
  by_customer.count_purchase,
  by_customer.sum_amount_purchase
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
