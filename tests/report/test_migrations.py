"""The picture of migrations: bars and bands are as high as customers are many."""

import re

import pandas as pd
import pytest

import crmml as cm
from crmml.report.migrations import _layout, _names
from tests.insight.test_migrations import assigned


def test_bands_and_bars_are_as_high_as_customers_are_many() -> None:
    found = cm.migrations(assigned(anna="aab", ben="aaa", carl="ba.", dora=".bb"))
    names = _names(found)
    assert names == ["(absent)", "beta", "alpha"]  # from bottom to top
    bands, bars = _layout(found, names)
    # Four customers at the second cutoff are the most: each is a quarter.
    height = {(bar["x"], bar["segment"]): bar["height"] for bar in bars}
    assert height == {
        (0, "(absent)"): 1 / 4, (0, "beta"): 1 / 4, (0, "alpha"): 2 / 4,
        (1, "(absent)"): 0, (1, "beta"): 1 / 4, (1, "alpha"): 3 / 4,
        (2, "(absent)"): 1 / 4, (2, "beta"): 2 / 4, (2, "alpha"): 1 / 4,
    }  # fmt: skip
    step = {(b["from_segment"], b["to_segment"]): b["height"] for b in bands if b["x"] == 0}
    assert step == {("alpha", "alpha"): 2 / 4, ("beta", "alpha"): 1 / 4, ("(absent)", "beta"): 1 / 4}
    for bar in bars:  # no band leaves or reaches beyond its bar
        top = bar["bottom"] + bar["height"] + 1e-9
        for band in bands:
            if (band["x"], band["from_segment"]) == (bar["x"], bar["segment"]):
                assert bar["bottom"] <= band["left"] <= band["left"] + band["height"] <= top
            if (band["x"] + 1, band["to_segment"]) == (bar["x"], bar["segment"]):
                assert bar["bottom"] <= band["right"] <= band["right"] + band["height"] <= top


def test_labels_say_the_shares_of_their_own_cutoff() -> None:
    pytest.importorskip("matplotlib")
    figure = cm.migration_figure(cm.migrations(assigned(anna="ab", ben="ab", carl="bb", dora=".a", eva=".b")))
    said = {text.get_text() for text in figure.axes[0].texts}
    assert said == {"alpha 67%", "beta 33%", "(absent)", "alpha 20%", "beta 80%"}
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["2024-01-01", "2024-01-31"]


def test_what_no_picture_can_hold_is_refused() -> None:
    dates = pd.date_range("2024-01-01", periods=9, freq="30D")
    many = cm.migrations(pd.DataFrame({"customer_id": 1, "as_of": dates, "segment": "a"}))
    message = (
        "migration_figure: 9 cutoffs are too many for one picture. Use 8 at most: "
        "assignments[assignments['as_of'].isin(few)]."
    )
    with pytest.raises(cm.ConfigError, match=f"^{re.escape(message)}$"):
        cm.migration_figure(many)
    with pytest.raises(cm.ConfigError) as caught:
        cm.migration_figure("flow")  # type: ignore[arg-type]
    assert str(caught.value) == "migration_figure: migrations is 'flow'. Use what migrations(assignments) returns."
