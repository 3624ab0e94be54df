"""The simulated log follows the laws that it states, and its truth is the truth of its events.

Statistical tests compare a mean with its expectation, in standard errors of that mean, written out; the seed is
fixed, so that they always pass or always fail. Four standard errors: 1 in 16,000 by chance.
"""

from datetime import UTC, date, datetime, timedelta
from math import isclose, pi, sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crmml as cm
from crmml.data.simulate import Simulated, simulate_log
from crmml.data.simulated.clock import BUSIEST, SEASON, YEAR, Clock

START, END = pd.Timestamp("2023-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")
SPAN = 731  # days: 365 + 366


@pytest.fixture(scope="module")
def big() -> Simulated:
    return simulate_log(20_000, seed=11)


def of(simulated: Simulated, kind: str) -> pd.DataFrame:
    return simulated.events[simulated.events["event_type"] == kind]


def with_truth(events: pd.DataFrame, simulated: Simulated, columns: list[str]) -> pd.DataFrame:
    """The events beside the traits of their customers; `_true` marks a trait that events also have."""
    return events.merge(simulated.truth[columns], left_on="customer_id", right_index=True, suffixes=("", "_true"))


def days(delta: "pd.Series[pd.Timedelta]") -> "pd.Series[float]":
    return delta / pd.Timedelta(days=1)


def z(sample: object, expected: float) -> float:
    """How many standard errors the mean of the sample is away from what is expected."""
    values = np.asarray(sample, dtype=float)
    return abs(float(values.mean()) - expected) / (float(values.std(ddof=1)) / sqrt(len(values)))


def season_between(first: "pd.Series[float]", last: "pd.Series[float]") -> "pd.Series[float]":
    """Integral of 1 + A cos(2 pi (t - busiest) / year) over days since 2023-01-01, in closed form."""

    def integral(t: "pd.Series[float]") -> "pd.Series[float]":
        return t + SEASON * YEAR / (2 * pi) * np.sin(2 * pi * (t - BUSIEST) / YEAR)

    return integral(last) - integral(first)


# The laws of the traits ---------------------------------------------------------------------------------------


def test_rates_are_gamma_distributed_around_one_purchase_in_40_days(big: Simulated) -> None:
    rate = big.truth["rate"]
    mean, shape = 1 / 40, 1.2
    assert z(rate, mean) < 4
    assert z((rate - mean) ** 2, mean**2 / shape) < 4  # the variance of a gamma is mean^2 / shape


def test_lifetimes_are_pareto_distributed(big: Simulated) -> None:
    """With exponential lifetimes whose rates are gamma(s, beta), P(life > x) = (beta / (beta + x))^s."""
    s, beta = 2.0, 2.0 * 250
    for x in (30, 100, 365):
        seen = big.truth[big.truth["arrival"] + pd.Timedelta(days=x) < END]  # the log reaches their day x
        alive = seen["dropout"].isna() | (seen["dropout"] - seen["arrival"] > pd.Timedelta(days=x))
        assert z(alive, (beta / (beta + x)) ** s) < 4, x


def test_purchases_are_poisson_at_the_rate_of_each_customer_and_the_season(big: Simulated) -> None:
    truth = big.truth
    bought = of(big, "purchase").groupby("customer_id").size().reindex(truth.index, fill_value=0)
    first, last = days(truth["arrival"] - START), days(truth["dropout"].fillna(END) - START)
    expected = truth["rate"] * season_between(first, last)
    further = bought - 1  # each customer begins with one purchase
    excess = further - expected
    assert abs(excess.sum()) < 4 * sqrt(expected.sum())  # a Poisson number has its mean as variance
    assert isclose((excess**2).sum() / expected.sum(), 1, abs_tol=0.05)


def test_december_is_busier_than_june_by_what_the_season_says(big: Simulated) -> None:
    later = of(big, "purchase").merge(big.truth["arrival"], left_on="customer_id", right_index=True)
    later = later[later["timestamp"] - later["arrival"] > pd.Timedelta(hours=12)]  # not the first purchases
    truth = big.truth
    first, last = days(truth["arrival"] - START), days(truth["dropout"].fillna(END) - START)
    for month in ("2023-12", "2024-06"):
        begin = days(pd.Series([pd.Timestamp(month, tz="UTC") - START])).iloc[0]
        end = begin + pd.Period(month).days_in_month
        expected = float((truth["rate"] * season_between(first.clip(begin, end), last.clip(begin, end))).sum())
        bought = int((later["timestamp"].dt.strftime("%Y-%m") == month).sum())
        # Purchases in the first half day are missing on one side: rate 1/40 x 0.5 for each who arrives then.
        missed = 0.5 / 40 * 1.5 * int((truth["arrival"].dt.strftime("%Y-%m") == month).sum())
        assert abs(bought - expected) < 4 * sqrt(expected) + missed, month


