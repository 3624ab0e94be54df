"""The hundred features of the benchmark, as plain data for the peers and as definitions for crmml.

python benchmarks/feature_list.py        # prints them, one a line
"""

from dataclasses import dataclass, field
from typing import Any

WINDOWS = ("30d", "90d", "180d", "365d")
OTHERS = ("view", "cart", "return", "search", "support")
TYPES = ("purchase", *OTHERS)
CHANNELS = ("web", "app", "shop", "phone")
BOUGHT: dict[str, Any] = {"event_type": "purchase"}
VIEWED: dict[str, Any] = {"event_type": "view"}


@dataclass(frozen=True)
class Feature:
    """One definition: the class, the name of its column, and the constructor's keywords."""

    verb: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """The definition of crmml."""
        import crmml as cm

        parameters = {
            key: value.build() if isinstance(value, Feature) else value for key, value in self.parameters.items()
        }
        return getattr(cm, self.verb)(**parameters)


def when() -> list[Feature]:
    """How long ago, and for how long."""
    return [
        Feature("Recency", "recency"),
        Feature("Tenure", "tenure"),
        *(Feature("Recency", f"recency_{kind}", {"event_type": kind}) for kind in TYPES),
        Feature("Tenure", "tenure_purchase", BOUGHT),
    ]


def how_many() -> list[Feature]:
    """Numbers of events."""
    every = [Feature("Count", f"count_{window}", {"window": window}) for window in WINDOWS]
    bought = [Feature("Count", f"count_purchase_{w}", {**BOUGHT, "window": w}) for w in WINDOWS]
    others = [
        Feature("Count", f"count_{kind}_{window}", {"event_type": kind, "window": window})
        for kind in OTHERS
        for window in ("30d", "180d")
    ]
    return [*every, Feature("Count", "count_purchase", BOUGHT), *bought, *others]


def how_much() -> list[Feature]:
    """Amounts and quantities."""
    amount: dict[str, Any] = {"column": "amount", **BOUGHT}
    units: dict[str, Any] = {"column": "quantity", **BOUGHT}
    nine_tenths: dict[str, Any] = {**amount, "q": 0.9}
    return [
        Feature("Sum", "sum_amount", {"column": "amount"}),
        *(Feature("Sum", f"sum_amount_{window}", {"column": "amount", "window": window}) for window in WINDOWS),
        Feature("Mean", "mean_amount_purchase", amount),
        Feature("Mean", "mean_amount_purchase_180d", {**amount, "window": "180d"}),
        *(Feature(verb, f"{verb.lower()}_amount_purchase", amount) for verb in ("Min", "Max", "Std")),
        Feature("Sum", "sum_quantity_purchase_180d", {**units, "window": "180d"}),
        Feature("Mean", "mean_quantity_purchase", units),
        Feature("Median", "median_amount_purchase", amount),
        Feature("Quantile", "quantile_90_amount_purchase", nine_tenths),
        Feature("Quantile", "quantile_90_amount_purchase_365d", {**nine_tenths, "window": "365d"}),
    ]


def how_regular() -> list[Feature]:
    """The time between purchases, and the direction of what customers do."""
    stats = ("mean", "std", "median", "last", "last_to_mean")
    return [
        *(Feature("Gap", f"gap_{stat}_purchase", {"stat": stat, **BOUGHT}) for stat in stats),
        Feature("Gap", "gap_mean_purchase_180d", {**BOUGHT, "window": "180d"}),
        Feature("Trend", "trend_purchase_180d", {**BOUGHT, "window": "180d"}),
        Feature("Trend", "trend_purchase_360d", {**BOUGHT, "window": "360d"}),
        Feature("Trend", "trend_amount_180d", {"column": "amount", "window": "180d"}),
        Feature("Trend", "trend_view_180d", {**VIEWED, "window": "180d"}),
        Feature("Change", "change_purchase_90d", {**BOUGHT, "window": "90d"}),
        Feature("Change", "change_amount_90d", {"column": "amount", "window": "90d"}),
        Feature("Change", "change_view_30d", {**VIEWED, "window": "30d"}),
    ]


