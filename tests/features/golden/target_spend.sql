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
    NULLIF("revenue", CAST('NaN' AS DOUBLE)) AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
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
), population AS (
  SELECT DISTINCT
    customer_id,
    as_of
  FROM history
  WHERE
    event_type IN ('purchase', 'view')
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(MIN(age_us) AS DOUBLE) / 86400000000 AS recency
  FROM history
  GROUP BY
    customer_id,
    as_of
), outcome AS (
  SELECT
    *
  FROM (
    SELECT
      events.customer_id,
      cutoffs.as_of,
      EPOCH_US(events."timestamp") - EPOCH_US(cutoffs.as_of) AS ahead_us,
      events.event_type,
      events.amount
    FROM events
    CROSS JOIN cutoffs
  ) AS dated
  WHERE
    ahead_us >= 0 AND ahead_us < 5184000000000 AND event_type IN ('purchase', 'view')
), labels AS (
  SELECT
    customer_id,
    as_of,
    COUNT(*) AS n,
    SUM(CAST(amount AS DECIMAL(18, 6))) AS total
  FROM outcome
  GROUP BY
    customer_id,
    as_of
)
SELECT
  population.customer_id,
  population.as_of,
  by_customer.recency,
  CAST(COALESCE(labels.total, 0) AS DOUBLE) AS label
FROM population
LEFT JOIN by_customer
  USING (customer_id, as_of)
LEFT JOIN labels
  USING (customer_id, as_of)
ORDER BY
  population.customer_id,
  population.as_of
