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
    "sku" AS item_id,
    NULLIF("revenue", CAST('NaN' AS DOUBLE)) AS amount,
    NULLIF("units", CAST('NaN' AS DOUBLE)) AS quantity,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events.event_type,
    events.item_id,
    events.channel,
    CAST(events.amount AS DECIMAL(18, 6)) AS exact_amount,
    CAST(events.quantity AS DECIMAL(18, 6)) AS exact_quantity
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    CAST(MAX(age_us) AS DOUBLE) / 86400000000 AS tenure,
    CAST(MIN(age_us) AS DOUBLE) / 86400000000 AS recency,
    COUNT(CASE WHEN age_us <= 2592000000000 THEN 1 END) AS count_30d,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS count_90d,
    COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END) AS count_180d,
    COUNT(CASE WHEN age_us <= 31536000000000 THEN 1 END) AS count_365d,
    CAST(MIN(CASE WHEN event_type = 'purchase' THEN age_us END) AS DOUBLE) / 86400000000 AS recency_purchase,
    CAST(MAX(CASE WHEN event_type = 'purchase' THEN age_us END) AS DOUBLE) / 86400000000 AS tenure_purchase,
    COUNT(CASE WHEN event_type = 'purchase' THEN 1 END) AS count_purchase,
    COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 2592000000000 THEN 1 END) AS count_purchase_30d,
    COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 7776000000000 THEN 1 END) AS count_purchase_90d,
    COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN 1 END) AS count_purchase_180d,
    COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 31536000000000 THEN 1 END) AS count_purchase_365d,
    CAST((
      MAX(CASE WHEN event_type = 'purchase' THEN age_us END) - MIN(CASE WHEN event_type = 'purchase' THEN age_us END)
    ) AS DOUBLE) / NULLIF((
      COUNT(CASE WHEN event_type = 'purchase' THEN 1 END) - 1
    ), 0) / 86400000000 AS gap_mean_purchase,
    CAST((
      MAX(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN age_us END) - MIN(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN age_us END)
    ) AS DOUBLE) / NULLIF(
      (
        COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 15552000000000 THEN 1 END) - 1
      ),
      0
    ) / 86400000000 AS gap_mean_purchase_180d,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN event_type = 'purchase' AND age_us <= 15552000000000
          THEN (
            5 - 2 * CAST((
              age_us - 1
            ) // 2592000000000 AS INT)
          )
        END
      ),
      0
    ) AS DOUBLE) * 6 / 210 AS trend_purchase_180d,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN event_type = 'purchase' AND age_us <= 31104000000000
          THEN (
            5 - 2 * CAST((
              age_us - 1
            ) // 5184000000000 AS INT)
          )
        END
      ),
      0
    ) AS DOUBLE) * 6 / 210 AS trend_purchase_360d,
    CAST(COALESCE(SUM(exact_amount), 0) AS DOUBLE) AS sum_amount,
    CAST(COALESCE(SUM(CASE WHEN age_us <= 2592000000000 THEN exact_amount END), 0) AS DOUBLE) AS sum_amount_30d,
    CAST(COALESCE(SUM(CASE WHEN age_us <= 7776000000000 THEN exact_amount END), 0) AS DOUBLE) AS sum_amount_90d,
    CAST(COALESCE(SUM(CASE WHEN age_us <= 15552000000000 THEN exact_amount END), 0) AS DOUBLE) AS sum_amount_180d,
    CAST(COALESCE(SUM(CASE WHEN age_us <= 31536000000000 THEN exact_amount END), 0) AS DOUBLE) AS sum_amount_365d,
    CAST(SUM(CASE WHEN event_type = 'purchase' THEN exact_amount END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN event_type = 'purchase' THEN exact_amount END), 0) AS mean_amount_purchase,
    CAST(SUM(
      CASE
        WHEN event_type = 'purchase' AND age_us <= 15552000000000
        THEN exact_amount
      END
    ) AS DOUBLE) / NULLIF(
      COUNT(
        CASE
          WHEN event_type = 'purchase' AND age_us <= 15552000000000
          THEN exact_amount
        END
      ),
      0
    ) AS mean_amount_purchase_180d,
    CAST(MIN(CASE WHEN event_type = 'purchase' THEN exact_amount END) AS DOUBLE) AS min_amount_purchase,
    CAST(MAX(CASE WHEN event_type = 'purchase' THEN exact_amount END) AS DOUBLE) AS max_amount_purchase,
    SQRT(
      CAST((
        COUNT(CASE WHEN event_type = 'purchase' THEN exact_amount END) * SUM(
          CASE
            WHEN event_type = 'purchase'
            THEN CAST(exact_amount AS DECIMAL(38, 6)) * CAST(exact_amount AS DECIMAL(38, 6))
          END
        ) - SUM(CASE WHEN event_type = 'purchase' THEN exact_amount END) * SUM(CASE WHEN event_type = 'purchase' THEN exact_amount END)
      ) AS DOUBLE) / NULLIF(
        (
          CAST(COUNT(CASE WHEN event_type = 'purchase' THEN exact_amount END) AS DOUBLE) * (
            COUNT(CASE WHEN event_type = 'purchase' THEN exact_amount END) - 1
          )
        ),
        0
      )
    ) AS std_amount_purchase,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN age_us <= 15552000000000
          THEN CAST(exact_amount AS DECIMAL(38, 6)) * (
            5 - 2 * CAST((
              age_us - 1
            ) // 2592000000000 AS INT)
          )
        END
      ),
      0
    ) AS DOUBLE) * 6 / 210 AS trend_amount_180d,
    CAST(COALESCE(
      SUM(
        CASE
          WHEN event_type = 'purchase' AND age_us <= 15552000000000
          THEN exact_quantity
        END
      ),
      0
    ) AS DOUBLE) AS sum_quantity_purchase_180d,
    CAST(SUM(CASE WHEN event_type = 'purchase' THEN exact_quantity END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN event_type = 'purchase' THEN exact_quantity END), 0) AS mean_quantity_purchase,
    CAST(MIN(CASE WHEN event_type = 'view' THEN age_us END) AS DOUBLE) / 86400000000 AS recency_view,
    COUNT(CASE WHEN event_type = 'view' AND age_us <= 2592000000000 THEN 1 END) AS count_view_30d,
    COUNT(CASE WHEN event_type = 'view' AND age_us <= 15552000000000 THEN 1 END) AS count_view_180d,
    CAST(COUNT(CASE WHEN event_type = 'view' AND age_us <= 15552000000000 THEN 1 END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN age_us <= 15552000000000 THEN 1 END), 0) AS share_view_180d,
    CAST(COUNT(
      CASE
        WHEN event_type = 'purchase' AND channel = 'web' AND age_us <= 31536000000000
        THEN 1
      END
    ) AS DOUBLE) / NULLIF(
      COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 31536000000000 THEN 1 END),
      0
    ) AS share_purchase_web_365d,
    CAST(COUNT(
      CASE
        WHEN event_type = 'purchase' AND channel = 'shop' AND age_us <= 31536000000000
        THEN 1
      END
    ) AS DOUBLE) / NULLIF(
      COUNT(CASE WHEN event_type = 'purchase' AND age_us <= 31536000000000 THEN 1 END),
      0
    ) AS share_purchase_shop_365d
  FROM history
  GROUP BY
    customer_id,
    as_of
), pairs_item_id AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    MIN(CASE WHEN event_type = 'purchase' THEN age_us END) AS youngest_1
  FROM history
  WHERE
    NOT item_id IS NULL AND event_type = 'purchase'
  GROUP BY
    customer_id,
    as_of,
    item_id
), distinct_item_id AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_1) AS nunique_item_id_purchase,
    COUNT(CASE WHEN youngest_1 <= 7776000000000 THEN 1 END) AS nunique_item_id_purchase_90d,
    COUNT(CASE WHEN youngest_1 <= 31536000000000 THEN 1 END) AS nunique_item_id_purchase_365d
  FROM pairs_item_id
  GROUP BY
    customer_id,
    as_of
), pairs_channel AS (
  SELECT
    customer_id,
    as_of,
    channel,
    MIN(age_us) AS youngest_1
  FROM history
  WHERE
    NOT channel IS NULL AND age_us <= 31536000000000
  GROUP BY
    customer_id,
    as_of,
    channel
), distinct_channel AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_1 <= 31536000000000 THEN 1 END) AS nunique_channel_365d
  FROM pairs_channel
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
    WHERE
      event_type = 'purchase'
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
    ) / 86400000000 AS gap_std_purchase
  FROM gaps_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  by_customer.tenure,
  by_customer.recency,
  by_customer.count_30d,
  by_customer.count_90d,
  by_customer.count_180d,
  by_customer.count_365d,
  by_customer.recency_purchase,
  by_customer.tenure_purchase,
  by_customer.count_purchase,
  by_customer.count_purchase_30d,
  by_customer.count_purchase_90d,
  by_customer.count_purchase_180d,
  by_customer.count_purchase_365d,
  by_customer.gap_mean_purchase,
  gaps_1_by_customer.gap_std_purchase,
  by_customer.gap_mean_purchase_180d,
  by_customer.trend_purchase_180d,
  by_customer.trend_purchase_360d,
  by_customer.sum_amount,
  by_customer.sum_amount_30d,
  by_customer.sum_amount_90d,
  by_customer.sum_amount_180d,
  by_customer.sum_amount_365d,
  by_customer.mean_amount_purchase,
  by_customer.mean_amount_purchase_180d,
  by_customer.min_amount_purchase,
  by_customer.max_amount_purchase,
  by_customer.std_amount_purchase,
  by_customer.trend_amount_180d,
  by_customer.sum_quantity_purchase_180d,
  by_customer.mean_quantity_purchase,
  COALESCE(distinct_item_id.nunique_item_id_purchase, 0) AS nunique_item_id_purchase,
  COALESCE(distinct_item_id.nunique_item_id_purchase_90d, 0) AS nunique_item_id_purchase_90d,
  COALESCE(distinct_item_id.nunique_item_id_purchase_365d, 0) AS nunique_item_id_purchase_365d,
  by_customer.recency_view,
  by_customer.count_view_30d,
  by_customer.count_view_180d,
  by_customer.share_view_180d,
  COALESCE(distinct_channel.nunique_channel_365d, 0) AS nunique_channel_365d,
  by_customer.share_purchase_web_365d,
  by_customer.share_purchase_shop_365d
FROM by_customer
LEFT JOIN distinct_item_id
  USING (customer_id, as_of)
LEFT JOIN distinct_channel
  USING (customer_id, as_of)
LEFT JOIN gaps_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
