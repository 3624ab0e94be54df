-- sqlglot 30
WITH cutoffs AS (
  SELECT
    as_of
  FROM (VALUES
    (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
    (CAST('2024-02-29 22:30:00' AS TIMESTAMP))) AS listed(as_of)
), events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events.event_type,
    events.channel
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(COUNT(CASE WHEN event_type = 'view' AND age_us <= 7776000000000 THEN 1 END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END), 0) AS share_view_90d,
    CAST(COUNT(CASE WHEN event_type = 'purchase' AND channel = 'web' THEN 1 END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN event_type = 'purchase' THEN 1 END), 0) AS share_purchase_web
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.share_view_90d,
  by_customer.share_purchase_web
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
