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
    CAST(CASE event_type WHEN 'purchase' THEN 1 WHEN 'view' THEN 2 END AS SMALLINT) AS "event_type_code"
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
), dues_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    CASE WHEN "event_type_code" = 1 THEN 1 ELSE 0 END AS pays
  FROM history
  WHERE
    "event_type_code" = 1 OR "event_type_code" = 2
), dues_in_order_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    pays,
    LAG(age_us) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC, pays DESC) AS before_us,
    LAG(pays) OVER (PARTITION BY customer_id, as_of ORDER BY age_us DESC, pays DESC) AS paid_before
  FROM dues_1
), runs_1 AS (
  SELECT
    customer_id,
    as_of,
    age_us,
    pays,
    MIN(
      CASE
        WHEN pays = 1
        AND NOT COALESCE((
          paid_before = 1 AND (
            before_us - age_us
          ) <= 2678400000000
        ), FALSE)
        THEN age_us
      END
    ) OVER (PARTITION BY customer_id, as_of) AS began_us
  FROM dues_in_order_1
), contract_1 AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN pays = 1 AND age_us <= began_us THEN 1 END) AS payments,
    MIN(began_us) AS started_us,
    MIN(CASE WHEN pays = 1 THEN age_us END) AS paid_us,
    MIN(CASE WHEN pays = 0 THEN age_us END) AS ended_us
  FROM runs_1
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  contract_1.payments,
  contract_1.started_us,
  contract_1.paid_us,
  contract_1.ended_us
FROM by_customer
LEFT JOIN contract_1
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
