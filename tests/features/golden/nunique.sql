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
    item_id,
    channel,
    CAST(CASE event_type WHEN 'view' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    item_id,
    channel,
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
    item_id,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT item_id IS NULL
  GROUP BY
    customer_id,
    as_of,
    item_id
), pairs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_us) AS nunique_item_id
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
), pairs_2 AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT item_id IS NULL AND "event_type_code" = 1 AND age_us <= 2592000000000
  GROUP BY
    customer_id,
    as_of,
    item_id
), pairs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 2592000000000 THEN 1 END) AS nunique_item_id_view_30d
  FROM pairs_2
  GROUP BY
    customer_id,
    as_of
), pairs_3 AS (
  SELECT
    customer_id,
    as_of,
    channel,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT channel IS NULL
  GROUP BY
    customer_id,
    as_of,
    channel
), pairs_3_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_us) AS nunique_channel
  FROM pairs_3
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  COALESCE(pairs_1_by_customer.nunique_item_id, 0) AS nunique_item_id,
  COALESCE(pairs_2_by_customer.nunique_item_id_view_30d, 0) AS nunique_item_id_view_30d,
  COALESCE(pairs_3_by_customer.nunique_channel, 0) AS nunique_channel
FROM by_customer
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_3_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
