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
    CAST(CASE event_type WHEN 'view' THEN 1 WHEN 'purchase' THEN 2 END AS SMALLINT) AS "event_type_code"
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
    as_of
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_view_lately AS (
  SELECT
    customer_id,
    as_of,
    SUM(CASE WHEN age_us <= 7776000000000 THEN "exact_amount" END) AS returned_of_return_rate_by_view_amount_purchase_90d
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
    SUM(CASE WHEN "exact_amount" < 0 THEN "exact_amount" END) AS negative_of_return_rate_negative_amount_purchase,
    SUM(CASE WHEN "exact_amount" > 0 THEN "exact_amount" END) AS positive_of_return_rate_negative_amount_purchase,
    SUM(CASE WHEN age_us <= 7776000000000 THEN "exact_amount" END) AS bought_of_return_rate_by_view_amount_purchase_90d
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
  CAST(ABS(COALESCE(by_view_lately.returned_of_return_rate_by_view_amount_purchase_90d, 0)) AS DOUBLE) / NULLIF(by_purchase.bought_of_return_rate_by_view_amount_purchase_90d, 0) AS return_rate_by_view_amount_purchase_90d,
  CAST(ABS(COALESCE(by_purchase.negative_of_return_rate_negative_amount_purchase, 0)) AS DOUBLE) / NULLIF(by_purchase.positive_of_return_rate_negative_amount_purchase, 0) AS return_rate_negative_amount_purchase
FROM by_customer
LEFT JOIN by_view_lately
  USING (customer_id, as_of)
LEFT JOIN by_purchase
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
