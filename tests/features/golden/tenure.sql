-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at,
    "plan"
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    CAST(CASE "plan" WHEN 'gold' THEN 1 END AS SMALLINT) AS "plan_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "plan_code"
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
    MAX(age_us) AS tenure,
    MAX(CASE WHEN "plan_code" = 1 THEN age_us END) AS tenure_plan_gold
  FROM history
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(by_customer.tenure AS DOUBLE) / 86400000000 AS tenure,
  CAST(by_customer.tenure_plan_gold AS DOUBLE) / 86400000000 AS tenure_plan_gold
FROM by_customer
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
