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
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), history AS (
  SELECT
    events.customer_id,
    cutoffs.as_of,
    EPOCH_US(cutoffs.as_of) - EPOCH_US(events."timestamp") AS age_us,
    events.item_id,
    events.channel,
    events.event_type
  FROM events
  JOIN cutoffs
    ON events."timestamp" < cutoffs.as_of
    AND COALESCE(events.recorded_at, events."timestamp") < cutoffs.as_of
), by_customer AS (
  SELECT
    customer_id,
    as_of
  FROM history
  GROUP BY
    customer_id,
    as_of
), pairs_item_id AS (
  SELECT
    customer_id,
    as_of,
    item_id,
    MIN(age_us) AS youngest_1,
    MIN(CASE WHEN event_type = 'view' THEN age_us END) AS youngest_2
  FROM history
  WHERE
    NOT item_id IS NULL
  GROUP BY
    customer_id,
    as_of,
    item_id
), distinct_item_id AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_1) AS nunique_item_id,
    COUNT(CASE WHEN youngest_2 <= 2592000000000 THEN 1 END) AS nunique_item_id_view_30d
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
    NOT channel IS NULL
  GROUP BY
    customer_id,
    as_of,
    channel
), distinct_channel AS (
  SELECT
    customer_id,
    as_of,
    COUNT(youngest_1) AS nunique_channel
  FROM pairs_channel
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of,
  COALESCE(distinct_item_id.nunique_item_id, 0) AS nunique_item_id,
  COALESCE(distinct_item_id.nunique_item_id_view_30d, 0) AS nunique_item_id_view_30d,
  COALESCE(distinct_channel.nunique_channel, 0) AS nunique_channel
FROM by_customer
LEFT JOIN distinct_item_id
  USING (customer_id, as_of)
LEFT JOIN distinct_channel
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
