"""Migrations, dwell times, drift: right on small tables, covered as promised, silent where nothing changes."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import brunnermunzel

import crmml as cm
from crmml.insight.drift import _more_than_chance, _shift, _stability
from crmml.insight.migrations import clustered_share
from tests.insight.made_segments import CUTOFFS, stable_world

DATES = ["2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31", "2024-04-30"]  # 30 days apart
SEGMENTS = {"a": "alpha", "b": "beta", "c": "gamma"}


def assigned(**paths: str) -> pd.DataFrame:
    """Who was where at each date: a letter is a segment, a dot is absence, a hyphen a missing segment."""
    rows = [
        (customer, DATES[step], SEGMENTS.get(letter))
        for customer, path in paths.items()
        for step, letter in enumerate(path)
        if letter != "."
    ]
    return pd.DataFrame(rows, columns=["customer_id", "as_of", "segment"])


def moves(found: cm.Migrations) -> dict[tuple[str, str], int]:
    rows = found.matrix[found.matrix["customers"] > 0]
    return {(row["from_segment"], row["to_segment"]): row["customers"] for row in rows.to_dict("records")}


def test_every_way_is_counted() -> None:
    found = cm.migrations(assigned(anna="aab", ben="ab.", carl=".a-", dora="..c"))
    assert moves(found) == {
        ("alpha", "alpha"): 1,  # anna
        ("alpha", "beta"): 2,  # anna, ben
        ("alpha", "(none)"): 1,  # carl
        ("beta", "(absent)"): 1,  # ben
        ("(absent)", "alpha"): 1,  # carl
        ("(absent)", "gamma"): 1,  # dora, who is not counted from (absent) to (absent)
    }
    row = found.matrix.set_index(["from_segment", "to_segment"])["share"]
    assert row["alpha", "beta"] == 2 / 4
    first = found.shares[found.shares["as_of"] == found.cutoffs[0]].set_index("segment")
    assert first["customers"].to_dict() == {"alpha": 2, "beta": 0, "gamma": 0, "(none)": 0}
    step = found.counts[found.counts["as_of"] == found.cutoffs[1]]
    assert step["customers"].sum() == 4  # anna, ben, carl, dora at the second step


PATHS = st.lists(st.text("abc.-", min_size=3, max_size=3), min_size=1, max_size=8).filter(
    lambda paths: any(path[0] != "." for path in paths) and all(any(p[i] != "." for p in paths) for i in range(3))
)


@settings(max_examples=20)
@given(PATHS)
def test_migrations_are_those_of_plain_python(paths: list[str]) -> None:
    table = assigned(**{f"c{number}": path for number, path in enumerate(paths)})
    names = {**SEGMENTS, ".": "(absent)", "-": "(none)"}
    expected: dict[tuple[str, str], int] = {}
    for path in paths:
        for before, after in ((path[0], path[1]), (path[1], path[2])):
            if (before, after) != (".", "."):
                way = (names[before], names[after])
                expected[way] = expected.get(way, 0) + 1
    found = cm.migrations(pa.Table.from_pandas(table.sample(frac=1, random_state=0), preserve_index=False))
    assert moves(found) == expected
    assert found.matrix.groupby("from_segment")["share"].sum().to_numpy() == pytest.approx(1.0)
    assert (found.matrix["lo"] <= found.matrix["share"]).all()
    assert (found.matrix["share"] <= found.matrix["hi"]).all()


def test_intervals_know_that_customers_come_again() -> None:
    """The same share of the same number of moves: of customers of one kind each, it is known less well."""
    alike = clustered_share(np.full(100, 5), np.full(100, 10), 0.95)
    two_kinds = clustered_share(np.array([10, 0] * 50), np.full(100, 10), 0.95)
    independent = clustered_share(np.array([1, 0] * 500), np.ones(1000, dtype=int), 0.95)
    width = {name: high - low for name, (_, low, high) in
             {"alike": alike, "two": two_kinds, "independent": independent}.items()}  # fmt: skip
    assert width["two"] == pytest.approx(np.sqrt(10) * width["independent"], rel=0.05)
    assert clustered_share(np.array([3]), np.array([3]), 0.95) == (1.0, 0.0, 1.0)  # one customer says nothing
    low = clustered_share(np.zeros(50, dtype=int), np.full(50, 10), 0.95)
    assert low[:2] == (0.0, 0.0)
    assert 3 / 500 < low[2] < 0.1  # 50 customers, not 500 moves


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Customers with rates of their own, beta(1, 3), mean 1/4; 300 times, nominal 95 %: within 3 standard errors."""
    random, held = np.random.default_rng(0), 0
    for _ in range(300):
        trials = random.integers(1, 12, size=80)
        hits = random.binomial(trials, random.beta(1, 3, size=80))
        _, low, high = clustered_share(hits, trials, 0.95)
        held += low <= 0.25 <= high
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300) <= held / 300 <= 1.0


# Dwell times ----------------------------------------------------------------------------------------------


