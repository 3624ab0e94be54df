-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "sku" AS item_id,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    CASE WHEN NOT ISNAN("units") THEN "units" END AS quantity,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(quantity AS DECIMAL(18, 6)) AS "exact_quantity",
    CAST(CASE event_type WHEN 'purchase' THEN 1 WHEN 'view' THEN 2 END AS SMALLINT) AS "event_type_code",
    CAST(CASE channel WHEN 'web' THEN 1 WHEN 'shop' THEN 2 END AS SMALLINT) AS "channel_code",
    item_id,
    channel
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
    "exact_quantity",
    "event_type_code",
    "channel_code",
    CAST((
      at_us + 2209593600000000
    ) // 86400000000 AS INT) % 7 AS "weekday",
    item_id,
    channel,
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
    ON at_us < EPOCH_US(as_of) AND known_us < EPOCH_US(as_of)
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS recency,
    MAX(age_us) AS tenure
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
    SUM("exact_quantity") AS sum_of_mean_quantity_purchase,
    COUNT("exact_quantity") AS n_of_mean_quantity_purchase,
    COUNT(CASE WHEN "weekday" IN (5, 6) THEN 1 END) AS n_of_weekday_share_saturday_or_sunday_purchase
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
), by_view AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS recency_view
  FROM history
  WHERE
    "event_type_code" = 2
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
    SUM(CASE WHEN age_us <= 15552000000000 THEN "exact_quantity" END) AS sum_quantity_purchase_180d,
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
    COUNT(CASE WHEN "channel_code" = 1 AND age_us <= 31536000000000 THEN 1 END) AS n_of_share_purchase_web_365d,
    COUNT(CASE WHEN "channel_code" = 2 AND age_us <= 31536000000000 THEN 1 END) AS n_of_share_purchase_shop_365d,
    SUM(CASE WHEN age_us <= 31536000000000 THEN "exact_amount" END) AS sum_of_basket_value_purchase_365d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of
), by_customer_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 2592000000000 THEN 1 END) AS count_30d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS count_90d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS count_180d,
    COUNT(CASE WHEN age_us <= 31536000000000 THEN 1 END) AS count_365d,
    COUNT(CASE WHEN age_us <= 15552000000000 AND "weekday" IN (5, 6) THEN 1 END) AS n_of_weekday_share_saturday_or_sunday_180d
  FROM history
  WHERE
    age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of
), by_view_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 2592000000000 THEN 1 END) AS count_view_30d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS count_view_180d,
    SUM(
      CASE
        WHEN age_us <= 15552000000000
        THEN (
          5 - 2 * CAST((
            age_us - 1
          ) // 2592000000000 AS INT)
        )
      END
    ) AS trend_view_180d,
    COUNT(CASE WHEN age_us <= 5184000000000 AND age_us > 2592000000000 THEN 1 END) AS earlier_of_change_view_30d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS count_view_90d
  FROM history
  WHERE
    "event_type_code" = 2 AND age_us <= 15552000000000
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
    COUNT(CASE WHEN age_us <= 31536000000000 AND previous_us = age_us THEN 1 END) AS joins_of_basket_items_purchase_365d
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
), runs_2_periods AS (
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
), pairs_1 AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    MIN(age_us) AS youngest_us,
    COUNT(CASE WHEN age_us <= 31536000000000 THEN 1 END) AS n,
    COUNT(*) AS n_
  FROM history
  WHERE
    NOT item_id IS NULL AND "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of,
    item_id
), pairs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_us) AS nunique_item_id_purchase,
    COUNT(CASE WHEN youngest_us <= 7776000000000 THEN 1 END) AS nunique_item_id_purchase_90d,
    COUNT(CASE WHEN youngest_us <= 31536000000000 THEN 1 END) AS nunique_item_id_purchase_365d,
    MAX(n) AS top_of_top_share_item_id_purchase_365d,
    SUM(n) AS n_of_top_share_item_id_purchase_365d,
    COUNT(CASE WHEN n_ >= 2 THEN 1 END) AS repeated_repeat_share_item_id_purchase,
    COUNT(CASE WHEN n_ >= 1 THEN 1 END) AS distinct_of_repeat_share_item_id_purchase
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
), pairs_2 AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    MIN(age_us) AS youngest_us,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS n
  FROM history
  WHERE
    NOT item_id IS NULL AND "event_type_code" = 2 AND age_us <= 15552000000000
  GROUP BY
    customer_id,
    as_of,
    item_id
), pairs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 2592000000000 THEN 1 END) AS nunique_item_id_view_30d,
    COUNT(CASE WHEN youngest_us <= 15552000000000 THEN 1 END) AS nunique_item_id_view_180d,
    SUM(n) AS n_of_entropy_item_id_view_180d,
    MAX(n) AS top_of_entropy_item_id_view_180d,
    SUM(
      CASE
        WHEN n > 1
        THEN CAST(CAST(n AS DOUBLE) * LN(CAST(n AS DOUBLE)) AS DECIMAL(38, 12))
      END
    ) AS weighted_entropy_item_id_view_180d
  FROM pairs_2
  GROUP BY
    customer_id,
    as_of
), pairs_3 AS (
  SELECT
    customer_id,
    as_of,
    channel,
    MIN(age_us) AS youngest_us,
    COUNT(CASE WHEN age_us <= 31536000000000 THEN 1 END) AS n
  FROM history
  WHERE
    NOT channel IS NULL AND age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of,
    channel
), pairs_3_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 31536000000000 THEN 1 END) AS nunique_channel_365d,
    SUM(n) AS n_of_entropy_channel_365d,
    MAX(n) AS top_of_entropy_channel_365d,
    SUM(
      CASE
        WHEN n > 1
        THEN CAST(CAST(n AS DOUBLE) * LN(CAST(n AS DOUBLE)) AS DECIMAL(38, 12))
      END
    ) AS weighted_entropy_channel_365d
  FROM pairs_3
  GROUP BY
    customer_id,
    as_of
), ordered_2 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us,
    LAG("day") OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS "previous_day",
    "day"
  FROM history
  WHERE
    age_us <= 31536000000000
), ordered_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN previous_us <= 2592000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_30d,
    COUNT(CASE WHEN previous_us <= 7776000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_90d,
    COUNT(CASE WHEN previous_us <= 15552000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_180d,
    COUNT(CASE WHEN previous_us <= 31536000000000 AND "previous_day" = "day" THEN 1 END) AS later_of_days_active_365d
  FROM ordered_2
  GROUP BY
    customer_id,
    as_of
), pairs_4 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    item_id,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT age_us IS NULL
    AND NOT item_id IS NULL
    AND "event_type_code" = 1
    AND age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of,
    age_us,
    item_id
), pairs_4_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 31536000000000 THEN 1 END) AS distinct_of_basket_items_purchase_365d
  FROM pairs_4
  GROUP BY
    customer_id,
    as_of
), followed_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    "event_type_code",
    MAX(CASE WHEN "event_type_code" = 1 THEN age_us END) OVER (PARTITION BY customer_id, as_of ORDER BY age_us) AS next_us
  FROM history
  WHERE
    (
      "event_type_code" = 1 OR "event_type_code" = 2
    ) AND age_us <= 15552000000000
), followed_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(
      CASE
        WHEN "event_type_code" = 2
        AND age_us <= 15552000000000
        AND age_us - next_us < 604800000000
        THEN 1
      END
    ) AS conversion_rate_view_to_purchase_within_7d_180d
  FROM followed_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_purchase.recency_purchase AS DOUBLE) / 86400000000 AS recency_purchase,
  CAST(by_purchase.tenure_purchase AS DOUBLE) / 86400000000 AS tenure_purchase,
  CAST(by_customer.recency AS DOUBLE) / 86400000000 AS recency,
  CAST(by_customer.tenure AS DOUBLE) / 86400000000 AS tenure,
  CAST(by_view.recency_view AS DOUBLE) / 86400000000 AS recency_view,
  COALESCE(by_purchase.count_purchase, 0) AS count_purchase,
  COALESCE(by_purchase_lately.count_purchase_30d, 0) AS count_purchase_30d,
  COALESCE(by_purchase_lately.count_purchase_90d, 0) AS count_purchase_90d,
  COALESCE(by_purchase_lately.count_purchase_180d, 0) AS count_purchase_180d,
  COALESCE(by_purchase_lately.count_purchase_365d, 0) AS count_purchase_365d,
  COALESCE(by_customer_lately.count_30d, 0) AS count_30d,
  COALESCE(by_customer_lately.count_90d, 0) AS count_90d,
  COALESCE(by_customer_lately.count_180d, 0) AS count_180d,
  COALESCE(by_customer_lately.count_365d, 0) AS count_365d,
  COALESCE(by_view_lately.count_view_30d, 0) AS count_view_30d,
  COALESCE(by_view_lately.count_view_180d, 0) AS count_view_180d,
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
  CAST(COALESCE(by_purchase_lately.sum_quantity_purchase_180d, 0) AS DOUBLE) AS sum_quantity_purchase_180d,
  CAST(by_purchase.sum_of_mean_quantity_purchase AS DOUBLE) / NULLIF(by_purchase.n_of_mean_quantity_purchase, 0) AS mean_quantity_purchase,
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
  COALESCE(
    CASE
      WHEN by_customer.recency <= 2592000000000
      THEN runs_2_by_customer.youngest_start + 1
    END,
    0
  ) AS streak_current_by_30d,
  COALESCE(
    CASE
      WHEN (
        (
          runs_2_by_customer.youngest_start - (
            (
              by_customer.recency - 1
            ) // 2592000000000
          )
        ) + 1
      ) IS NULL
      OR COALESCE(runs_2_by_customer.longest_before, 0) IS NULL
      THEN NULL
      ELSE GREATEST(
        (
          runs_2_by_customer.youngest_start - (
            (
              by_customer.recency - 1
            ) // 2592000000000
          )
        ) + 1,
        COALESCE(runs_2_by_customer.longest_before, 0)
      )
    END,
    0
  ) AS streak_longest_by_30d,
  CAST(COALESCE(by_view_lately.trend_view_180d, 0) AS DOUBLE) * 6 / 210 AS trend_view_180d,
  (
    COALESCE(by_view_lately.count_view_30d, 0) - COALESCE(by_view_lately.earlier_of_change_view_30d, 0)
  ) AS change_view_30d,
  CAST(COALESCE(by_view_lately.count_view_180d, 0) AS DOUBLE) / NULLIF(by_customer_lately.count_180d, 0) AS share_view_180d,
  CAST(COALESCE(by_purchase_lately.n_of_share_purchase_web_365d, 0) AS DOUBLE) / NULLIF(by_purchase_lately.count_purchase_365d, 0) AS share_purchase_web_365d,
  CAST(COALESCE(by_purchase_lately.n_of_share_purchase_shop_365d, 0) AS DOUBLE) / NULLIF(by_purchase_lately.count_purchase_365d, 0) AS share_purchase_shop_365d,
  CAST(by_purchase.n_of_weekday_share_saturday_or_sunday_purchase AS DOUBLE) / NULLIF(by_purchase.count_purchase, 0) AS weekday_share_saturday_or_sunday_purchase,
  CAST(by_customer_lately.n_of_weekday_share_saturday_or_sunday_180d AS DOUBLE) / NULLIF(by_customer_lately.count_180d, 0) AS weekday_share_saturday_or_sunday_180d,
  COALESCE(pairs_1_by_customer.nunique_item_id_purchase, 0) AS nunique_item_id_purchase,
  COALESCE(pairs_1_by_customer.nunique_item_id_purchase_90d, 0) AS nunique_item_id_purchase_90d,
  COALESCE(pairs_1_by_customer.nunique_item_id_purchase_365d, 0) AS nunique_item_id_purchase_365d,
  CAST(pairs_1_by_customer.top_of_top_share_item_id_purchase_365d AS DOUBLE) / NULLIF(pairs_1_by_customer.n_of_top_share_item_id_purchase_365d, 0) AS top_share_item_id_purchase_365d,
  CAST(pairs_1_by_customer.repeated_repeat_share_item_id_purchase AS DOUBLE) / NULLIF(pairs_1_by_customer.distinct_of_repeat_share_item_id_purchase, 0) AS repeat_share_item_id_purchase,
  COALESCE(pairs_2_by_customer.nunique_item_id_view_30d, 0) AS nunique_item_id_view_30d,
  COALESCE(pairs_2_by_customer.nunique_item_id_view_180d, 0) AS nunique_item_id_view_180d,
  CASE
    WHEN pairs_2_by_customer.n_of_entropy_item_id_view_180d > pairs_2_by_customer.top_of_entropy_item_id_view_180d
    THEN LN(CAST(pairs_2_by_customer.n_of_entropy_item_id_view_180d AS DOUBLE)) - CAST(COALESCE(pairs_2_by_customer.weighted_entropy_item_id_view_180d, 0) AS DOUBLE) / NULLIF(pairs_2_by_customer.n_of_entropy_item_id_view_180d, 0)
    WHEN pairs_2_by_customer.n_of_entropy_item_id_view_180d > 0
    THEN CAST(0 AS DOUBLE)
  END AS entropy_item_id_view_180d,
  COALESCE(pairs_3_by_customer.nunique_channel_365d, 0) AS nunique_channel_365d,
  CASE
    WHEN pairs_3_by_customer.n_of_entropy_channel_365d > pairs_3_by_customer.top_of_entropy_channel_365d
    THEN LN(CAST(pairs_3_by_customer.n_of_entropy_channel_365d AS DOUBLE)) - CAST(COALESCE(pairs_3_by_customer.weighted_entropy_channel_365d, 0) AS DOUBLE) / NULLIF(pairs_3_by_customer.n_of_entropy_channel_365d, 0)
    WHEN pairs_3_by_customer.n_of_entropy_channel_365d > 0
    THEN CAST(0 AS DOUBLE)
  END AS entropy_channel_365d,
  CAST(pairs_3_by_customer.top_of_entropy_channel_365d AS DOUBLE) / NULLIF(pairs_3_by_customer.n_of_entropy_channel_365d, 0) AS top_share_channel_365d,
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
  COALESCE(
    (
      by_customer_lately.count_30d - COALESCE(ordered_2_by_customer.later_of_days_active_30d, 0)
    ),
    0
  ) AS days_active_30d,
  COALESCE(
    (
      by_customer_lately.count_90d - COALESCE(ordered_2_by_customer.later_of_days_active_90d, 0)
    ),
    0
  ) AS days_active_90d,
  COALESCE(
    (
      by_customer_lately.count_180d - COALESCE(ordered_2_by_customer.later_of_days_active_180d, 0)
    ),
    0
  ) AS days_active_180d,
  COALESCE(
    (
      by_customer_lately.count_365d - COALESCE(ordered_2_by_customer.later_of_days_active_365d, 0)
    ),
    0
  ) AS days_active_365d,
  CAST(COALESCE(pairs_4_by_customer.distinct_of_basket_items_purchase_365d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.count_purchase_365d - COALESCE(ordered_1_by_customer.joins_of_basket_items_purchase_365d, 0)
    ),
    0
  ) AS basket_items_purchase_365d,
  CAST(COALESCE(by_purchase_lately.sum_of_basket_value_purchase_365d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.count_purchase_365d - COALESCE(ordered_1_by_customer.joins_of_basket_items_purchase_365d, 0)
    ),
    0
  ) AS basket_value_purchase_365d,
  CAST(COALESCE(followed_1_by_customer.conversion_rate_view_to_purchase_within_7d_180d, 0) AS DOUBLE) / NULLIF(by_view_lately.count_view_180d, 0) AS conversion_rate_view_to_purchase_within_7d_180d,
  CAST(COALESCE(by_purchase_lately.count_purchase_90d, 0) AS DOUBLE) / NULLIF(COALESCE(by_view_lately.count_view_90d, 0), 0) AS count_purchase_90d_per_count_view_90d
FROM by_customer
LEFT JOIN by_purchase
  USING (customer_id, as_of)
LEFT JOIN by_view
  USING (customer_id, as_of)
LEFT JOIN by_purchase_lately
  USING (customer_id, as_of)
LEFT JOIN by_customer_lately
  USING (customer_id, as_of)
LEFT JOIN by_view_lately
  USING (customer_id, as_of)
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
LEFT JOIN by_customer_with_amount_lately
  USING (customer_id, as_of)
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN runs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN runs_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_3_by_customer
  USING (customer_id, as_of)
LEFT JOIN ordered_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_4_by_customer
  USING (customer_id, as_of)
LEFT JOIN followed_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
