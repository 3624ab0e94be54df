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
    CAST(CASE event_type WHEN 'purchase' THEN 1 WHEN 'view' THEN 2 END AS SMALLINT) AS "event_type_code",
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "event_type_code",
    "exact_amount"
  FROM coded
  JOIN (
    SELECT
      as_of
    FROM (VALUES
      (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
      (CAST('2024-02-29 22:30:00' AS TIMESTAMP))) AS listed(as_of)
  ) AS cutoffs
    ON at_us < EPOCH_US(as_of) AND known_us < EPOCH_US(as_of)
), population AS (
  SELECT DISTINCT
    customer_id,
    as_of
  FROM history
  WHERE
    "event_type_code" IN (1, 2)
), by_customer AS (
  SELECT
    customer_id,
    as_of,
    MIN(age_us) AS recency
  FROM history
  GROUP BY
    customer_id,
    as_of
), outcome AS (
  SELECT
    *
  FROM (
    SELECT
      customer_id,
      cutoffs.as_of,
      at_us - EPOCH_US(cutoffs.as_of) AS ahead_us,
      "event_type_code",
      "exact_amount"
    FROM coded
    CROSS JOIN (
      SELECT
        as_of
      FROM (VALUES
        (CAST('2024-02-15 00:00:00' AS TIMESTAMP)),
        (CAST('2024-02-29 22:30:00' AS TIMESTAMP))) AS listed(as_of)
    ) AS cutoffs
  ) AS dated
  WHERE
    ahead_us >= 0 AND ahead_us < 5184000000000 AND "event_type_code" IN (1, 2)
), labels AS (
  SELECT
    customer_id,
    as_of,
    COUNT(*) AS n,
    SUM("exact_amount") AS total
  FROM outcome
  GROUP BY
    customer_id,
    as_of
)
SELECT
  population.customer_id,
  population.as_of AS as_of,
  CAST(by_customer.recency AS DOUBLE) / 86400000000 AS recency,
  CAST(COALESCE(labels.total, 0) AS DOUBLE) AS label
FROM population
LEFT JOIN by_customer
  USING (customer_id, as_of)
LEFT JOIN labels
  USING (customer_id, as_of)
ORDER BY
  population.customer_id,
  population.as_of