def test_stays_are_those_whose_beginning_was_seen() -> None:
    found = cm.dwell_times(assigned(anna="abbbc", ben="bbacc", carl="..b.a", dora="abbbb"))
    # beta: anna 90 days and over, carl 30 days and over, dora 90 days (31 January to 30 April) and not over.
    # gamma: ben 30 days, not over; anna and carl came somewhere at the last cutoff, and were not watched.
    stays = found.table.set_index("segment")
    assert stays[["stays", "ended"]].to_dict("index") == {
        "alpha": {"stays": 1, "ended": 1},  # ben
        "beta": {"stays": 3, "ended": 2},
        "gamma": {"stays": 1, "ended": 0},
    }
    curve = found.curves[found.curves["segment"] == "beta"].set_index("days")
    assert curve["at_risk"].to_dict() == {30.0: 3, 90.0: 2}
    assert curve["stays"].to_dict() == pytest.approx({30.0: 2 / 3, 90.0: 2 / 3 * 1 / 2})
    assert stays.loc["beta", "median"] == 90  # a third is at most half
    assert stays.loc["beta", "mean"] == pytest.approx(30 + 2 / 3 * 60)  # of the first 90 days
    assert np.isnan(stays.loc["gamma", "median"])
    assert (found.unseen, found.within) == (3, 90.0)  # anna, ben, dora were there before


def test_dwell_times_of_a_known_rate_are_found() -> None:
    """Each leaves with 25 % a step, for ever: the median is 3 steps (.75 ** 2 > .5 > .75 ** 3), watched for 10."""
    random, n, steps = np.random.default_rng(1), 3000, 12
    begin = random.integers(1, 6, size=n)
    length = random.geometric(0.25, size=n)
    at = np.arange(steps)
    inside = (at >= begin[:, None]) & (at < (begin + length)[:, None])
    who, when = np.nonzero(np.ones_like(inside))
    table = pd.DataFrame({"customer_id": who, "as_of": np.array(CUTOFFS)[when]})
    table["segment"] = np.where(inside[who, when], "in", "out")
    found = cm.dwell_times(table).table.set_index("segment").loc["in"]
    assert (found["median_lo"], found["median"], found["median_hi"]) == (90, 90, 90)
    # The mean of the first 10 steps: the sum of .75 ** k for k = 0 to 9, times 30 days.
    truth = 30 * (1 - 0.75**10) / 0.25
    assert found["mean_lo"] <= truth <= found["mean_hi"]
    assert found["mean_hi"] - found["mean_lo"] < 0.1 * truth


# Drift ----------------------------------------------------------------------------------------------------


def test_independent_sides_give_the_test_of_brunner_and_munzel() -> None:
    random = np.random.default_rng(0)
    old, new = random.normal(size=60), random.normal(0.5, 2, size=90)
    values = np.concatenate([old, new])
    side = np.arange(150) < 60
    found = _shift(values, side, values, ~side)
    reference = brunnermunzel(old, new)
    # Ours takes the variance about the mean without the -1 of each side, and fewer degrees of freedom.
    assert found["p_value"] == pytest.approx(reference.pvalue, rel=0.1)
    above = np.mean(new[:, None] > old) - np.mean(new[:, None] < old)
    assert found["effect"] == pytest.approx(above)


def test_the_same_customers_are_compared_as_such() -> None:
    """A small shift of everybody drowns among strangers, and is plain among the same customers."""
    random = np.random.default_rng(0)
    before = random.normal(size=200)
    after = before + 0.1 + random.normal(0, 0.05, size=200)
    everybody = np.ones(200, dtype=bool)
    same = _shift(before, everybody, after, everybody)
    half = np.arange(400) < 200
    both = np.concatenate([before, after])
    strangers = _shift(both, half, both, ~half)
    assert same["effect"] == strangers["effect"]
    assert same["p_value"] < 1e-6
    assert strangers["p_value"] > 0.1


def test_holm() -> None:
    # .05 / 4, / 3, / 2: the third fails, and nothing after it passes.
    assert _more_than_chance(np.array([0.01, np.nan, 0.03, 0.016, 0.04]), 0.05).tolist() == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert _more_than_chance(np.array([0.01, 0.02]), 0.05).all()


def test_the_stability_index() -> None:
    """Two tenths-bins at the median would be .5/.5; by hand on values 1 and 2: edges 1 and 2, bins <=1, <=2, above."""
    old, new = np.array([1.0] * 50 + [2.0] * 50), np.array([1.0] * 20 + [2.0] * 80)
    before, after = np.array([50.5, 50.5, 0.5]) / 101.5, np.array([20.5, 80.5, 0.5]) / 101.5
    assert _stability(old, new) == pytest.approx(((after - before) * np.log(after / before)).sum())
    assert _stability(old, old) == 0


