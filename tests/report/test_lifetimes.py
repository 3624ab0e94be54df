"""The matrices of frequency and recency hold the model's own answers, and are white where nobody can be."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import crmml as cm

pytest.importorskip("matplotlib")
BG = cm.BGNBD.from_parameters({"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426})
BB = cm.BetaGeometricBetaBinomial.from_parameters({"alpha": 1.204, "beta": 0.75, "gamma": 0.657, "delta": 2.783})


def matrices(model: Any, **options: Any) -> list[Any]:
    figure = cm.frequency_recency_figure(model, **options)
    return [axes.images[0].get_array() for axes in figure.axes[:2]]


def test_the_cells_are_the_model_s_answers() -> None:
    alive, expected = matrices(BG, seen=30, horizon=13, most=8)
    assert alive.shape == expected.shape == (61, 9)  # steps of half a week, 0 to 8 purchases
    # Silent for 5 of 30 weeks, 4 repeat purchases; 29.5 is the last step at which somebody bought again.
    for row, x, t_x in ((10, 4, 25.0), (0, 8, 30.0), (59, 1, 0.5)):
        X = pd.DataFrame({"x": [x], "t_x": [t_x], "T": [30.0]})
        assert alive[row, x] == pytest.approx(BG.p_alive(X)[0])
        assert expected[row, x] == pytest.approx(BG.expected_purchases(X, 13)[0])


def test_who_never_came_back_is_in_one_corner_only() -> None:
    alive, _ = matrices(BG, seen=30, horizon=13, most=8)
    there = ~np.ma.getmaskarray(np.ma.masked_invalid(alive))
    assert there[:-1, 1:].all()
    assert not there[:-1, 0].any()
    assert there[-1].tolist() == [True] + [False] * 8
    assert alive[-1, 0] == 1.0  # of BG/NBD, who sees nobody leave before a repeat purchase


def test_bg_bb_has_a_row_per_period_and_no_more_purchases_than_periods() -> None:
    alive, expected = matrices(BB, seen=6, horizon=5)
    there = ~np.ma.getmaskarray(np.ma.masked_invalid(expected))
    # Silent for s periods, x purchases: 1 <= x <= 6 - s, or none at all for all 6.
    assert there.tolist() == [[s == 6 if x == 0 else x <= 6 - s for x in range(7)] for s in range(7)]
    X = pd.DataFrame({"x": [3], "t_x": [5], "n": [6]})
    assert alive[1, 3] == pytest.approx(BB.p_alive(X)[0])
    assert expected[1, 3] == pytest.approx(BB.expected_purchases(X, 5)[0])


def test_probabilities_share_one_scale_and_time_runs_down() -> None:
    figure = cm.frequency_recency_figure(
        cm.MBGNBD.from_parameters(dict(zip(("r", "alpha", "a", "b"), [1.0] * 4, strict=True))), seen=10, horizon=1
    )
    left, right = figure.axes[:2]
    assert left.images[0].get_clim() == (0.0, 1.0)
    assert right.images[0].get_clim()[0] == 0.0
    bottom, top = left.get_ylim()
    assert bottom > top
    assert left.get_ylabel() == "Time since the last purchase"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cm.frequency_recency_figure(cm.GammaGamma(), seen=39, horizon=13),  # type: ignore[arg-type]
         "frequency_recency_figure: GammaGamma knows no frequency and recency. "
         "Use a BGNBD, MBGNBD, ParetoNBD or BetaGeometricBetaBinomial."),
        (lambda: cm.frequency_recency_figure(BG, seen=0, horizon=13),
         "frequency_recency_figure: seen=0 must be a number above 0. Use seen=39."),
        (lambda: cm.frequency_recency_figure(BG, seen=39, horizon=-1),
         "frequency_recency_figure: horizon=-1 must be a number above 0. Use horizon=39."),
        (lambda: cm.frequency_recency_figure(BB, seen=6, horizon=1.5),
         "BetaGeometricBetaBinomial.expected_purchases: horizon=1.5 must be a whole number of periods. Use horizon=2."),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(call: Any, words: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        call()
    assert str(caught.value) == words


def test_a_model_that_is_not_fitted_is_refused() -> None:
    with pytest.raises(NotFittedError):
        cm.frequency_recency_figure(cm.BGNBD(), seen=39, horizon=13)


def test_without_matplotlib_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(cm.MissingExtraError) as caught:
        cm.frequency_recency_figure(BG, seen=39, horizon=13)
    assert str(caught.value) == (
        "frequency_recency_figure() needs the package 'matplotlib'. Install it with: pip install \"crmml[plot]\""
    )
