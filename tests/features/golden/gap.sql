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
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    MAX(age_us) AS oldest_of_gap_mean_purchase,
    MIN(age_us) AS youngest_of_gap_mean_purchase,
    COUNT(*) AS n_of_gap_mean_purchase,
    MAX(CASE WHEN age_us <= 15552000000000 THEN age_us END) AS oldest_of_gap_mean_purchase_180d,
    MIN(CASE WHEN age_us <= 15552000000000 THEN age_us END) AS youngest_of_gap_mean_purchase_180d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS n_of_gap_mean_purchase_180d
  FROM history
  WHERE
    "event_type_code" = 1
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
    "event_type_code" = 1
), ordered_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN NOT previous_us IS NULL THEN 1 END) AS n_of_gap_std_purchase,
    SUM(
      CASE
        WHEN NOT previous_us IS NULL
        THEN CAST((
          previous_us - age_us
        ) AS INT128)
      END
    ) AS sum_of_gap_std_purchase,
    SUM(
      CASE
        WHEN NOT previous_us IS NULL
        THEN CAST((
          previous_us - age_us
        ) AS INT128) * CAST((
          previous_us - age_us
        ) AS INT128)
      END
    ) AS squares_of_gap_std_purchase,
    MEDIAN(
      CASE
        WHEN NOT previous_us IS NULL
        THEN CAST((
          previous_us - age_us
        ) AS DOUBLE)
      END
    ) AS gap_median_purchase,
    MIN(CASE WHEN NOT previous_us IS NULL THEN previous_us END) AS before_last_of_gap_last_purchase,
    MIN(CASE WHEN NOT previous_us IS NULL THEN age_us END) AS last_of_gap_last_purchase,
    MAX(CASE WHEN NOT previous_us IS NULL THEN previous_us END) AS oldest_of_gap_last_to_mean_purchase,
    COUNT(CASE WHEN previous_us <= 15552000000000 THEN 1 END) AS n_of_gap_std_purchase_180d,
    SUM(
      CASE
        WHEN previous_us <= 15552000000000
        THEN CAST((
          previous_us - age_us
        ) AS INT128)
      END
    ) AS sum_of_gap_std_purchase_180d,
    SUM(
      CASE
        WHEN previous_us <= 15552000000000
        THEN CAST((
          previous_us - age_us
        ) AS INT128) * CAST((
          previous_us - age_us
        ) AS INT128)
      END
    ) AS squares_of_gap_std_purchase_180d,
    MEDIAN(
      CASE
        WHEN previous_us <= 15552000000000
        THEN CAST((
          previous_us - age_us
        ) AS DOUBLE)
      END
    ) AS gap_median_purchase_180d,
    MIN(CASE WHEN previous_us <= 15552000000000 THEN previous_us END) AS before_last_of_gap_last_purchase_180d,
    MIN(CASE WHEN previous_us <= 15552000000000 THEN age_us END) AS last_of_gap_last_purchase_180d
  FROM ordered_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(CAST((
    by_purchase.oldest_of_gap_mean_purchase - by_purchase.youngest_of_gap_mean_purchase
  ) AS DOUBLE) / NULLIF((
    by_purchase.n_of_gap_mean_purchase - 1
  ), 0) AS DOUBLE) / 86400000000 AS gap_mean_purchase,
  CAST(SQRT(
    CAST((
      ordered_1_by_customer.n_of_gap_std_purchase * ordered_1_by_customer.squares_of_gap_std_purchase - ordered_1_by_customer.sum_of_gap_std_purchase * ordered_1_by_customer.sum_of_gap_std_purchase
    ) AS DOUBLE) / NULLIF(
      (
        CAST(ordered_1_by_customer.n_of_gap_std_purchase AS DOUBLE) * (
          ordered_1_by_customer.n_of_gap_std_purchase - 1
        )
      ),
      0
    )
  ) AS DOUBLE) / 86400000000 AS gap_std_purchase,
  CAST(ordered_1_by_customer.gap_median_purchase AS DOUBLE) / 86400000000 AS gap_median_purchase,
  CAST((
    ordered_1_by_customer.before_last_of_gap_last_purchase - ordered_1_by_customer.last_of_gap_last_purchase
  ) AS DOUBLE) / 86400000000 AS gap_last_purchase,
  CAST(CAST((
    ordered_1_by_customer.before_last_of_gap_last_purchase - ordered_1_by_customer.last_of_gap_last_purchase
  ) AS DOUBLE) * ordered_1_by_customer.n_of_gap_std_purchase AS DOUBLE) / NULLIF(
    (
      ordered_1_by_customer.oldest_of_gap_last_to_mean_purchase - ordered_1_by_customer.last_of_gap_last_purchase
    ),
    0
  ) AS gap_last_to_mean_purchase,
  CAST(CAST((
    by_purchase.oldest_of_gap_mean_purchase_180d - by_purchase.youngest_of_gap_mean_purchase_180d
  ) AS DOUBLE) / NULLIF((
    by_purchase.n_of_gap_mean_purchase_180d - 1
  ), 0) AS DOUBLE) / 86400000000 AS gap_mean_purchase_180d,
  CAST(SQRT(
    CAST((
      ordered_1_by_customer.n_of_gap_std_purchase_180d * ordered_1_by_customer.squares_of_gap_std_purchase_180d - ordered_1_by_customer.sum_of_gap_std_purchase_180d * ordered_1_by_customer.sum_of_gap_std_purchase_180d
    ) AS DOUBLE) / NULLIF(
      (
        CAST(ordered_1_by_customer.n_of_gap_std_purchase_180d AS DOUBLE) * (
          ordered_1_by_customer.n_of_gap_std_purchase_180d - 1
        )
      ),
      0
    )
  ) AS DOUBLE) / 86400000000 AS gap_std_purchase_180d,
  CAST(ordered_1_by_customer.gap_median_purchase_180d AS DOUBLE) / 86400000000 AS gap_median_purchase_180d,
  CAST((
    ordered_1_by_customer.before_last_of_gap_last_purchase_180d - ordered_1_by_customer.last_of_gap_last_purchase_180d
  ) AS DOUBLE) / 86400000000 AS gap_last_purchase_180d
FROM by_customer
LEFT JOIN by_purchase
  USING (customer_id, as_of)
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