def shares() -> list[Feature]:
    """Of what, through which channel, at which hours and days."""
    half: dict[str, Any] = {"window": "180d"}
    return [
        *(Feature("Share", f"share_{kind}_180d", {"event_type": kind, **half}) for kind in OTHERS),
        *(
            Feature("Share", f"share_purchase_{channel}_365d", {**BOUGHT, "channel": channel, "window": "365d"})
            for channel in CHANNELS
        ),
        Feature("HourShare", "hour_share_18_24_180d", {"hours": (18, 24), **half}),
        Feature("HourShare", "hour_share_0_6_180d", {"hours": (0, 6), **half}),
        Feature("WeekdayShare", "weekday_share_saturday_or_sunday_180d", half),
        Feature("WeekdayShare", "weekday_share_saturday_or_sunday_purchase", BOUGHT),
    ]


def how_broad() -> list[Feature]:
    """Distinct items and channels, and how evenly events spread over them."""
    item: dict[str, Any] = {"column": "item_id"}
    year: dict[str, Any] = {"column": "channel", "window": "365d"}
    return [
        Feature("NUnique", "nunique_item_id_purchase", {**item, **BOUGHT}),
        Feature("NUnique", "nunique_item_id_purchase_90d", {**item, **BOUGHT, "window": "90d"}),
        Feature("NUnique", "nunique_item_id_purchase_365d", {**item, **BOUGHT, "window": "365d"}),
        Feature("NUnique", "nunique_item_id_view_30d", {**item, **VIEWED, "window": "30d"}),
        Feature("NUnique", "nunique_item_id_view_180d", {**item, **VIEWED, "window": "180d"}),
        Feature("NUnique", "nunique_channel_365d", year),
        Feature("Entropy", "entropy_channel_365d", year),
        Feature("TopShare", "top_share_channel_365d", year),
        Feature("Entropy", "entropy_item_id_view_180d", {**item, **VIEWED, "window": "180d"}),
        Feature("TopShare", "top_share_item_id_purchase_365d", {**item, **BOUGHT, "window": "365d"}),
        Feature("RepeatShare", "repeat_share_item_id_purchase", {**item, **BOUGHT}),
    ]


def rhythms() -> list[Feature]:
    """Days, sessions and unbroken runs of activity."""
    month: dict[str, Any] = {"every": "30d"}
    half: dict[str, Any] = {"window": "180d"}
    return [
        *(Feature("DaysActive", f"days_active_{window}", {"window": window}) for window in WINDOWS),
        Feature("DaysActive", "days_active_purchase_365d", {**BOUGHT, "window": "365d"}),
        *(Feature("Sessions", f"sessions_{s}_180d", {"stat": s, **half}) for s in ("count", "length", "events")),
        Feature("Sessions", "sessions_count_30d", {"stat": "count", "window": "30d"}),
        Feature("Streak", "streak_current_by_30d", month),
        Feature("Streak", "streak_longest_by_30d", {"stat": "longest", **month}),
        Feature("Streak", "streak_current_by_30d_purchase", {**BOUGHT, **month}),
    ]


def what_follows() -> list[Feature]:
    """Steps of a customer's way, baskets, returns; first and last channel."""
    year: dict[str, Any] = {**BOUGHT, "window": "365d"}
    bought = Feature("Count", "count_purchase_90d", {**BOUGHT, "window": "90d"})
    viewed = Feature("Count", "count_view_90d", {**VIEWED, "window": "90d"})
    return [
        Feature("TimeTo", "time_to_2_purchase", {"nth": 2, **BOUGHT}),
        Feature(
            "ConversionRate",
            "conversion_rate_view_to_purchase_within_7d_180d",
            {**VIEWED, "to": "purchase", "within": "7d", "window": "180d"},
        ),
        Feature("ReturnRate", "return_rate_purchase_365d", year),
        Feature("Basket", "basket_items_purchase_365d", {"stat": "items", **year}),
        Feature("Basket", "basket_value_purchase_365d", {"stat": "value", **year}),
        Feature("Ratio", "count_purchase_90d_per_count_view_90d", {"numerator": bought, "denominator": viewed}),
        Feature("First", "first_channel", {"column": "channel"}),
        Feature("Latest", "latest_channel", {"column": "channel"}),
    ]


FEATURES: tuple[Feature, ...] = (
    *when(),
    *how_many(),
    *how_much(),
    *how_regular(),
    *shares(),
    *how_broad(),
    *rhythms(),
    *what_follows(),
)
NAMES = tuple(feature.name for feature in FEATURES)

if __name__ == "__main__":
    for each in FEATURES:
        print(f"{each.verb:<15}{each.name:<50}{each.parameters or ''}")
