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
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at,
    "plan"
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events."plan",
    events.event_type,
    events.amount
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of
  FROM history
  GROUP BY
    customer_id,
    as_of
), latest_1_events AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    "plan"
  FROM history
  WHERE
    NOT "plan" IS NULL
), latest_1_age AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS age_us
  FROM latest_1_events
  GROUP BY
    customer_id,
    as_of
), latest_1 AS (
  SELECT
    latest_1_events.customer_id,
    latest_1_events.as_of,
    MAX("plan") AS latest_value
  FROM latest_1_events
  JOIN latest_1_age
    USING (customer_id, as_of, age_us)
  GROUP BY
    latest_1_events.customer_id,
    latest_1_events.as_of
), latest_2_events AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    amount
  FROM history
  WHERE
    event_type = 'purchase' AND age_us <= 7776000000000 AND NOT amount IS NULL
), latest_2_age AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS age_us
  FROM latest_2_events
  GROUP BY
    customer_id,
    as_of
), latest_2 AS (
  SELECT
    latest_2_events.customer_id,
    latest_2_events.as_of,
    MAX(amount) AS latest_value
  FROM latest_2_events
  JOIN latest_2_age
    USING (customer_id, as_of, age_us)
  GROUP BY
    latest_2_events.customer_id,
    latest_2_events.as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  latest_1.latest_value AS latest_plan,
  CAST(latest_2.latest_value AS DOUBLE) AS latest_amount_purchase_90d
FROM by_customer
LEFT JOIN latest_1
  USING (customer_id, as_of)
LEFT JOIN latest_2
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
