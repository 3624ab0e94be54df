-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
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
), runs_1_periods AS (
  SELECT DISTINCT
    customer_id,
    as_of,
    (
      (
        age_us - 1
      ) // 604800000000
    ) AS period
  FROM history
  WHERE
    "event_type_code" = 1
), runs_1 AS (
  SELECT
    customer_id,
    as_of,
    run,
    COUNT(*) AS n
  FROM (
    SELECT
      customer_id,
      as_of,
      ROW_NUMBER() OVER (PARTITION BY customer_id, as_of ORDER BY period) - period AS run
    FROM runs_1_periods
  ) AS ranked
  GROUP BY
    customer_id,
    as_of,
    run
), runs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN run = 1 THEN n END) AS current_run,
    MAX(n) AS longest_run
  FROM runs_1
  GROUP BY
    customer_id,
    as_of
), runs_2_periods AS (
  SELECT DISTINCT
    customer_id,
    as_of,
    (
      (
        age_us - 1
      ) // 3600000000
    ) AS period
  FROM history
), runs_2 AS (
  SELECT
    customer_id,
    as_of,
    run,
    COUNT(*) AS n
  FROM (
    SELECT
      customer_id,
      as_of,
      ROW_NUMBER() OVER (PARTITION BY customer_id, as_of ORDER BY period) - period AS run
    FROM runs_2_periods
  ) AS ranked
  GROUP BY
    customer_id,
    as_of,
    run
), runs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN run = 1 THEN n END) AS current_run,
    MAX(n) AS longest_run
  FROM runs_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  COALESCE(runs_1_by_customer.current_run, 0) AS streak_current_by_7d_purchase,
  COALESCE(runs_1_by_customer.longest_run, 0) AS streak_longest_by_7d_purchase,
  COALESCE(runs_2_by_customer.current_run, 0) AS streak_current_by_1h,
  COALESCE(runs_2_by_customer.longest_run, 0) AS streak_longest_by_1h
FROM by_customer
LEFT JOIN runs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN runs_2_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