def test_a_stable_world_gives_no_alarm_beyond_the_stated_rate() -> None:
    """60 worlds: with 5 % each, more than 8 alarms have a probability of .2 %; however small, a difference counts."""
    alarms = 0
    for seed in range(60):
        found = cm.segment_drift(*stable_world(300, 2, np.random.default_rng(seed)), least_share=0, least_shift=0)
        alarms += int(found.table["alarm"].any())
    assert alarms <= 8


def test_a_drift_is_found_where_it_is_and_only_there() -> None:
    found = cm.segment_drift(*stable_world(2000, 3, np.random.default_rng(5), later=0.4))
    said = {(row.as_of, row.segment, row.measure) for row in found.alarms.itertuples()}
    # Activity grows at the last cutoff: more in "high", fewer in "low"; noise goes with nothing.
    assert {(CUTOFFS[2], "high", "share"), (CUTOFFS[2], "low", "share")} <= said
    assert not {row for row in said if row[0] == CUTOFFS[1] or row[2] == "noise"}
    assert "2024-03-01 high: share " in str(found)


def test_effects_too_small_to_matter_are_no_alarm() -> None:
    tables = stable_world(2000, 3, np.random.default_rng(5), later=0.4)
    change = cm.segment_drift(*tables).table.set_index(["as_of", "segment", "measure"])["effect"]
    largest = float(change.abs().max())
    assert not len(cm.segment_drift(*tables, least_share=largest + 0.01, least_shift=largest + 0.01).alarms)


def test_the_baseline_may_be_chosen() -> None:
    assignments, _ = stable_world(200, 4, np.random.default_rng(0))
    found = cm.segment_drift(assignments, baseline=CUTOFFS[2])
    assert found.table["as_of"].unique().tolist() == [CUTOFFS[3]]


# What is refused ------------------------------------------------------------------------------------------

TWO = assigned(anna="ab", ben="bb")
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "one cutoff": (
        lambda: cm.migrations(assigned(anna="a")),
        cm.DataError,
        "migrations: the table has 1 cutoff, only that of 2024-01-01; 2 are needed. Assign the segments as of several "
        "cutoffs: cutoffs('2024-01-01', '2024-06-01', every='30d').",
    ),
    "two rows": (
        lambda: cm.migrations(pd.concat([TWO, TWO.head(1)])),
        cm.DataError,
        "migrations: customer 'anna' has two rows as of 2024-01-01. Keep one of them.",
    ),
    "another column": (
        lambda: cm.migrations(TWO, segment="segmnt"),
        cm.SchemaError,
        "migrations: the table has no segments in 'segmnt'. Did you mean 'segment'? It has: 'segment'.",
    ),
    "numbers": (
        lambda: cm.migrations(TWO.assign(segment=3)),
        cm.SchemaError,
        "migrations: 'segment' holds 3, which is no name. Make the segments texts: "
        "table.assign(segment=table['segment'].astype(str)).",
    ),
    "no moment": (
        lambda: cm.migrations(TWO.assign(as_of="soon")),
        cm.SchemaError,
        "migrations: as_of holds 'soon', which is no moment. Use moments such as '2024-06-01'.",
    ),
    "nobody": (
        lambda: cm.migrations(TWO.assign(customer_id=None)),
        cm.DataError,
        "migrations: some rows have no customer_id or no as_of. Drop them: table.dropna().",
    ),
    "two cutoffs are no stay": (
        lambda: cm.dwell_times(TWO),
        cm.DataError,
        "dwell_times: the table has 2 cutoffs, only those up to 2024-01-31; 3 are needed. Assign the segments as of "
        "several cutoffs: cutoffs('2024-01-01', '2024-06-01', every='30d').",
    ),
    "nobody moves": (
        lambda: cm.dwell_times(assigned(anna="aaa")),
        cm.DataError,
        "dwell_times: no stay began between two cutoffs. Give more cutoffs, or earlier ones.",
    ),
    "another baseline": (
        lambda: cm.segment_drift(TWO, baseline="2024-02-02"),
        cm.ConfigError,
        "segment_drift: baseline 2024-02-02 is none of the cutoffs of the table. Use one of them: 2024-01-01, "
        "2024-01-31.",
    ),
    "the last as baseline": (
        lambda: cm.segment_drift(TWO, baseline="2024-01-31"),
        cm.DataError,
        "segment_drift: no cutoff comes after the baseline 2024-01-31. Use an earlier baseline.",
    ),
    "a rate that is none": (
        lambda: cm.segment_drift(TWO, false_alarms=5),
        cm.ConfigError,
        "segment_drift: false_alarms is 5. Use a finite number above 0 and below 1, such as 0.05.",
    ),
    "features without numbers": (
        lambda: cm.segment_drift(TWO, TWO),
        cm.SchemaError,
        "segment_drift: features has no column of numbers. Give a table such as build_features makes.",
    ),
    "coverage in percent": (
        lambda: cm.migrations(TWO, coverage=95),
        cm.ConfigError,
        "migrations: coverage is 95. Use a finite number above 0 and below 1, such as 0.95.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str) -> None:
    make, error, message = REFUSED[name]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()
