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
    CAST((
      EPOCH_US("timestamp" AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') + 2209593600000000
    ) // 3600000000 AS INT) % 24 AS "hour_europe_berlin_99f0b5",
    CAST(CASE event_type WHEN 'view' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    CAST((
      at_us + 2209593600000000
    ) // 3600000000 AS INT) % 24 AS "hour",
    "hour_europe_berlin_99f0b5",
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
    COUNT(
      CASE
        WHEN age_us <= 7776000000000
        AND (
          "hour_europe_berlin_99f0b5" >= 22 OR "hour_europe_berlin_99f0b5" < 6
        )
        THEN 1
      END
    ) AS n_of_hour_share_22_6_europe_berlin_90d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS of_hour_share_22_6_europe_berlin_90d
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_view AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN "hour" >= 18 THEN 1 END) AS n_of_hour_share_18_24_view,
    COUNT(*) AS of_hour_share_18_24_view
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_view.n_of_hour_share_18_24_view AS DOUBLE) / NULLIF(by_view.of_hour_share_18_24_view, 0) AS hour_share_18_24_view,
  CAST(by_customer.n_of_hour_share_22_6_europe_berlin_90d AS DOUBLE) / NULLIF(by_customer.of_hour_share_22_6_europe_berlin_90d, 0) AS hour_share_22_6_europe_berlin_90d
FROM by_customer
LEFT JOIN by_view
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
