-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    "sku" AS item_id,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at,
    "plan"
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    item_id,
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount",
    "plan",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    item_id,
    "exact_amount",
    "plan",
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
), by_purchase_lately AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 7776000000000 THEN 1 END) AS n_of_basket_lines_purchase_90d,
    SUM(CASE WHEN age_us <= 7776000000000 THEN "exact_amount" END) AS sum_of_basket_value_purchase_90d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of
), by_customer_with_amount AS (
  SELECT
    customer_id,
    as_of,
    SUM(CASE WHEN NOT "plan" IS NULL THEN "exact_amount" END) AS sum_of_basket_value_by_plan
  FROM history
  WHERE
    NOT "exact_amount" IS NULL
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
    "event_type_code" = 1 AND age_us <= 7776000000000
), ordered_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN age_us <= 7776000000000 AND previous_us = age_us THEN 1 END) AS joins_of_basket_lines_purchase_90d
  FROM ordered_1
  GROUP BY
    customer_id,
    as_of
), pairs_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    item_id,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT age_us IS NULL
    AND NOT item_id IS NULL
    AND "event_type_code" = 1
    AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of,
    age_us,
    item_id
), pairs_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN youngest_us <= 7776000000000 THEN 1 END) AS distinct_of_basket_items_purchase_90d
  FROM pairs_1
  GROUP BY
    customer_id,
    as_of
), pairs_2 AS (
  SELECT
    customer_id,
    as_of,
    "plan",
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT "plan" IS NULL
  GROUP BY
    customer_id,
    as_of,
    "plan"
), pairs_2_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN NOT youngest_us IS NULL THEN 1 END) AS distinct_of_basket_orders_by_plan
  FROM pairs_2
  GROUP BY
    customer_id,
    as_of
), pairs_3 AS (
  SELECT
    customer_id,
    as_of,
    "plan",
    item_id,
    MIN(age_us) AS youngest_us
  FROM history
  WHERE
    NOT "plan" IS NULL AND NOT item_id IS NULL
  GROUP BY
    customer_id,
    as_of,
    "plan",
    item_id
), pairs_3_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN NOT youngest_us IS NULL THEN 1 END) AS distinct_of_basket_items_by_plan
  FROM pairs_3
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(COALESCE(by_purchase_lately.n_of_basket_lines_purchase_90d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.n_of_basket_lines_purchase_90d - COALESCE(ordered_1_by_customer.joins_of_basket_lines_purchase_90d, 0)
    ),
    0
  ) AS basket_lines_purchase_90d,
  CAST(COALESCE(pairs_1_by_customer.distinct_of_basket_items_purchase_90d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.n_of_basket_lines_purchase_90d - COALESCE(ordered_1_by_customer.joins_of_basket_lines_purchase_90d, 0)
    ),
    0
  ) AS basket_items_purchase_90d,
  CAST(COALESCE(by_purchase_lately.sum_of_basket_value_purchase_90d, 0) AS DOUBLE) / NULLIF(
    (
      by_purchase_lately.n_of_basket_lines_purchase_90d - COALESCE(ordered_1_by_customer.joins_of_basket_lines_purchase_90d, 0)
    ),
    0
  ) AS basket_value_purchase_90d,
  COALESCE(pairs_2_by_customer.distinct_of_basket_orders_by_plan, 0) AS basket_orders_by_plan,
  CAST(COALESCE(pairs_3_by_customer.distinct_of_basket_items_by_plan, 0) AS DOUBLE) / NULLIF(pairs_2_by_customer.distinct_of_basket_orders_by_plan, 0) AS basket_items_by_plan,
  CAST(COALESCE(by_customer_with_amount.sum_of_basket_value_by_plan, 0) AS DOUBLE) / NULLIF(pairs_2_by_customer.distinct_of_basket_orders_by_plan, 0) AS basket_value_by_plan
FROM by_customer
LEFT JOIN ordered_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN by_purchase_lately
  USING (customer_id, as_of)
LEFT JOIN pairs_1_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_2_by_customer
  USING (customer_id, as_of)
LEFT JOIN pairs_3_by_customer
  USING (customer_id, as_of)
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
