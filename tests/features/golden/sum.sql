-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    CASE WHEN NOT ISNAN("units") THEN "units" END AS quantity,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    CAST(quantity AS DECIMAL(18, 6)) AS "exact_quantity",
    CAST(CASE event_type WHEN 'purchase' THEN 1 WHEN 'view' THEN 2 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "exact_amount",
    "exact_quantity",
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
), by_customer_with_amount AS (
  SELECT
    customer_id,
    as_of,
    SUM("exact_amount") AS sum_amount
  FROM history
  WHERE
    NOT "exact_amount" IS NULL
  GROUP BY
    customer_id,
    as_of
), by_purchase_or_view_lately AS (
  SELECT
    customer_id,
    as_of,
    SUM(CASE WHEN age_us <= 4838400000000 THEN "exact_quantity" END) AS sum_quantity_purchase_or_view_8w
  FROM history
  WHERE
    "event_type_code" IN (1, 2) AND age_us <= 4838400000000
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(COALESCE(by_customer_with_amount.sum_amount, 0) AS DOUBLE) AS sum_amount,
  CAST(COALESCE(by_purchase_or_view_lately.sum_quantity_purchase_or_view_8w, 0) AS DOUBLE) AS sum_quantity_purchase_or_view_8w
FROM by_customer
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
LEFT JOIN by_purchase_or_view_lately
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
