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
    CAST(CASE event_type WHEN 'view' THEN 1 END AS SMALLINT) AS "event_type_code"
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
    COUNT(*) AS n_of_sessions_count_gap_2h
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_view_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n_of_sessions_count_view_90d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of
), ordered_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
), ordered_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(
      CASE
        WHEN previous_us <= 7776000000000 AND (
          previous_us - age_us
        ) <= 1800000000
        THEN 1
      END
    ) AS joins_of_sessions_count_view_90d,
    SUM(
      CASE
        WHEN previous_us <= 7776000000000 AND (
          previous_us - age_us
        ) <= 1800000000
        THEN (
          previous_us - age_us
        )
      END
    ) AS length_of_sessions_length_view_90d
  FROM ordered_1
  GROUP BY
    customer_id,
    as_of
), ordered_2 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us
  FROM history
), ordered_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(
      CASE
        WHEN NOT previous_us IS NULL AND (
          previous_us - age_us
        ) <= 7200000000
        THEN 1
      END
    ) AS joins_of_sessions_count_gap_2h
  FROM ordered_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  COALESCE(
    (
      by_view_lately.n_of_sessions_count_view_90d - COALESCE(ordered_1_by_customer.joins_of_sessions_count_view_90d, 0)
    ),
    0
  ) AS sessions_count_view_90d,
  CAST(COALESCE(ordered_1_by_customer.length_of_sessions_length_view_90d, 0) AS DOUBLE) / NULLIF(
    (
      by_view_lately.n_of_sessions_count_view_90d - COALESCE(ordered_1_by_customer.joins_of_sessions_count_view_90d, 0)
    ),
    0
  ) / 60000000 AS sessions_length_view_90d,
  CAST(by_view_lately.n_of_sessions_count_view_90d AS DOUBLE) / NULLIF(
    (
      by_view_lately.n_of_sessions_count_view_90d - COALESCE(ordered_1_by_customer.joins_of_sessions_count_view_90d, 0)
    ),
    0
  ) AS sessions_events_view_90d,
  COALESCE(
    (
      by_customer.n_of_sessions_count_gap_2h - COALESCE(ordered_2_by_customer.joins_of_sessions_count_gap_2h, 0)
    ),
    0
  ) AS sessions_count_gap_2h
FROM by_customer
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN by_view_lately
  USING (customer_id, as_of)
LEFT JOIN ordered_2_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
