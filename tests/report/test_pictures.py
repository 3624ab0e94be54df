"""The pictures: they show the numbers of the tables, nothing overlaps, and no global setting changes."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crmml as cm
from crmml.report import pictures
from tests.report.made import churn_report, items_report, report_of, value_report

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def churn() -> cm.BacktestReport:
    return churn_report(5, 400)


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.get_lines()}


def test_every_task_has_its_pictures(churn: cm.BacktestReport) -> None:
    assert list(churn.figures()) == ["over_cutoffs", "gains", "lift", "calibration", "levels"]
    assert list(value_report(2, 100).figures()) == ["over_cutoffs", "gains", "value_deciles", "levels"]
    assert list(items_report(2, 50).figures()) == ["over_cutoffs", "metrics"]


def test_the_metric_over_cutoffs_is_the_table_s(churn: cm.BacktestReport) -> None:
    drawn = lines(churn.figures()["over_cutoffs"].axes[0])
    for label, contender in (("ChurnClassifier", "ChurnClassifier"), ("best rule: recency", "recency rule")):
        table = churn.table[churn.table["contender"] == contender]
        assert drawn[label].get_ydata().tolist() == table["auc"].tolist()


def test_calibration_is_the_table_s(churn: cm.BacktestReport) -> None:
    drawn = lines(churn.figures()["calibration"].axes[0])
    assert drawn["ChurnClassifier"].get_xdata().tolist() == churn.calibration["mean_predicted"].tolist()
    assert drawn["ChurnClassifier"].get_ydata().tolist() == churn.calibration["mean_actual"].tolist()
    assert list(drawn["perfect"].get_xdata()) == list(drawn["perfect"].get_ydata())


def test_gains_pass_through_the_deciles(churn: cm.BacktestReport) -> None:
    line = lines(churn.figures()["gains"].axes[0])["ChurnClassifier"]
    tenths = np.interp(np.linspace(0.1, 1, 10), line.get_xdata(), line.get_ydata())
    assert tenths == pytest.approx(churn.deciles["captured"].to_numpy())


def test_gains_of_value_may_pass_one_where_returns_weigh() -> None:
    made = value_report(1, 50)
    scores = made.scores.assign(y=lambda rows: rows["y"] - 20)
    axes = report_of(scores, "value", target="Spend('90d')").figures()["gains"].axes[0]
    top = lines(axes)["perfect order"].get_ydata().max()
    assert axes.get_ylim()[1] >= top > 1


def test_lift_bars_are_the_rates_over_the_average(churn: cm.BacktestReport) -> None:
    bars = churn.figures()["lift"].axes[0].containers[0]
    expected = churn.deciles["rate"] / churn.predictions["y"].mean()
    assert [bar.get_height() for bar in bars] == pytest.approx(expected.tolist())


def test_value_bars_are_the_table_s() -> None:
    report = value_report(2, 200)
    predicted, actual = report.figures()["value_deciles"].axes[0].containers
    assert [bar.get_height() for bar in predicted] == report.deciles["mean_predicted"].tolist()
    assert [bar.get_height() for bar in actual] == report.deciles["mean_actual"].tolist()


def test_model_and_rule_differ_without_colour(churn: cm.BacktestReport) -> None:
    for name in ("over_cutoffs", "calibration"):
        drawn = lines(churn.figures()[name].axes[0])
        model, rule = drawn["ChurnClassifier"], drawn["best rule: recency"]
        assert model.get_marker() != rule.get_marker()
        assert model.get_linestyle() != rule.get_linestyle()
    model_bar, rule_bar = (group[0] for group in churn.figures()["lift"].axes[0].containers)
    assert (model_bar.get_hatch() or "") != (rule_bar.get_hatch() or "")


def texts(figure: Any) -> list[Any]:
    """Every visible text with its place on the canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    boxes = [one.get_window_extent() for one in shown]
    width, height = figure.get_size_inches() * figure.dpi
    # ticks beyond the axis are drawn nowhere
    return [
        (one.get_text(), box)
        for one, box in zip(shown, boxes, strict=True)
        if not (one.axes is not None and _is_tick_outside(one))
        and box.x0 >= -1
        and box.y0 >= -1
        and box.x1 <= width + 1
        and box.y1 <= height + 1
    ]


def _is_tick_outside(text: Any) -> bool:
    for axis, place in ((text.axes.xaxis, 0), (text.axes.yaxis, 1)):
        if any(text in (tick.label1, tick.label2) for tick in axis.get_major_ticks()):
            low, high = sorted(axis.get_view_interval())
            return not low - 1e-9 <= text.get_position()[place] <= high + 1e-9
    return False


@pytest.mark.parametrize(
    "report",
    [churn_report(5, 200), value_report(4, 200), items_report(1, 60)],
    ids=["churn", "value", "items, one cutoff"],
)
def test_no_text_lies_on_another(report: cm.BacktestReport) -> None:
    for name, figure in report.figures().items():
        found = texts(figure)
        assert len(found) > 5
        for (one, a), (other, b) in combinations(found, 2):
            assert not a.overlaps(b), f"{name}: {one!r} lies on {other!r}"


def test_drawing_needs_no_window_and_changes_no_setting(tmp_path: Path) -> None:
    script = (
        "import sys, matplotlib\n"
        "settings = lambda: {key: dict.__getitem__(matplotlib.rcParams, key) for key in matplotlib.rcParams}\n"
        "before = settings()\n"
        "from tests.report.made import items_report\n"
        "items_report(1, 30)._repr_html_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_without_matplotlib(churn: cm.BacktestReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(cm.MissingExtraError) as caught:
        pictures.backtest_figures(churn)
    assert str(caught.value) == (
        "BacktestReport.figures() needs the package 'matplotlib'. Install it with: pip install \"crmml[plot]\""
    )
