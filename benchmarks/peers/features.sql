-- The hundred features by hand. The three steps that read the log stand in duckdb_sql.py: `history`, every event of
-- every customer in order of time, newest or oldest first; `paid`, purchases and what else has an amount, in the same
-- order; `viewed`, the views of 180 days in any order. NEWER and OLDER are LAG and LEAD, or the other way round.
-- `age` is the time to the cutoff in microseconds; kinds are purchase 0, view 1, cart 2, return 3, search 4, support 5.
steps AS (
  SELECT customer, age, kind, channel, NEWER(customer) OVER () AS customer_newer, NEWER(age) OVER () AS age_newer,
    OLDER(customer) OVER () AS customer_older
  FROM history
),
ever AS (
  SELECT customer, MIN(age) AS newest, MAX(age) AS oldest,
    MIN(CASE WHEN kind = 1 THEN age END) AS view, MIN(CASE WHEN kind = 2 THEN age END) AS cart,
    MIN(CASE WHEN kind = 3 THEN age END) AS return, MIN(CASE WHEN kind = 4 THEN age END) AS search,
    MIN(CASE WHEN kind = 5 THEN age END) AS support,
    MAX(CASE WHEN customer_older IS DISTINCT FROM customer THEN channel END) AS first_channel,
    MAX(CASE WHEN customer_newer IS DISTINCT FROM customer THEN channel END) AS latest_channel,
    -- One bit for each period of 30 days: five years of them.
    BIT_OR(1::BIGINT << ((age - 1) // days(30))) AS months
  FROM steps GROUP BY customer
),
-- From the newest event back, a window cuts no day and no session at its end.
year_steps AS (
  SELECT customer, age, kind, (now() - age) // days(1) AS day,
    CASE WHEN customer_newer = customer THEN age - age_newer END AS gap,
    CASE WHEN customer_newer = customer AND (now() - age_newer) // days(1) = (now() - age) // days(1) THEN NULL
         ELSE age END AS new_day
  FROM steps WHERE age <= days(365)
),
year AS (
  SELECT customer, COUNT(*) AS n, COUNT_IF(kind = 3) AS returned, COUNT(new_day) AS days
  FROM year_steps GROUP BY customer
),
half AS (
  SELECT customer, COUNT(*) AS n, COUNT_IF(age <= days(90)) AS n_90,
    COUNT_IF(age <= days(30)) AS n_30,
    COUNT_IF(kind = 1) AS view, COUNT_IF(kind = 1 AND age <= days(30)) AS view_30,
    COUNT_IF(kind = 1 AND age <= days(60)) AS view_60,
    COUNT_IF(kind = 1 AND age <= days(90)) AS view_90,
    -- A least-squares slope over six periods is linear in the events: one weighted sum.
    SUM(CASE WHEN kind = 1 THEN 5 - 2 * ((age - 1) // days(30)) END) AS view_trend,
    COUNT_IF(kind = 2) AS cart, COUNT_IF(kind = 2 AND age <= days(30)) AS cart_30,
    COUNT_IF(kind = 3) AS return,
    COUNT_IF(kind = 3 AND age <= days(30)) AS return_30,
    COUNT_IF(kind = 4) AS search,
    COUNT_IF(kind = 4 AND age <= days(30)) AS search_30,
    COUNT_IF(kind = 5) AS support,
    COUNT_IF(kind = 5 AND age <= days(30)) AS support_30,
    COUNT_IF((now() - age) // 3600000000 % 24 >= 18) AS evening,
    COUNT_IF((now() - age) // 3600000000 % 24 < 6) AS night,
    COUNT_IF((day + 3) % 7 >= 5) AS weekend, -- day 0 was a Thursday
    COUNT(CASE WHEN gap <= 1800000000 THEN NULL ELSE 1 END) AS sessions,
    COUNT(CASE WHEN gap <= 1800000000 OR age > days(30) THEN NULL ELSE 1 END) AS sessions_30,
    COALESCE(SUM(CASE WHEN gap <= 1800000000 THEN gap END), 0) / 60000000 AS minutes,
    COUNT(new_day) AS days, COUNT_IF(new_day <= days(90)) AS days_90,
    COUNT_IF(new_day <= days(30)) AS days_30
  FROM year_steps WHERE age <= days(180) GROUP BY customer
),
money AS (
  SELECT customer, SUM(revenue) AS ever, SUM(CASE WHEN age <= days(365) THEN revenue END) AS y,
    SUM(CASE WHEN age <= days(180) THEN revenue END) AS h, SUM(CASE WHEN age <= days(90) THEN revenue END) AS q,
    SUM(CASE WHEN age <= days(30) THEN revenue END) AS m,
    SUM(CASE WHEN age <= days(180) THEN revenue * (5 - 2 * ((age - 1) // days(30))) END) AS trend
  FROM paid GROUP BY customer
),
bought_steps AS (
  SELECT customer, age, revenue, units, channel, (now() - age) // days(1) AS day,
    NEWER(customer) OVER () AS customer_newer, NEWER(age) OVER () AS age_newer,
    NEWER(customer, 2) OVER () AS customer_newer_yet, OLDER(customer) OVER () AS customer_older
  FROM paid WHERE bought
),
bought AS (
  SELECT customer, age, revenue, units, channel, day,
    CASE WHEN customer_newer = customer THEN age - age_newer END AS gap,
    CASE WHEN customer_newer = customer AND (now() - age_newer) // days(1) = day THEN NULL ELSE age END AS new_day,
    customer_newer_yet IS DISTINCT FROM customer AS at_end, customer_older IS DISTINCT FROM customer AS at_start
  FROM bought_steps
),
purchases AS (
  SELECT customer, MIN(age) AS newest, MAX(age) AS oldest, COUNT(*) AS n,
    COUNT_IF(age <= days(365)) AS y, COUNT_IF(age <= days(180)) AS h,
    COUNT_IF(age <= days(90)) AS q, COUNT_IF(age <= days(30)) AS m,
    AVG(revenue) AS mean, AVG(CASE WHEN age <= days(180) THEN revenue END) AS mean_h,
    MIN(revenue) AS least, MAX(revenue) AS most, STDDEV_SAMP(revenue) AS deviation,
    SUM(CASE WHEN age <= days(180) THEN units END) AS units_h, AVG(units) AS units,
    QUANTILE_CONT(revenue, [0.5, 0.9]) AS quantiles,
    QUANTILE_CONT(CASE WHEN age <= days(365) THEN revenue END, 0.9) AS quantile_y,
    SUM(CASE WHEN age <= days(180) THEN 5 - 2 * ((age - 1) // days(30)) END) AS trend_h,
    SUM(CASE WHEN age <= days(360) THEN 5 - 2 * ((age - 1) // days(60)) END) AS trend_y,
    COUNT_IF(channel = 'web' AND age <= days(365)) AS web,
    COUNT_IF(channel = 'app' AND age <= days(365)) AS app,
    COUNT_IF(channel = 'shop' AND age <= days(365)) AS shop,
    COUNT_IF(channel = 'phone' AND age <= days(365)) AS phone,
    COUNT_IF((day + 3) % 7 >= 5) AS weekend,
    BIT_OR(1::BIGINT << ((age - 1) // days(30))) AS months,
    STDDEV_SAMP(gap) / days(1) AS gap_deviation, MEDIAN(gap) / days(1) AS gap_median,
    MAX(CASE WHEN at_end THEN gap END) / days(1) AS gap_last,
    MAX(CASE WHEN at_start THEN gap END) / days(1) AS to_second,
    AVG(CASE WHEN age <= days(180) THEN gap END) / days(1) AS gap_h,
    COUNT_IF(new_day <= days(365)) AS days
  FROM bought GROUP BY customer
),
order_lines AS (
  SELECT customer, age, SUM(revenue) AS value FROM paid WHERE bought AND age <= days(365) GROUP BY customer, age, item
),
orders AS (
  SELECT customer, AVG(items) AS items, AVG(value) AS value
  FROM (SELECT customer, COUNT(*) AS items, SUM(value) AS value FROM order_lines GROUP BY customer, age)
  GROUP BY customer
),
bought_items AS (
  SELECT customer, COUNT(*) AS n, COUNT_IF(newest <= days(90)) AS q,
    COUNT_IF(newest <= days(365)) AS y, MAX(n_y) AS top, COUNT_IF(n > 1) AS again
  FROM (
    SELECT customer, MIN(age) AS newest, COUNT(*) AS n, COUNT_IF(age <= days(365)) AS n_y
    FROM paid WHERE bought GROUP BY customer, item
  )
  GROUP BY customer
),
viewed_items AS (
  SELECT customer, COUNT(*) AS h, COUNT_IF(newest <= days(30)) AS m,
    LN(SUM(n)) - SUM(n * LN(n)) / SUM(n) AS entropy
  FROM (SELECT customer, MIN(age) AS newest, COUNT(*) AS n FROM viewed GROUP BY customer, item)
  GROUP BY customer
),
channels AS (
  SELECT customer, COUNT(*) AS n, LN(SUM(n)) - SUM(n * LN(n)) / SUM(n) AS entropy, MAX(n) / SUM(n) AS top
  FROM (SELECT customer, COUNT(*) AS n FROM history WHERE age <= days(365) GROUP BY customer, channel)
  GROUP BY customer
)
SELECT ever.customer,
  ever.newest / days(1) AS recency, ever.oldest / days(1) AS tenure,
  purchases.newest / days(1) AS recency_purchase, ever.view / days(1) AS recency_view,
  ever.cart / days(1) AS recency_cart, ever.return / days(1) AS recency_return,
  ever.search / days(1) AS recency_search, ever.support / days(1) AS recency_support,
  purchases.oldest / days(1) AS tenure_purchase,
  COALESCE(half.n_30, 0) AS count_30d, COALESCE(half.n_90, 0) AS count_90d,
  COALESCE(half.n, 0) AS count_180d, COALESCE(year.n, 0) AS count_365d,
  COALESCE(purchases.n, 0) AS count_purchase, COALESCE(purchases.m, 0) AS count_purchase_30d,
  COALESCE(purchases.q, 0) AS count_purchase_90d, COALESCE(purchases.h, 0) AS count_purchase_180d,
  COALESCE(purchases.y, 0) AS count_purchase_365d,
  COALESCE(half.view_30, 0) AS count_view_30d, COALESCE(half.view, 0) AS count_view_180d,
  COALESCE(half.cart_30, 0) AS count_cart_30d, COALESCE(half.cart, 0) AS count_cart_180d,
  COALESCE(half.return_30, 0) AS count_return_30d, COALESCE(half.return, 0) AS count_return_180d,
  COALESCE(half.search_30, 0) AS count_search_30d, COALESCE(half.search, 0) AS count_search_180d,
  COALESCE(half.support_30, 0) AS count_support_30d, COALESCE(half.support, 0) AS count_support_180d,
  COALESCE(money.ever, 0) AS sum_amount, COALESCE(money.m, 0) AS sum_amount_30d,
  COALESCE(money.q, 0) AS sum_amount_90d, COALESCE(money.h, 0) AS sum_amount_180d,
  COALESCE(money.y, 0) AS sum_amount_365d,
  purchases.mean AS mean_amount_purchase, purchases.mean_h AS mean_amount_purchase_180d,
  purchases.least AS min_amount_purchase, purchases.most AS max_amount_purchase,
  purchases.deviation AS std_amount_purchase, COALESCE(purchases.units_h, 0) AS sum_quantity_purchase_180d,
  purchases.units AS mean_quantity_purchase, purchases.quantiles[1] AS median_amount_purchase,
  purchases.quantiles[2] AS quantile_90_amount_purchase, purchases.quantile_y AS quantile_90_amount_purchase_365d,
  (purchases.oldest - purchases.newest) / NULLIF(purchases.n - 1, 0) / days(1) AS gap_mean_purchase,
  purchases.gap_deviation AS gap_std_purchase, purchases.gap_median AS gap_median_purchase,
  purchases.gap_last AS gap_last_purchase, gap_last_purchase / NULLIF(gap_mean_purchase, 0) AS gap_last_to_mean_purchase,
  purchases.gap_h AS gap_mean_purchase_180d,
  COALESCE(purchases.trend_h, 0) * 6 / 210 AS trend_purchase_180d,
  COALESCE(purchases.trend_y, 0) * 6 / 210 AS trend_purchase_360d,
  COALESCE(money.trend, 0) * 6 / 210 AS trend_amount_180d, COALESCE(half.view_trend, 0) * 6 / 210 AS trend_view_180d,
  COALESCE(2 * purchases.q - purchases.h, 0) AS change_purchase_90d,
  2 * COALESCE(money.q, 0) - COALESCE(money.h, 0) AS change_amount_90d,
  COALESCE(2 * half.view_30 - half.view_60, 0) AS change_view_30d,
  half.view / half.n AS share_view_180d, half.cart / half.n AS share_cart_180d,
  half.return / half.n AS share_return_180d, half.search / half.n AS share_search_180d,
  half.support / half.n AS share_support_180d,
  purchases.web / NULLIF(purchases.y, 0) AS share_purchase_web_365d,
  purchases.app / NULLIF(purchases.y, 0) AS share_purchase_app_365d,
  purchases.shop / NULLIF(purchases.y, 0) AS share_purchase_shop_365d,
  purchases.phone / NULLIF(purchases.y, 0) AS share_purchase_phone_365d,
  half.evening / half.n AS hour_share_18_24_180d, half.night / half.n AS hour_share_0_6_180d,
  half.weekend / half.n AS weekday_share_saturday_or_sunday_180d,
  purchases.weekend / purchases.n AS weekday_share_saturday_or_sunday_purchase,
  COALESCE(bought_items.n, 0) AS nunique_item_id_purchase,
  COALESCE(bought_items.q, 0) AS nunique_item_id_purchase_90d,
  COALESCE(bought_items.y, 0) AS nunique_item_id_purchase_365d,
  COALESCE(viewed_items.m, 0) AS nunique_item_id_view_30d, COALESCE(viewed_items.h, 0) AS nunique_item_id_view_180d,
  COALESCE(channels.n, 0) AS nunique_channel_365d, channels.entropy AS entropy_channel_365d,
  channels.top AS top_share_channel_365d, viewed_items.entropy AS entropy_item_id_view_180d,
  bought_items.top / NULLIF(purchases.y, 0) AS top_share_item_id_purchase_365d,
  bought_items.again / bought_items.n AS repeat_share_item_id_purchase,
  COALESCE(half.days_30, 0) AS days_active_30d, COALESCE(half.days_90, 0) AS days_active_90d,
  COALESCE(half.days, 0) AS days_active_180d, COALESCE(year.days, 0) AS days_active_365d,
  COALESCE(purchases.days, 0) AS days_active_purchase_365d,
  COALESCE(half.sessions, 0) AS sessions_count_180d, half.minutes / half.sessions AS sessions_length_180d,
  half.n / half.sessions AS sessions_events_180d, COALESCE(half.sessions_30, 0) AS sessions_count_30d,
  BIT_COUNT(ever.months & ~(ever.months + 1)) AS streak_current_by_30d,
  LIST_MAX(LIST_TRANSFORM(STRING_SPLIT(BIN(ever.months), '0'), lambda run: LENGTH(run))) AS streak_longest_by_30d,
  COALESCE(BIT_COUNT(purchases.months & ~(purchases.months + 1)), 0) AS streak_current_by_30d_purchase,
  purchases.to_second AS time_to_2_purchase, conversions.rate AS conversion_rate_view_to_purchase_within_7d_180d,
  CASE WHEN purchases.y > 0 THEN COALESCE(year.returned, 0) / purchases.y END AS return_rate_purchase_365d,
  orders.items AS basket_items_purchase_365d, orders.value AS basket_value_purchase_365d,
  CASE WHEN half.view_90 > 0 THEN COALESCE(purchases.q, 0) / half.view_90 END AS count_purchase_90d_per_count_view_90d,
  ever.first_channel, ever.latest_channel
FROM ever
LEFT JOIN year USING (customer)
LEFT JOIN half USING (customer)
LEFT JOIN money USING (customer)
LEFT JOIN purchases USING (customer)
LEFT JOIN orders USING (customer)
LEFT JOIN bought_items USING (customer)
LEFT JOIN viewed_items USING (customer)
LEFT JOIN channels USING (customer)
LEFT JOIN conversions USING (customer)
