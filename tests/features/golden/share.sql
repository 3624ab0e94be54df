-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(CASE channel WHEN 'web' THEN 1 END AS SMALLINT) AS "channel_code",
    CAST(CASE event_type WHEN 'view' THEN 1 WHEN 'purchase' THEN 2 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "channel_code",
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
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS of_share_view_90d
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_view_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n_of_share_view_90d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN "channel_code" = 1 THEN 1 END) AS n_of_share_purchase_web,
    COUNT(*) AS of_share_purchase_web
  FROM history
  WHERE
    "event_type_code" = 2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(COALESCE(by_view_lately.n_of_share_view_90d, 0) AS DOUBLE) / NULLIF(by_customer.of_share_view_90d, 0) AS share_view_90d,
  CAST(COALESCE(by_purchase.n_of_share_purchase_web, 0) AS DOUBLE) / NULLIF(by_purchase.of_share_purchase_web, 0) AS share_purchase_web
FROM by_customer
LEFT JOIN by_view_lately
  USING (customer_id, as_of)
LEFT JOIN by_purchase
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