def test_quantities_returns_tastes_and_channels_have_their_shares(big: Simulated) -> None:
    bought = with_truth(of(big, "purchase"), big, ["taste", "second_taste", "channel", "mean_quantity"])
    assert z(bought["quantity"].astype(float) - bought["mean_quantity"], 0) < 4
    assert z(big.truth["mean_quantity"], 1.5) < 4
    assert z(big.truth["return_rate"], 0.8 / (0.8 + 9.2)) < 4
    # First taste: 55 % of sessions, and 1 in 12 of the 20 % that look at anything.
    assert z(bought["category"].astype(str) == bought["taste"].astype(str), 0.55 + 0.20 / 12) < 4
    assert z(bought["category"].astype(str) == bought["second_taste"].astype(str), 0.25 + 0.20 / 12) < 4
    # Preferred channel: 70 %, and its share among all of the other 30 %.
    for channel, share in {"web": 0.40, "app": 0.25, "shop": 0.20, "phone": 0.05, "social": 0.10}.items():
        fans = bought[bought["channel_true"] == channel]
        assert z(fans["channel"] == channel, 0.7 + 0.3 * share) < 4, channel
        assert z(big.truth["channel"] == channel, share) < 4, channel


def test_returned_share_is_the_customers_own(big: Simulated) -> None:
    """Of purchases old enough that 999 in 1000 of their returns are in the log: 1 + 10 ln(1000) = 70 days."""
    bought = of(big, "purchase")
    old = bought[bought["timestamp"] < END - pd.Timedelta(days=70)].join(big.truth["return_rate"], on="customer_id")
    back = old["order_id"].isin(of(big, "return")["order_id"])
    assert z(back - old["return_rate"], 0) < 4


def test_service_contacts_grow_frequent_before_drop_out(big: Simulated) -> None:
    """1 in 150 days always, and 1 in 20 days more in the last 45 days of those who leave."""
    gone = big.truth[big.truth["dropout"].notna()]
    gone = gone[gone["dropout"] - gone["arrival"] > pd.Timedelta(days=90)]
    contacts = of(big, "service").join(gone["dropout"], on="customer_id", how="inner")
    left = days(contacts["dropout"] - contacts["timestamp"])
    for begin, end, per_day in ((45, 90, 1 / 150), (0, 45, 1 / 150 + 1 / 20)):
        expected = len(gone) * 45 * per_day
        number = int(((left >= begin) & (left < end)).sum())
        assert abs(number - expected) < 4 * sqrt(expected), (begin, number, expected)


def test_surveys_get_worse_before_drop_out(big: Simulated) -> None:
    answers = of(big, "survey").join(big.truth[["dropout", "satisfaction"]], on="customer_id")
    assert answers["rating"].between(0, 10).all()
    below = answers["rating"].astype(float) - answers["satisfaction"]
    near = days(answers["dropout"] - answers["timestamp"]) < 45
    # 2.5 points on the mean, a little less because no answer is under 0.
    assert isclose(below[near].mean() - below[~near & answers["dropout"].notna()].mean(), -2.5, abs_tol=0.25)


def test_popular_items_follow_zipf(big: Simulated) -> None:
    counts = of(big, "purchase")["item_id"].value_counts()
    weights = [number**-0.8 for number in range(1, 26)]
    firsts = counts[counts.index.astype(str).str.endswith("-01")].sum()
    total = len(of(big, "purchase"))
    share = 1 / sum(weights)
    assert abs(firsts - total * share) < 4 * sqrt(total * share * (1 - share))
    assert big.items.groupby("category", observed=True)["popularity"].sum().round(12).eq(1).all()


def test_higher_plans_buy_more_and_upgrades_go_one_step(big: Simulated) -> None:
    rates = big.truth.groupby("plan", observed=True)["rate"].mean()
    assert rates["basic"] < rates["plus"] < rates["premium"]
    shares = big.truth["plan"].value_counts(normalize=True)
    assert shares.round(4).to_dict() == {"basic": 0.6, "plus": 0.3, "premium": 0.1}
    steps = {"basic": "plus", "plus": "premium"}
    joined = with_truth(big.events, big, ["plan", "upgrade"])
    after = joined["timestamp"] >= joined["upgrade"]
    assert (joined.loc[~after, "plan"] == joined.loc[~after, "plan_true"]).all()
    assert (joined.loc[after, "plan"].astype(str) == joined.loc[after, "plan_true"].astype(str).map(steps)).all()


