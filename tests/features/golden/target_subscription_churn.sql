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
), population AS (
  SELECT
    customer_id,
    as_of
  FROM history
  WHERE
    "event_type_code" = 1 OR "event_type_code" = 2
  GROUP BY
    customer_id,
    as_of
  HAVING
    MIN(CASE WHEN "event_type_code" = 1 THEN age_us END) <= 2678400000000
    AND COALESCE(
      MIN(CASE WHEN "event_type_code" = 2 THEN age_us END) > MIN(CASE WHEN "event_type_code" = 1 THEN age_us END),
      TRUE
    )
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
      "event_type_code"
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
    ahead_us >= -2678400000000
    AND ahead_us < 5184000000000
    AND "event_type_code" IN (1, 2)
), payments_1 AS (
  SELECT
    customer_id,
    as_of,
    ahead_us,
    LAG(ahead_us) OVER (PARTITION BY customer_id, as_of ORDER BY ahead_us) AS before_us
  FROM outcome
  WHERE
    "event_type_code" = 1
), renewed_1 AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN ahead_us < 0 THEN ahead_us END) AS paid_us,
    MAX(ahead_us) AS last_us,
    MAX((
      ahead_us - before_us
    )) AS longest_us
  FROM payments_1
  GROUP BY
    customer_id,
    as_of
), ended_1 AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN ahead_us >= 0 THEN 1 END) AS n,
    MAX(CASE WHEN ahead_us < 0 THEN ahead_us END) AS ended_us
  FROM outcome
  WHERE
    "event_type_code" = 2
  GROUP BY
    customer_id,
    as_of
), labels AS (
  SELECT
    renewed_1.customer_id,
    renewed_1.as_of,
    CASE
      WHEN COALESCE(longest_us, 0) > 2678400000000
      OR 5184000000000 - renewed_1.last_us > 2678400000000
      OR ended_1.ended_us >= renewed_1.paid_us
      OR ended_1.n > 0
      THEN 1
      ELSE 0
    END AS n,
    0 AS total
  FROM renewed_1
  LEFT JOIN ended_1
    USING (customer_id, as_of)
)
SELECT
  population.customer_id,
  population.as_of AS as_of,
  CAST(by_customer.recency AS DOUBLE) / 86400000000 AS recency,
  CAST(CASE WHEN COALESCE(labels.n, 0) > 0 THEN 1 ELSE 0 END AS BIGINT) AS label
FROM population
LEFT JOIN by_customer
  USING (customer_id, as_of)
LEFT JOIN labels
  USING (customer_id, as_of)
ORDER BY
  population.customer_id,
  population.as_of
