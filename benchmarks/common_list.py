"""The features that most people build: 110 of them, most of them counts and sums by type, channel and window.

Beside the list of `benchmarks.feature_list`, which holds less of each kind and more kinds that are costly: here are no
streaks, baskets, conversions, repeated items or quantiles of a window.

python -m benchmarks.common_list        # prints them, one a line
"""

from collections.abc import Mapping

from benchmarks.feature_list import BOUGHT, CHANNELS, TYPES, VIEWED, WINDOWS, Feature

HALF = {"window": "180d"}
YEAR = {"window": "365d"}
AMOUNT = {"column": "amount"}
ITEM = {"column": "item_id"}


def when() -> list[Feature]:
    """How long ago, and for how long."""
    return [
        Feature("Recency", "recency"),
        Feature("Tenure", "tenure"),
        *(Feature("Recency", f"recency_{kind}", {"event_type": kind}) for kind in TYPES),
        Feature("Tenure", "tenure_purchase", BOUGHT),
    ]


def by_window(verb: str, label: str, parameters: Mapping[str, object]) -> list[Feature]:
    """One definition in each of the four windows."""
    return [Feature(verb, f"{label}_{window}", {**parameters, "window": window}) for window in WINDOWS]


def counts_and_sums() -> list[Feature]:
    """Of all, by type and by channel, in four windows."""
    found = by_window("Count", "count", {})
    for kind in TYPES:
        found += by_window("Count", f"count_{kind}", {"event_type": kind})
    for channel in CHANNELS:
        found += by_window("Count", f"count_{channel}", {"channel": channel})
    found += by_window("Sum", "sum_amount", AMOUNT)
    found += by_window("Sum", "sum_amount_purchase", {**AMOUNT, **BOUGHT})
    for channel in CHANNELS:
        found += by_window("Sum", f"sum_amount_{channel}", {**AMOUNT, "channel": channel})
    return found


def values() -> list[Feature]:
    """What a purchase is worth, and how purchases lie in time."""
    money = {**AMOUNT, **BOUGHT}
    return [
        *by_window("Mean", "mean_amount_purchase", money),
        Feature("Std", "std_amount_purchase", money),
        Feature("Median", "median_amount_purchase", money),
        Feature("Quantile", "quantile_90_amount_purchase", {**money, "q": 0.9}),
        *(
            Feature("Gap", f"gap_{stat}_purchase", {"stat": stat, **BOUGHT})
            for stat in ("mean", "std", "median", "last")
        ),
        Feature("Trend", "trend_purchase_180d", {**BOUGHT, **HALF}),
        Feature("Trend", "trend_view_180d", {**VIEWED, **HALF}),
        Feature("Trend", "trend_amount_180d", {**AMOUNT, **HALF}),
    ]


def variety() -> list[Feature]:
    """Hours, days, items, channels and visits."""
    return [
        Feature("HourShare", "hour_share_18_24_180d", {"hours": (18, 24), **HALF}),
        Feature("HourShare", "hour_share_0_6_180d", {"hours": (0, 6), **HALF}),
        Feature("WeekdayShare", "weekday_share_saturday_or_sunday_180d", HALF),
        Feature("WeekdayShare", "weekday_share_saturday_or_sunday_purchase", BOUGHT),
        Feature("Entropy", "entropy_channel_365d", {"column": "channel", **YEAR}),
        Feature("Entropy", "entropy_item_id_365d", {**ITEM, **YEAR}),
        *by_window("NUnique", "nunique_item_id", ITEM),
        *by_window("DaysActive", "days_active", {}),
        *(
            Feature("Sessions", f"sessions_{stat}_180d", {"stat": stat, **HALF})
            for stat in ("count", "length", "events")
        ),
        Feature("First", "first_channel", {"column": "channel"}),
        Feature("Latest", "latest_channel", {"column": "channel"}),
    ]


FEATURES: tuple[Feature, ...] = (*when(), *counts_and_sums(), *values(), *variety())
NAMES = tuple(feature.name for feature in FEATURES)

if __name__ == "__main__":
    for each in FEATURES:
        print(f"{each.verb:<15}{each.name:<50}{each.parameters or ''}")