# The laws of the events, whatever the seed --------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(0, 2**32), st.dates(date(1975, 1, 1), date(2060, 1, 1)), st.integers(1, 900))
def test_every_log_keeps_the_laws(customers: int, seed: int, start: date, length: int) -> None:
    end = start + timedelta(days=length)
    simulated = simulate_log(customers, start=start, end=end, seed=seed)
    events, truth = simulated.events, simulated.truth
    first, last = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
    assert events["timestamp"].is_monotonic_increasing
    assert events["timestamp"].between(first, last, inclusive="left").all()
    assert events["event_id"].tolist() == list(range(1, len(events) + 1))
    assert len(truth) == customers

    lives = events.join(truth[["arrival", "dropout"]], on="customer_id")
    assert (lives["timestamp"] >= lives["arrival"]).all()
    left = lives["timestamp"] > lives["dropout"]
    assert set(lives.loc[left, "event_type"]) <= {"return"}

    bought = of(simulated, "purchase")
    assert set(bought["customer_id"]) == set(truth.index)  # each customer buys at least once
    assert bought["order_id"].tolist() == list(range(1, len(bought) + 1))
    assert (bought["quantity"] >= 1).all()
    assert (bought["amount"] > 0).all()
    price = simulated.items["price"].reindex(bought["item_id"].astype(str)).to_numpy()
    assert np.allclose(bought["amount"], bought["quantity"].astype(float) * price, atol=0.005)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_returns_undo_an_earlier_purchase(seed: int) -> None:
    simulated = simulate_log(150, seed=seed)
    pairs = of(simulated, "return").merge(of(simulated, "purchase"), on="order_id", suffixes=("", "_bought"))
    assert len(pairs) == len(of(simulated, "return")) > 0
    assert pairs["order_id"].is_unique  # nothing is returned twice
    assert (pairs["timestamp"] - pairs["timestamp_bought"] >= pd.Timedelta(days=1)).all()
    assert (pairs["amount"] == -pairs["amount_bought"]).all()
    assert (pairs["quantity"] == -pairs["quantity_bought"]).all()
    for same in ("customer_id", "item_id", "channel"):
        assert (pairs[same] == pairs[f"{same}_bought"]).all()


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_sessions_run_visit_view_cart_purchase(seed: int) -> None:
    """Online purchases have a cart with the item before them, that a view of the item, that a visit."""
    simulated = simulate_log(40, seed=seed)
    events = simulated.events
    online = events["channel"].isin(["web", "app", "social"])
    assert set(events.loc[~online, "event_type"]) <= {"purchase", "return", "service", "survey"}
    last: dict[tuple[int, object, str], pd.Timestamp] = {}
    for event in events.loc[online].to_dict("records"):
        customer, item, kind = event["customer_id"], event["item_id"], event["event_type"]
        if kind == "view":
            assert (customer, None, "visit") in last
        if kind == "cart":
            assert (customer, item, "view") in last
        if kind == "purchase":
            assert event["timestamp"] - last[customer, item, "cart"] < pd.Timedelta(hours=3)
        last[customer, None if kind == "visit" else item, kind] = event["timestamp"]


def test_no_session_runs_past_drop_out_or_the_end(big: Simulated) -> None:
    """Of 20,000 customers, about 5 are in a session of 8 minutes when they leave: small logs would not show it."""
    lives = with_truth(big.events, big, ["dropout"])
    assert (lives["timestamp"] < END).all()
    assert set(lives.loc[lives["timestamp"] > lives["dropout"], "event_type"]) == {"return"}


def test_missing_values_stand_where_an_event_has_none(big: Simulated) -> None:
    columns = ["item_id", "amount", "quantity", "order_id", "rating"]
    has = big.events[columns].notna().groupby(big.events["event_type"], observed=True).mean()
    yes_no = {
        "visit": (0, 0, 0, 0, 0),
        "view": (1, 0, 0, 0, 0),
        "cart": (1, 0, 0, 0, 0),
        "purchase": (1, 1, 1, 1, 0),
        "return": (1, 1, 1, 1, 0),
        "service": (0, 0, 0, 0, 0),
        "survey": (1, 0, 0, 1, 1),
    }
    assert {kind: tuple(row) for kind, row in has.iterrows()} == yes_no
    assert (big.events["category"].isna() == big.events["item_id"].isna()).all()
    known = big.events.dropna(subset="item_id")
    assert (known["category"].astype(str) == known["item_id"].astype(str).str[:-3]).all()


