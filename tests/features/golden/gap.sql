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
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST((
      MAX(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN age_us END) - MIN(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN age_us END)
    ) AS DOUBLE) / NULLIF(
      (
        COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN 1 END) - 1
      ),
      0
    ) / 86400000000 AS gap_mean_purchase_180d
  FROM history
  GROUP BY
    customer_id,
    as_of
), gaps_1 AS (
  SELECT
    customer_id,
    as_of,
    previous_us,
    previous_us - age_us AS gap_us
  FROM (
    SELECT
      customer_id,
      as_of,
      age_us,
      LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us
    FROM history
  ) AS lagged
  WHERE
    NOT previous_us IS NULL
), gaps_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    SQRT(
      CAST((
        COUNT(*) * SUM(CAST(gap_us AS INT128) * CAST(gap_us AS INT128)) - SUM(CAST(gap_us AS INT128)) * SUM(CAST(gap_us AS INT128))
      ) AS DOUBLE) / NULLIF((
        CAST(COUNT(*) AS DOUBLE) * (
          COUNT(*) - 1
        )
      ), 0)
    ) / 86400000000 AS gap_std,
    SQRT(
      CAST((
        COUNT(CASE WHEN previous_us <= 15552000000000 THEN 1 END) * SUM(
          CASE
            WHEN previous_us <= 15552000000000
            THEN CAST(gap_us AS INT128) * CAST(gap_us AS INT128)
          END
        ) - SUM(CASE WHEN previous_us <= 15552000000000 THEN CAST(gap_us AS INT128) END) * SUM(CASE WHEN previous_us <= 15552000000000 THEN CAST(gap_us AS INT128) END)
      ) AS DOUBLE) / NULLIF(
        (
          CAST(COUNT(CASE WHEN previous_us <= 15552000000000 THEN 1 END) AS DOUBLE) * (
            COUNT(CASE WHEN previous_us <= 15552000000000 THEN 1 END) - 1
          )
        ),
        0
      )
    ) / 86400000000 AS gap_std_180d
  FROM gaps_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.gap_mean_purchase_180d,
  gaps_1_by_customer.gap_std,
  gaps_1_by_customer.gap_std_180d
FROM by_customer
LEFT JOIN gaps_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
