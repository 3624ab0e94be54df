-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST((
      EPOCH_US("timestamp" AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') + 2209593600000000
    ) // 86400000000 AS INT) AS "day_europe_berlin_99f0b5"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    CAST((
      at_us + 2209593600000000
    ) // 86400000000 AS INT) AS "day",
    "day_europe_berlin_99f0b5"
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
    COUNT(*) AS n_of_days_active,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n_of_days_active_90d
  FROM history
  GROUP BY
    customer_id,
    as_of
), ordered_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us,
    LAG("day") OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS "previous_day",
    "day"
  FROM history
), ordered_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN NOT previous_us IS NULL AND "previous_day" = "day" THEN 1 END) AS later_of_days_active,
    COUNT(CASE WHEN previous_us <= 7776000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_90d
  FROM ordered_1
  GROUP BY
    customer_id,
    as_of
), pairs_1 AS (
  SELECT
    customer_id,
    as_of,
    "day_europe_berlin_99f0b5",
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT "day_europe_berlin_99f0b5" IS NULL AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of,
    "day_europe_berlin_99f0b5"
), pairs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 7776000000000 THEN 1 END) AS days_active_europe_berlin_90d
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  COALESCE(
    (
      by_customer.n_of_days_active - COALESCE(ordered_1_by_customer.later_of_days_active, 0)
    ),
    0
  ) AS days_active,
  COALESCE(
    (
      by_customer.n_of_days_active_90d - COALESCE(ordered_1_by_customer.later_of_days_active_90d, 0)
    ),
    0
  ) AS days_active_90d,
  COALESCE(pairs_1_by_customer.days_active_europe_berlin_90d, 0) AS days_active_europe_berlin_90d
FROM by_customer
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
