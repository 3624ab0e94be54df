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
    CAST((
      EPOCH_US("timestamp" AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') + 2209593600000000
    ) // 86400000000 AS INT) AS "day_europe_berlin_99f0b5",
    CAST(amount AS DECIMAL(18, 6)) AS "exact_amount"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "event_type_code",
    "day_europe_berlin_99f0b5",
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
), by_customer AS (
  SELECT
    customer_id,
    as_of
  FROM history
  GROUP BY
    customer_id,
    as_of
), transactions_1 AS (
  SELECT
    customer_id,
    as_of,
    "day_europe_berlin_99f0b5" AS moment,
    COUNT(CASE WHEN "event_type_code" = 1 THEN 1 END) AS bought,
    COUNT(CASE WHEN "event_type_code" = 1 AND NOT "exact_amount" IS NULL THEN 1 END) AS priced,
    SUM("exact_amount") AS value
  FROM history
  WHERE
    "event_type_code" = 1 OR "event_type_code" = 2
  GROUP BY
    customer_id,
    as_of,
    "day_europe_berlin_99f0b5"
), transactions_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN bought > 0 THEN 1 END) AS n,
    MIN(CASE WHEN bought > 0 THEN moment END) AS first,
    MAX(CASE WHEN bought > 0 THEN moment END) AS last
  FROM transactions_1
  GROUP BY
    customer_id,
    as_of
), repeats_1 AS (
  SELECT
    transactions_1.customer_id,
    transactions_1.as_of,
    MAX(transactions_1_by_customer.n) AS n,
    MAX(transactions_1_by_customer.first) AS first,
    MAX(transactions_1_by_customer.last) AS last,
    SUM(
      CASE
        WHEN transactions_1.moment > transactions_1_by_customer.first
        THEN transactions_1.value
      END
    ) AS value,
    COUNT(
      CASE
        WHEN transactions_1.moment > transactions_1_by_customer.first
        AND transactions_1.priced > 0
        THEN 1
      END
    ) AS priced
  FROM transactions_1
  JOIN transactions_1_by_customer
    USING (customer_id, as_of)
  GROUP BY
    transactions_1.customer_id,
    transactions_1.as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  repeats_1.n,
  repeats_1.first,
  repeats_1.last,
  repeats_1.value,
  repeats_1.priced
FROM by_customer
LEFT JOIN repeats_1
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
