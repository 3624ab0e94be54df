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
    channel,
    item_id,
    CAST(CASE event_type WHEN 'view' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    channel,
    item_id,
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
), pairs_1 AS (
  SELECT
    customer_id,
    as_of,
    channel,
    COUNT(*) AS n
  FROM history
  WHERE
    NOT channel IS NULL
  GROUP BY
    customer_id,
    as_of,
    channel
), pairs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(n) AS top_of_top_share_channel,
    SUM(n) AS n_of_top_share_channel
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
), pairs_2 AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n
  FROM history
  WHERE
    NOT item_id IS NULL AND "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of,
    item_id
), pairs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(n) AS top_of_top_share_item_id_view_90d,
    SUM(n) AS n_of_top_share_item_id_view_90d
  FROM pairs_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(pairs_1_by_customer.top_of_top_share_channel AS DOUBLE) / NULLIF(pairs_1_by_customer.n_of_top_share_channel, 0) AS top_share_channel,
  CAST(pairs_2_by_customer.top_of_top_share_item_id_view_90d AS DOUBLE) / NULLIF(pairs_2_by_customer.n_of_top_share_item_id_view_90d, 0) AS top_share_item_id_view_90d
FROM by_customer
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_2_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
