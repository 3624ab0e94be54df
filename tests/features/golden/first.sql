-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    CASE WHEN NOT ISNAN("revenue") THEN "revenue" END AS amount,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at,
    "plan"
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    "plan",
    amount,
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "plan",
    amount,
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
    MAX(CASE WHEN NOT "plan" IS NULL THEN age_us END) AS ends_1_first_us
  FROM history
  GROUP BY
    customer_id,
    as_of
), by_purchase_lately AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN age_us <= 7776000000000 AND NOT amount IS NULL THEN age_us END) AS ends_2_first_us
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of
), ends_1 AS (
  SELECT
    history.customer_id,
    history.as_of,
    MAX(CASE WHEN history.age_us = by_customer.ends_1_first_us THEN history."plan" END) AS first_value
  FROM history
  JOIN by_customer
    USING (customer_id, as_of)
  WHERE
    NOT history."plan" IS NULL AND history.age_us = by_customer.ends_1_first_us
  GROUP BY
    history.customer_id,
    history.as_of
), ends_2 AS (
  SELECT
    history.customer_id,
    history.as_of,
    MAX(
      CASE
        WHEN history.age_us = by_purchase_lately.ends_2_first_us
        THEN history.amount
      END
    ) AS first_value
  FROM history
  JOIN by_purchase_lately
    USING (customer_id, as_of)
  WHERE
    history."event_type_code" = 1
    AND history.age_us <= 7776000000000
    AND NOT history.amount IS NULL
    AND history.age_us = by_purchase_lately.ends_2_first_us
  GROUP BY
    history.customer_id,
    history.as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  ends_1.first_value AS first_plan,
  CAST(ends_2.first_value AS DOUBLE) AS first_amount_purchase_90d
FROM by_customer
LEFT JOIN ends_1
  USING (customer_id, as_of)
LEFT JOIN ends_2
  USING (customer_id, as_of)
LEFT JOIN by_purchase_lately
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
