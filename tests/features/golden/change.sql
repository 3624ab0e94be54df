-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
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
    COUNT(CASE WHEN age_us <= 2592000000000 THEN 1 END) AS recent_of_change_30d,
    COUNT(CASE WHEN age_us <= 5184000000000 AND age_us > 2592000000000 THEN 1 END) AS earlier_of_change_30d
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_purchase_lately AS (
  SELECT
    customer_id,
    as_of,
    SUM(CASE WHEN age_us <= 2592000000000 THEN "exact_amount" END) AS recent_of_change_ratio_amount_purchase_30d,
    SUM(
      CASE
        WHEN age_us <= 5184000000000 AND age_us > 2592000000000
        THEN "exact_amount"
      END
    ) AS earlier_of_change_ratio_amount_purchase_30d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 5184000000000
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  (
    COALESCE(by_customer.recent_of_change_30d, 0) - COALESCE(by_customer.earlier_of_change_30d, 0)
  ) AS change_30d,
  CAST(COALESCE(by_purchase_lately.recent_of_change_ratio_amount_purchase_30d, 0) AS DOUBLE) / NULLIF(COALESCE(by_purchase_lately.earlier_of_change_ratio_amount_purchase_30d, 0), 0) AS change_ratio_amount_purchase_30d
FROM by_customer
LEFT JOIN by_purchase_lately
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
