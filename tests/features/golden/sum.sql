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
    NULLIF("units", CAST('NaN' AS DOUBLE)) AS quantity,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events.event_type,
    CAST(events.amount AS DECIMAL(18, 6)) AS exact_amount,
    CAST(events.quantity AS DECIMAL(18, 6)) AS exact_quantity
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(COALESCE(SUM(exact_amount), 0) AS DOUBLE) AS sum_amount,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN event_type IN ('purchase', 'view') AND age_us <= 4838400000000
          THEN exact_quantity
        END
      ),
      0
    ) AS DOUBLE) AS sum_quantity_purchase_or_view_8w
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.sum_amount,
  by_customer.sum_quantity_purchase_or_view_8w
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
