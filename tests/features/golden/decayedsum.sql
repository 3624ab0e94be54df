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
    CAST(CASE event_type WHEN 'view' THEN 1 END AS SMALLINT) AS "event_type_code"
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
    SUM(
      CAST("exact_amount" AS DECIMAL(38, 6)) * CAST(ROUND(
        POWER(0.5, (
          CAST(age_us AS DOUBLE) / CAST(10368000000000 AS DOUBLE)
        )) * 1000000000000
      ) AS BIGINT)
    ) AS decayed_sum_120d_amount
  FROM history
  WHERE
    NOT "exact_amount" IS NULL
  GROUP BY
    customer_id,
    as_of
), by_view_lately AS (
  SELECT
    customer_id,
    as_of,
    SUM(
      CASE
        WHEN age_us <= 7776000000000
        THEN CAST("exact_quantity" AS DECIMAL(38, 6)) * CAST(ROUND(
          POWER(0.5, (
            CAST(age_us AS DOUBLE) / CAST(2419200000000 AS DOUBLE)
          )) * 1000000000000
        ) AS BIGINT)
      END
    ) AS decayed_sum_4w_quantity_view_90d
  FROM history
  WHERE
    "event_type_code" = 1 AND age_us <= 7776000000000
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(COALESCE(by_customer_with_amount.decayed_sum_120d_amount, 0) AS DOUBLE) / CAST(1000000000000 AS DOUBLE) AS decayed_sum_120d_amount,
  CAST(COALESCE(by_view_lately.decayed_sum_4w_quantity_view_90d, 0) AS DOUBLE) / CAST(1000000000000 AS DOUBLE) AS decayed_sum_4w_quantity_view_90d
FROM by_customer
LEFT JOIN by_customer_with_amount
  USING (customer_id, as_of)
LEFT JOIN by_view_lately
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
