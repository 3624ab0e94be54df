-- sqlglot 30
WITH events AS (
  SELECT
    "user" AS customer_id,
    MAKE_TIMESTAMP(EPOCH_US("ts")) AS "timestamp",
    "kind" AS event_type,
    MAKE_TIMESTAMP(EPOCH_US("seen")) AS recorded_at,
    "plan",
    "taste"
  FROM log
), coded AS (
  SELECT
    customer_id,
    EPOCH_US("timestamp") AS at_us,
    EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us,
    "taste",
    "plan",
    CAST(CASE event_type WHEN 'purchase' THEN 1 END AS SMALLINT) AS "event_type_code"
  FROM events
), history AS (
  SELECT
    customer_id,
    as_of,
    EPOCH_US(as_of) - at_us AS age_us,
    "taste",
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
), by_purchase AS (
  SELECT
    customer_id,
    as_of,
    COUNT(CASE WHEN NOT "plan" IS NULL THEN 1 END) AS n_of_mean_vector_plan_purchase
  FROM history
  WHERE
    "event_type_code" = 1
  GROUP BY
    customer_id,
    as_of
), coordinates_1 AS (
  SELECT
    customer_id,
    as_of,
    SUM(CAST(CAST("taste"[1] AS DOUBLE) AS DECIMAL(18, 9))) AS sum_0,
    COUNT(*) AS n,
    SUM(CAST(CAST("taste"[2] AS DOUBLE) AS DECIMAL(18, 9))) AS sum_1
  FROM history
  WHERE
    age_us <= 7776000000000 AND NOT "taste" IS NULL
  GROUP BY
    customer_id,
    as_of
), words_1 AS NOT MATERIALIZED (
  SELECT
    customer_id,
    as_of,
    UNNEST(REGEXP_EXTRACT_ALL(LOWER("plan"), '[^	-/:-`{-¿‐-⁞⿰-〄〈-〟]+')) AS word
  FROM history
  WHERE
    "event_type_code" = 1 AND NOT "plan" IS NULL
), words_1_digests AS (
  SELECT
    word,
    MD5(word) AS digest
  FROM words_1
  GROUP BY
    word
), words_1_hashed AS (
  SELECT
    word,
    (
      (
        (
          (
            STRPOS('0123456789abcdef', SUBSTRING(digest, 1, 1)) - 1
          ) * 16 + (
            STRPOS('0123456789abcdef', SUBSTRING(digest, 2, 1)) - 1
          )
        ) * 16 + (
          STRPOS('0123456789abcdef', SUBSTRING(digest, 3, 1)) - 1
        )
      ) * 16 + (
        STRPOS('0123456789abcdef', SUBSTRING(digest, 4, 1)) - 1
      )
    ) % 2 AS place,
    CASE
      WHEN (
        STRPOS('0123456789abcdef', SUBSTRING(digest, 5, 1)) - 1
      ) < 8
      THEN 1
      ELSE -1
    END AS plus_or_minus
  FROM words_1_digests
), words_1_cells AS (
  SELECT
    customer_id,
    as_of,
    place,
    SUM(plus_or_minus) AS n
  FROM words_1
  JOIN words_1_hashed
    USING (word)
  GROUP BY
    customer_id,
    as_of,
    place
), words_1_by_customer AS (
  SELECT
    customer_id,
    as_of,
    MAX(CASE WHEN place = 0 THEN n END) AS at_0,
    MAX(CASE WHEN place = 1 THEN n END) AS at_1
  FROM words_1_cells
  GROUP BY
    customer_id,
    as_of
)
SELECT
  by_customer.customer_id,
  by_customer.as_of AS as_of,
  CAST(coordinates_1.sum_0 AS DOUBLE) / NULLIF(coordinates_1.n, 0) AS mean_vector_taste_90d_0,
  CAST(coordinates_1.sum_1 AS DOUBLE) / NULLIF(coordinates_1.n, 0) AS mean_vector_taste_90d_1,
  CAST(COALESCE(words_1_by_customer.at_0, 0) AS DOUBLE) / NULLIF(by_purchase.n_of_mean_vector_plan_purchase, 0) AS mean_vector_plan_purchase_0,
  CAST(COALESCE(words_1_by_customer.at_1, 0) AS DOUBLE) / NULLIF(by_purchase.n_of_mean_vector_plan_purchase, 0) AS mean_vector_plan_purchase_1
FROM by_customer
LEFT JOIN coordinates_1
  USING (customer_id, as_of)
LEFT JOIN by_purchase
  USING (customer_id, as_of)
LEFT JOIN words_1_by_customer
  USING (customer_id, as_of)
ORDER BY
  by_customer.customer_id,
  by_customer.as_of
