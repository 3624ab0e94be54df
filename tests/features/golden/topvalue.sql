-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("units") THEN "units" END AS quantity,
    "source" AS channel,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    channel,
    quantity,
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    channel,
    quantity,
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
    MAX(n) AS most
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
), top_1 AS (
  SELECT
    pairs_1.customer_id,
    pairs_1.as_of,
    MAX(pairs_1.channel) AS top_value
  FROM pairs_1
  JOIN pairs_1_by_customer
    USING (customer_id, as_of)
  WHERE
    pairs_1.n = pairs_1_by_customer.most AND pairs_1.n > 0
  GROUP BY
    pairs_1.customer_id,
    pairs_1.as_of
), pairs_2 AS (
  SELECT
    customer_id,
    as_of,
    quantity,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n
  FROM history
  WHERE
    NOT quantity IS NULL AND "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of,
    quantity
), pairs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(n) AS most
  FROM pairs_2
  GROUP BY
    customer_id,
    as_of
), top_2 AS (
  SELECT
    pairs_2.customer_id,
    pairs_2.as_of,
    MAX(pairs_2.quantity) AS top_value
  FROM pairs_2
  JOIN pairs_2_by_customer
    USING (customer_id, as_of)
  WHERE
    pairs_2.n = pairs_2_by_customer.most AND pairs_2.n > 0
  GROUP BY
    pairs_2.customer_id,
    pairs_2.as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  top_1.top_value AS top_value_channel,
  CAST(top_2.top_value AS DOUBLE) AS top_value_quantity_purchase_90d
FROM by_customer
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN top_1
  USING (customer_id, as_of)
LEFT JOIN pairs_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN top_2
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
