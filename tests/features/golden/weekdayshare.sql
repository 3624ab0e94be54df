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
    ) // 86400000000 AS INT) % 7 AS "weekday_europe_berlin_99f0b5"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    CAST((
      at_us + 2209593600000000
    ) // 86400000000 AS INT) % 7 AS "weekday",
    "weekday_europe_berlin_99f0b5"
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
    COUNT(CASE WHEN "weekday" IN (5, 6) THEN 1 END) AS n_of_weekday_share_saturday_or_sunday,
    COUNT(*) AS of_weekday_share_saturday_or_sunday,
    COUNT(
      CASE
        WHEN age_us <= 7776000000000 AND "weekday_europe_berlin_99f0b5" IN (0)
        THEN 1
      END
    ) AS n_of_weekday_share_monday_europe_berlin_90d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS of_weekday_share_monday_europe_berlin_90d
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_customer.n_of_weekday_share_saturday_or_sunday AS DOUBLE) / NULLIF(by_customer.of_weekday_share_saturday_or_sunday, 0) AS weekday_share_saturday_or_sunday,
  CAST(by_customer.n_of_weekday_share_monday_europe_berlin_90d AS DOUBLE) / NULLIF(by_customer.of_weekday_share_monday_europe_berlin_90d, 0) AS weekday_share_monday_europe_berlin_90d
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
