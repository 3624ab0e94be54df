-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "sku" AS item_id,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(CASE event_type WHEN 'view' THEN 1 WHEN 'purchase' THEN 2 END AS SMALLINT) AS "event_type_code",
    item_id,
    CAST(CASE channel WHEN 'web' THEN 1 END AS SMALLINT) AS "channel_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "event_type_code",
    item_id,
    "channel_code"
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
), by_view AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN "channel_code" = 1 THEN 1 END) AS n_of_conversion_rate_view_web_to_purchase_within_30d_on_item_id,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n_of_conversion_rate_view_to_purchase_within_7d_90d
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
), followed_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    "event_type_code",
    MAX(CASE WHEN "event_type_code" = 2 THEN age_us END) OVER (PARTITION BY customer_id, as_of ORDER BY age_us) AS next_us
  FROM history
  WHERE
    (
      "event_type_code" = 2 OR "event_type_code" = 1
    ) AND age_us <= 7776000000000
), followed_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(
      CASE
        WHEN "event_type_code" = 1
        AND age_us <= 7776000000000
        AND age_us - next_us < 604800000000
        THEN 1
      END
    ) AS conversion_rate_view_to_purchase_within_7d_90d
  FROM followed_1
  GROUP BY
    customer_id,
    as_of
), followed_2 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    "event_type_code",
    "channel_code",
    MAX(CASE WHEN "event_type_code" = 2 THEN age_us END) OVER (PARTITION BY customer_id, as_of, item_id ORDER BY age_us) AS next_us
  FROM history
  WHERE
    (
      "event_type_code" = 2 OR (
        "event_type_code" = 1 AND "channel_code" = 1
      )
    )
    AND NOT item_id IS NULL
), followed_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(
      CASE
        WHEN "event_type_code" = 1 AND "channel_code" = 1 AND age_us - next_us < 2592000000000
        THEN 1
      END
    ) AS conversion_rate_view_web_to_purchase_within_30d_on_item_id
  FROM followed_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(COALESCE(followed_1_by_customer.conversion_rate_view_to_purchase_within_7d_90d, 0) AS DOUBLE) / NULLIF(by_view.n_of_conversion_rate_view_to_purchase_within_7d_90d, 0) AS conversion_rate_view_to_purchase_within_7d_90d,
  CAST(COALESCE(
    followed_2_by_customer.conversion_rate_view_web_to_purchase_within_30d_on_item_id,
    0
  ) AS DOUBLE) / NULLIF(by_view.n_of_conversion_rate_view_web_to_purchase_within_30d_on_item_id, 0) AS conversion_rate_view_web_to_purchase_within_30d_on_item_id
FROM by_customer
LEFT JOIN followed_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN followed_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN by_view
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