# The clock ----------------------------------------------------------------------------------------------------


def test_the_clock_runs_one_day_a_day_on_the_mean_of_four_years() -> None:
    clock = Clock(pd.Timestamp("2023-01-01", tz="UTC"), 1461.0)  # four years with one leap day = 4 x 365.25
    assert isclose(float(clock.busy(np.array([1461.0]))[0]), 1461.0, rel_tol=1e-6)


def test_the_clock_never_reaches_the_end() -> None:
    for length in (1.0, 731.0, 36525.0, 365250.0):
        clock = Clock(pd.Timestamp("1023-01-01", tz="UTC"), length)
        moment = float(clock.moment(clock.busy(np.array([length])))[0])
        assert int(moment * 86_400_000_000) < length * 86_400_000_000  # in microseconds, as times are kept


def test_the_clock_knows_the_date_and_the_hour_of_its_start() -> None:
    """5 December has 1 + 0.35 times the activity; 20 o'clock has 21 times, 2 o'clock 1 time 224 / 24."""
    clock = Clock(pd.Timestamp("2023-12-05T18:00", tz="UTC"), 2.0)

    def activity(hours_later: float) -> float:
        edges = np.array([hours_later / 24, (hours_later + 1) / 24])
        return float(np.diff(clock.busy(edges))[0]) * 24

    assert isclose(activity(2), 1.35 * 21 / (224 / 24), rel_tol=1e-3)
    assert isclose(activity(8), 1.35 * 1 / (224 / 24), rel_tol=1e-3)


# Reproducibility, time, use -----------------------------------------------------------------------------------


def test_same_seed_same_log_other_seed_other_log() -> None:
    one, same, other = (simulate_log(50, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one.events, same.events)
    pd.testing.assert_frame_equal(one.truth, same.truth)
    pd.testing.assert_frame_equal(one.items, same.items)
    assert len(one.events) != len(other.events)


def test_start_and_end_are_utc_unless_they_say_otherwise() -> None:
    plain = simulate_log(50, start="2024-01-01", end="2024-07-01", seed=5)
    aware = simulate_log(50, start=datetime(2024, 1, 1, tzinfo=UTC), end=pd.Timestamp("2024-07-01T02:00+02:00"), seed=5)
    pd.testing.assert_frame_equal(plain.events, aware.events)
    assert str(plain.events["timestamp"].dtype) == "datetime64[us, UTC]"


def test_the_log_is_ready_to_use(big: Simulated) -> None:
    facts = big.log.facts
    assert facts.rows == len(big.events)
    assert facts.event_types == big.events["event_type"].value_counts().to_dict()
    assert facts.first == big.events["timestamp"].iloc[0]
    assert facts.last == big.events["timestamp"].iloc[-1]
    assert big.log.attributes == ("category", "order_id", "rating", "plan")


def test_repr_says_how_much_there_is() -> None:
    simulated = simulate_log(1200, start="2024-01-01", end="2024-01-02", seed=0)
    assert repr(simulated) == f"Simulated({len(simulated.events):,} events of 1,200 customers)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_customers": 0}, "n_customers must be a whole number of at least 1, not 0. Use 2000."),
        ({"n_customers": 2.5}, "n_customers must be a whole number of at least 1, not 2.5. Use 2000."),
        ({"n_customers": True}, "n_customers must be a whole number of at least 1, not True. Use 2000."),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1. Use 0."),
        ({"seed": "x"}, "seed must be a whole number of at least 0, not 'x'. Use 0."),
        ({"start": "soon"}, "start 'soon' is not a date or time. Use '2023-01-01'."),
        ({"end": None}, "end None is not a date or time. Use '2025-01-01'."),
        (
            {"start": "2024-01-01", "end": "2023-01-01"},
            (
                "from start 2024-01-01T00:00:00+00:00 to end 2023-01-01T00:00:00+00:00 is less than one day. "
                "Use an end such as '2025-12-31'."
            ),
        ),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(cm.ConfigError) as error:
        simulate_log(**arguments)
    assert str(error.value) == f"simulate_log: {message}"
