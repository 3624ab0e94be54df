WITH cutoffs AS (
  SELECT
    as_of
  FROM (VALUES
    (CAST('2024-06-01 00:00:00' AS TIMESTAMP))) AS listed(as_of)
), events AS (
  SELECT
    CAST("user" AS BIGINT) AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    MAKE_TIMESTAMP(EPOCH_US("known")) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events.event_type
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(MIN(CASE WHEN event_type = 'purchase' THEN age_us END) AS DOUBLE) / 86400000000 AS recency_purchase
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.recency_purchase
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
