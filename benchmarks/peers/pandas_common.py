"""The common features in pandas, vectorised: group-bys of filtered frames; see `pandas_vectors`."""

from datetime import datetime
from pathlib import Path

import pandas as pd
from benchmarks.peers.pandas_vectors import (
    DAY,
    TYPES,
    Columns,
    by_customer,
    day_pairs,
    entropy,
    last,
    pairs,
    per,
    read,
    sessions,
    size,
    slope,
    weekend,
)

WINDOWS = (365, 180, 90, 30)
CHANNELS = ("web", "app", "shop", "phone")


def build(path: Path, as_of: datetime) -> pd.DataFrame:
    """One row per customer; see the package."""
    events = read(path, as_of)
    parts = {kind: events[events["kind"] == kind] for kind in TYPES}
    bought = parts["purchase"]
    table: Columns = {"recency": by_customer(events).min() / DAY, "tenure": by_customer(events).max() / DAY}
    table |= {f"recency_{kind}": by_customer(part).min() / DAY for kind, part in parts.items()}
    table["tenure_purchase"] = by_customer(bought).max() / DAY
    table |= {**counts(events, parts), **amounts(events, bought), **purchases(bought)}
    table |= {**variety(events, table["count_180d"]), **channels(events)}
    table["trend_view_180d"] = slope(parts["view"], 180)
    return pd.DataFrame(table).rename_axis("customer")


def counts(events: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> Columns:
    """Numbers of events, each window cut from the next longer one."""
    found: Columns = {}
    year = last(events, 365)
    ways = {f"count_{channel}": year[year["channel"] == channel] for channel in CHANNELS}
    for label, part in {"count": year, **{f"count_{kind}": of for kind, of in parts.items()}, **ways}.items():
        for days in WINDOWS:
            part = last(part, days)  # noqa: PLW2901
            found[f"{label}_{days}d"] = size(part)
    return found


def amounts(events: pd.DataFrame, bought: pd.DataFrame) -> Columns:
    """Sums of money, and what a purchase is worth."""
    paid = last(events[events["revenue"].notna()], 365)
    found: Columns = {"trend_amount_180d": slope(paid, 180, "revenue")}
    ways = {f"sum_amount_{channel}": paid[paid["channel"] == channel] for channel in CHANNELS}
    for label, part in {"sum_amount": paid, **ways}.items():
        for days in WINDOWS:
            part = last(part, days)  # noqa: PLW2901
            found[f"{label}_{days}d"] = by_customer(part, "revenue").sum()
    part = bought
    for days in WINDOWS:
        part = last(part, days)
        both = by_customer(part, "revenue").agg(["sum", "mean"])
        found[f"sum_amount_purchase_{days}d"], found[f"mean_amount_purchase_{days}d"] = both["sum"], both["mean"]
    return found


def purchases(bought: pd.DataFrame) -> Columns:
    """All purchases: how much, and in what rhythm."""
    revenue = by_customer(bought, "revenue")
    ordered = bought[["customer", "age"]].sort_values(["customer", "age"], ascending=[True, False])
    same = ordered["customer"].cat.codes.diff() == 0
    gaps = by_customer(ordered.assign(gap=-ordered["age"].diff() / DAY)[same], "gap")
    return {
        "std_amount_purchase": revenue.std(),
        "median_amount_purchase": revenue.median(),
        "quantile_90_amount_purchase": revenue.quantile(0.9),
        "gap_mean_purchase": gaps.mean(),
        "gap_std_purchase": gaps.std(),
        "gap_median_purchase": gaps.median(),
        "gap_last_purchase": gaps.last(),
        "trend_purchase_180d": slope(bought, 180),
        "weekday_share_saturday_or_sunday_purchase": per(size(bought[weekend(bought)]), size(bought)),
    }


def variety(events: pd.DataFrame, n: pd.Series) -> Columns:
    """Hours, days, items and visits; `n` events in 180 days."""
    half, year = last(events, 180), last(events, 365)
    hour = (-half["age"] // (DAY // 24)) % 24
    # The youngest event of each pair tells in which windows the item is.
    items = year.groupby(["customer", "item"], observed=True, sort=False)["age"].agg(["min", "size"]).reset_index()
    items = items.rename(columns={"min": "age", "size": "n"})
    days = day_pairs(year, DAY)
    found = {
        "hour_share_18_24_180d": per(size(half[hour >= 18]), n),
        "hour_share_0_6_180d": per(size(half[hour < 6]), n),
        "weekday_share_saturday_or_sunday_180d": per(size(half[weekend(half)]), n),
        "entropy_item_id_365d": entropy(items),
    }
    for length in WINDOWS:
        items, days = last(items, length), days[days["age"] < length]
        found[f"nunique_item_id_{length}d"], found[f"days_active_{length}d"] = size(items), size(days)
    visits = sessions(half)
    return found | {name: visits[name] for name in visits if name != "sessions_count_30d"}


def channels(events: pd.DataFrame) -> Columns:
    """How evenly events spread over channels, and the first and the last."""
    names, where = events["channel"].cat.categories, events["channel"].cat.codes
    newest, oldest = by_customer(events).idxmin(), by_customer(events).idxmax()
    return {
        "entropy_channel_365d": entropy(pairs(last(events, 365), "channel")),
        "first_channel": pd.Series(names[where.loc[oldest]], index=oldest.index),
        "latest_channel": pd.Series(names[where.loc[newest]], index=newest.index),
    }
