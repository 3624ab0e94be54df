-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    'purchase' AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
    "event_type_code",
    CAST((
      at_us + 2209593600000000
    ) // 86400000000 AS INT) % 7 AS "weekday",
    CAST((
      at_us + 2209593600000000
    ) // 86400000000 AS INT) AS "day"
  FROM coded
  JOIN (
    SELECT
      as_of
    FROM (VALUES
      (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
      (CAST('2024-02-29 22:30:00' AS TIMESTAMP))) AS listed(as_of)
  ) AS cutoffs
    ON at_us < EPOCH_US(as_of)
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
    MIN(age_us) AS recency_purchase,
    MAX(age_us) AS tenure_purchase,
    COUNT(*) AS count_purchase,
    SUM("exact_amount") AS sum_of_mean_amount_purchase,
    COUNT("exact_amount") AS n_of_mean_amount_purchase,
    MIN("exact_amount") AS min_amount_purchase,
    MAX("exact_amount") AS max_amount_purchase,
    SUM(CAST("exact_amount" AS DECIMAL(38, 6)) * CAST("exact_amount" AS DECIMAL(38, 6))) AS squares_of_std_amount_purchase,
    MEDIAN(CAST("exact_amount" AS DOUBLE)) AS median_amount_purchase,
    QUANTILE_CONT(CAST("exact_amount" AS DOUBLE), 0.9) AS quantile_90_amount_purchase,
    COUNT(CASE WHEN "weekday" IN (5, 6) THEN 1 END) AS n_of_weekday_share_saturday_or_sunday_purchase
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
), by_purchase_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 2592000000000 THEN 1 END) AS count_purchase_30d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS count_purchase_90d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS count_purchase_180d,
    COUNT(CASE WHEN age_us <= 31536000000000 THEN 1 END) AS count_purchase_365d,
    SUM(CASE WHEN age_us <= 15552000000000 THEN "exact_amount" END) AS sum_of_mean_amount_purchase_180d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN "exact_amount" END) AS n_of_mean_amount_purchase_180d,
    QUANTILE_CONT(CASE WHEN age_us <= 31536000000000 THEN CAST("exact_amount" AS DOUBLE) END, 0.9) AS quantile_90_amount_purchase_365d,
    MAX(CASE WHEN age_us <= 15552000000000 THEN age_us END) AS oldest_of_gap_mean_purchase_180d,
    MIN(CASE WHEN age_us <= 15552000000000 THEN age_us END) AS youngest_of_gap_mean_purchase_180d,
    SUM(
      CASE
        WHEN age_us <= 15552000000000
        THEN (
          5 - 2 * CAST((
            age_us - 1
          ) // 2592000000000 AS INT)
        )
      END
    ) AS trend_purchase_180d,
    SUM(
      CASE
        WHEN age_us <= 31104000000000
        THEN (
          5 - 2 * CAST((
            age_us - 1
          ) // 5184000000000 AS INT)
        )
      END
    ) AS trend_purchase_360d,
    COUNT(CASE WHEN age_us <= 15552000000000 AND age_us > 7776000000000 THEN 1 END) AS earlier_of_change_purchase_90d,
    SUM(CASE WHEN age_us <= 31536000000000 THEN "exact_amount" END) AS sum_of_basket_value_purchase_365d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of
), by_customer_with_amount AS (
  SELECT
    customer_id,
    as_of,
    SUM("exact_amount") AS sum_amount,
    SUM(
      CAST("exact_amount" AS DECIMAL(38, 6)) * CAST(ROUND(
        POWER(0.5, (
          CAST(age_us AS DOUBLE) / CAST(10368000000000 AS DOUBLE)
        )) * 1000000000000
      ) AS BIGINT)
    ) AS decayed_sum_120d_amount
  FROM history
  WHERE
    NOT "exact_amount" IS NULL
  GROUP BY
    customer_id,
    as_of
), by_customer_with_amount_lately AS (
  SELECT
    customer_id,
    as_of,
    SUM(CASE WHEN age_us <= 2592000000000 THEN "exact_amount" END) AS sum_amount_30d,
    SUM(CASE WHEN age_us <= 7776000000000 THEN "exact_amount" END) AS sum_amount_90d,
    SUM(CASE WHEN age_us <= 15552000000000 THEN "exact_amount" END) AS sum_amount_180d,
    SUM(CASE WHEN age_us <= 31536000000000 THEN "exact_amount" END) AS sum_amount_365d,
    SUM(
      CASE
        WHEN age_us <= 15552000000000
        THEN CAST("exact_amount" AS DECIMAL(38, 6)) * (
          5 - 2 * CAST((
            age_us - 1
          ) // 2592000000000 AS INT)
        )
      END
    ) AS trend_amount_180d,
    SUM(
      CASE
        WHEN age_us <= 15552000000000 AND age_us > 7776000000000
        THEN "exact_amount"
      END
    ) AS earlier_of_change_amount_90d
  FROM history
  WHERE
    NOT "exact_amount" IS NULL AND age_us <= 31536000000000
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
    MAX(CASE WHEN NOT previous_us IS NULL THEN age_us END) AS time_to_2_purchase,
    COUNT(CASE WHEN NOT previous_us IS NULL AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_purchase,
    COUNT(CASE WHEN previous_us <= 31536000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_purchase_365d,
    COUNT(CASE WHEN age_us <= 31536000000000 AND previous_us = age_us THEN 1 END) AS joins_of_basket_value_purchase_365d
  FROM ordered_1
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
      ) // 2592000000000
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
    MIN(period) AS youngest_start
  FROM runs_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_purchase.recency_purchase AS DOUBLE) / 86400000000 AS recency_purchase,
  CAST(by_purchase.tenure_purchase AS DOUBLE) / 86400000000 AS tenure_purchase,
  COALESCE(by_purchase.count_purchase, 0) AS count_purchase,
  COALESCE(by_purchase_lately.count_purchase_30d, 0) AS count_purchase_30d,
  COALESCE(by_purchase_lately.count_purchase_90d, 0) AS count_purchase_90d,
  COALESCE(by_purchase_lately.count_purchase_180d, 0) AS count_purchase_180d,
  COALESCE(by_purchase_lately.count_purchase_365d, 0) AS count_purchase_365d,
  CAST(COALESCE(by_customer_with_amount.sum_amount, 0) AS DOUBLE) AS sum_amount,
  CAST(COALESCE(by_customer_with_amount_lately.sum_amount_30d, 0) AS DOUBLE) AS sum_amount_30d,
  CAST(COALESCE(by_customer_with_amount_lately.sum_amount_90d, 0) AS DOUBLE) AS sum_amount_90d,
  CAST(COALESCE(by_customer_with_amount_lately.sum_amount_180d, 0) AS DOUBLE) AS sum_amount_180d,
  CAST(COALESCE(by_customer_with_amount_lately.sum_amount_365d, 0) AS DOUBLE) AS sum_amount_365d,
  CAST(COALESCE(by_customer_with_amount.decayed_sum_120d_amount, 0) AS DOUBLE) / CAST(1000000000000 AS DOUBLE) AS decayed_sum_120d_amount,
  CAST(by_purchase.sum_of_mean_amount_purchase AS DOUBLE) / NULLIF(by_purchase.n_of_mean_amount_purchase, 0) AS mean_amount_purchase,
  CAST(by_purchase_lately.sum_of_mean_amount_purchase_180d AS DOUBLE) / NULLIF(by_purchase_lately.n_of_mean_amount_purchase_180d, 0) AS mean_amount_purchase_180d,
  CAST(by_purchase.min_amount_purchase AS DOUBLE) AS min_amount_purchase,
  CAST(by_purchase.max_amount_purchase AS DOUBLE) AS max_amount_purchase,
  SQRT(
    CAST((
      by_purchase.n_of_mean_amount_purchase * by_purchase.squares_of_std_amount_purchase - by_purchase.sum_of_mean_amount_purchase * by_purchase.sum_of_mean_amount_purchase
    ) AS DOUBLE) / NULLIF(
      (
        CAST(by_purchase.n_of_mean_amount_purchase AS DOUBLE) * (
          by_purchase.n_of_mean_amount_purchase - 1
        )
      ),
      0
    )
  ) AS std_amount_purchase,
  by_purchase.median_amount_purchase,
  by_purchase.quantile_90_amount_purchase,
  by_purchase_lately.quantile_90_amount_purchase_365d,
  CAST(CAST((
    by_purchase.tenure_purchase - by_purchase.recency_purchase
  ) AS DOUBLE) / NULLIF((
    by_purchase.count_purchase - 1
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
    by_purchase_lately.oldest_of_gap_mean_purchase_180d - by_purchase_lately.youngest_of_gap_mean_purchase_180d
  ) AS DOUBLE) / NULLIF((
    by_purchase_lately.count_purchase_180d - 1
  ), 0) AS DOUBLE) / 86400000000 AS gap_mean_purchase_180d,
  CAST((
    ordered_1_by_customer.oldest_of_gap_last_to_mean_purchase - ordered_1_by_customer.time_to_2_purchase
  ) AS DOUBLE) / 86400000000 AS time_to_2_purchase,
  COALESCE(
    CASE
      WHEN by_purchase.recency_purchase <= 2592000000000
      THEN runs_1_by_customer.youngest_start + 1
    END,
    0
  ) AS streak_current_by_30d_purchase,
  CAST(COALESCE(by_purchase_lately.trend_purchase_180d, 0) AS DOUBLE) * 6 / 210 AS trend_purchase_180d,
  CAST(COALESCE(by_purchase_lately.trend_purchase_360d, 0) AS DOUBLE) * 6 / 210 AS trend_purchase_360d,
  (
    COALESCE(by_purchase_lately.count_purchase_90d, 0) - COALESCE(by_purchase_lately.earlier_of_change_purchase_90d, 0)
  ) AS change_purchase_90d,
  CAST(COALESCE(by_customer_with_amount_lately.trend_amount_180d, 0) AS DOUBLE) * 6 / 210 AS trend_amount_180d,
  CAST((
    COALESCE(by_customer_with_amount_lately.sum_amount_90d, 0) - COALESCE(by_customer_with_amount_lately.earlier_of_change_amount_90d, 0)
  ) AS DOUBLE) AS change_amount_90d,
  CAST(by_purchase.n_of_weekday_share_saturday_or_sunday_purchase AS DOUBLE) / NULLIF(by_purchase.count_purchase, 0) AS weekday_share_saturday_or_sunday_purchase,
  COALESCE(
    (
      by_purchase.count_purchase - COALESCE(ordered_1_by_customer.later_of_days_active_purchase, 0)
    ),
    0
  ) AS days_active_purchase,
  COALESCE(
    (
      by_purchase_lately.count_purchase_365d - COALESCE(ordered_1_by_customer.later_of_days_active_purchase_365d, 0)
    ),
    0
  ) AS days_active_purchase_365d,
  CAST(COALESCE(by_purchase_lately.sum_of_basket_value_purchase_365d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.count_purchase_365d - COALESCE(ordered_1_by_customer.joins_of_basket_value_purchase_365d, 0)
    ),
    0
  ) AS basket_value_purchase_365d
FROM by_customer
LEFT JOIN by_purchase
  USING (customer_id, as_of)
LEFT JOIN by_purchase_lately
  USING (customer_id, as_of)
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
LEFT JOIN by_customer_with_amount_lately
  USING (customer_id, as_of)
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN runs_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
