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
    MAX(CASE WHEN NOT previous_us IS NULL THEN previous_us END) AS first_of_time_to_2_purchase,
    MAX(CASE WHEN NOT previous_us IS NULL THEN age_us END) AS time_to_2_purchase
  FROM ordered_1
  GROUP BY
    customer_id,
    as_of
), ordered_2 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS previous_us,
    LAG(age_us, 3) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC) AS "earlier_3_us"
  FROM history
  WHERE
    age_us <= 7776000000000
), ordered_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN "earlier_3_us" <= 7776000000000 THEN "earlier_3_us" END) AS first_of_time_to_4_90d,
    MAX(CASE WHEN "earlier_3_us" <= 7776000000000 THEN age_us END) AS time_to_4_90d
  FROM ordered_2
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST((
    ordered_1_by_customer.first_of_time_to_2_purchase - ordered_1_by_customer.time_to_2_purchase
  ) AS DOUBLE) / 86400000000 AS time_to_2_purchase,
  CAST((
    ordered_2_by_customer.first_of_time_to_4_90d - ordered_2_by_customer.time_to_4_90d
  ) AS DOUBLE) / 86400000000 AS time_to_4_90d
FROM by_customer
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN ordered_2_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
