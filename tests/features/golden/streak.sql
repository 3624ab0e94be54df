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
    as_of,
    MIN(age_us) AS of_streak_current_by_1h
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS of_streak_current_by_7d_purchase
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
), runs_1_periods AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    (
      (
        age_us - 1
      ) // 604800000000
    ) AS period
  FROM history
  WHERE
    "event_type_code" = 1
), runs_1_beside AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    period,
    LAG(period) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_period
  FROM runs_1_periods
), runs_1 AS (
  SELECT
    customer_id,
    as_of,
    period,
    previous_period,
    LAG(period) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS start_before
  FROM runs_1_beside
  WHERE
    previous_period IS NULL OR previous_period > period + 1
), runs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MIN(period) AS youngest_start,
    MAX((
      start_before - previous_period
    ) + 1) AS longest_before
  FROM runs_1
  GROUP BY
    customer_id,
    as_of
), runs_2_periods AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    (
      (
        age_us - 1
      ) // 3600000000
    ) AS period
  FROM history
), runs_2_beside AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    period,
    LAG(period) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_period
  FROM runs_2_periods
), runs_2 AS (
  SELECT
    customer_id,
    as_of,
    period,
    previous_period,
    LAG(period) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS start_before
  FROM runs_2_beside
  WHERE
    previous_period IS NULL OR previous_period > period + 1
), runs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MIN(period) AS youngest_start,
    MAX((
      start_before - previous_period
    ) + 1) AS longest_before
  FROM runs_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  COALESCE(
    CASE
      WHEN by_purchase.of_streak_current_by_7d_purchase <= 604800000000
      THEN runs_1_by_customer.youngest_start + 1
    END,
    0
  ) AS streak_current_by_7d_purchase,
  COALESCE(
    CASE
      WHEN (
        (
          runs_1_by_customer.youngest_start - (
            (
              by_purchase.of_streak_current_by_7d_purchase - 1
            ) // 604800000000
          )
        ) + 1
      ) IS NULL
      OR COALESCE(runs_1_by_customer.longest_before, 0) IS NULL
      THEN NULL
      ELSE GREATEST(
        (
          runs_1_by_customer.youngest_start - (
            (
              by_purchase.of_streak_current_by_7d_purchase - 1
            ) // 604800000000
          )
        ) + 1,
        COALESCE(runs_1_by_customer.longest_before, 0)
      )
    END,
    0
  ) AS streak_longest_by_7d_purchase,
  COALESCE(
    CASE
      WHEN by_customer.of_streak_current_by_1h <= 3600000000
      THEN runs_2_by_customer.youngest_start + 1
    END,
    0
  ) AS streak_current_by_1h,
  COALESCE(
    CASE
      WHEN (
        (
          runs_2_by_customer.youngest_start - (
            (
              by_customer.of_streak_current_by_1h - 1
            ) // 3600000000
          )
        ) + 1
      ) IS NULL
      OR COALESCE(runs_2_by_customer.longest_before, 0) IS NULL
      THEN NULL
      ELSE GREATEST(
        (
          runs_2_by_customer.youngest_start - (
            (
              by_customer.of_streak_current_by_1h - 1
            ) // 3600000000
          )
        ) + 1,
        COALESCE(runs_2_by_customer.longest_before, 0)
      )
    END,
    0
  ) AS streak_longest_by_1h
FROM by_customer
LEFT JOIN runs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN by_purchase
  USING (customer_id, as_of)
LEFT JOIN runs_2_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
