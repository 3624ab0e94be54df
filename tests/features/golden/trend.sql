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
    events.event_type,
    CAST(events.amount AS DECIMAL(18, 6)) AS exact_amount
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN age_us <= 15552000000000
          THEN (
            5 - 2 * CAST((
              age_us - 1
            ) // 2592000000000 AS INT)
          )
        END
      ),
      0
    ) AS DOUBLE) * 6 / 210 AS trend_180d,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN event_type = 'purchase' AND age_us <= 2419200000000
          THEN CAST(exact_amount AS DECIMAL(38, 6)) * (
            3 - 2 * CAST((
              age_us - 1
            ) // 604800000000 AS INT)
          )
        END
      ),
      0
    ) AS DOUBLE) * 6 / 60 AS trend_amount_purchase_4w_by_4
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.trend_180d,
  by_customer.trend_amount_purchase_4w_by_4
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
