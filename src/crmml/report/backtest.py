"""`BacktestReport`: what a backtest found, as tables, as text, as pictures and as a page."""

from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crmml.data.files import as_path, write_bytes
from crmml.metrics import calibration_table, decile_table, gains_table
from crmml.report.breakdown import coverage_of, metric_intervals, segments_of, stability_of
from crmml.report.comparison import Comparison, best_rule, compare
from crmml.report.measures import TOO_GOOD, Measure, measures_of
from crmml.report.profit import Profit, profit_of
from crmml.report.text import report_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Skipped:
    """A hold-out cutoff that could not be measured, and why."""

    as_of: pd.Timestamp
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BacktestReport:
    """What a backtest found: the model beside simple rules, cutoff by cutoff.

    `print(report)` shows it as text, a notebook as a page, `to_html(path)` writes that page.

    Attributes:
        task: "binary" (churn, repurchase), "value" (spend) or "items" (recommended lists).
        target: the target, as the code that makes it.
        model: the model, as the code that makes it.
        table: one row per hold-out cutoff and contender: `as_of`, `contender`, `kind` ("model" or "rule"),
            `customers`, `mean_y` (share of ones, mean value, or mean number of new items), `trained_on` (number
            of training cutoffs), `trained_until` (the last of them), then one column per metric.
        scores: the rows behind the table: `as_of`, `contender`, `kind`, `customer_id`, `y`, `score` and
            `probability` (NaN where the task has none); for values `lo` and `hi`, the ends of the model's 90 %
            intervals, where it has them; `segment`, where the backtest was asked for segments.
        training_cutoffs: the cutoffs with complete labels: all that a final training may use.
        skipped: hold-outs that could not be measured, with the reason.
        warnings: what a careful reader should look into, such as a score that is too good to be true.
        k: length of the recommended lists.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> model = cm.ChurnClassifier(num_iterations=20)
    >>> report = cm.backtest(log, "rfm", churn, model, ["2024-01-01", "2024-03-01", "2024-05-01"])
    >>> print(report)  # doctest: +ELLIPSIS
    Backtest of ChurnClassifier(num_iterations=20)
      predicts  Churn('60d', event_type='purchase', active_within='180d')
      held out  2 cutoffs, 2024-03-01 to 2024-05-01
    ...
    >>> report.table["contender"].unique().tolist()
    ['ChurnClassifier', 'recency rule', 'frequency rule', 'halved-window rule', 'BG/NBD rule']
    """

    task: str
    target: str
    model: str
    table: pd.DataFrame
    scores: pd.DataFrame
    training_cutoffs: tuple[pd.Timestamp, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    k: int = 10

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The metrics of the task; the first one decides."""
        return measures_of(self.task, self.k)

    @property
    def contender(self) -> str:
        """The name under which the model stands in the tables."""
        return str(self.table.loc[self.table["kind"] == "model", "contender"].iloc[0])

    @property
    def cutoffs(self) -> tuple[pd.Timestamp, ...]:
        """The hold-out cutoffs that were measured."""
        return tuple(self.table.loc[self.table["kind"] == "model", "as_of"])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Per contender and metric, over the hold-out cutoffs: `mean`, `std`, `min`, `max`, `cutoffs`.

        Each cutoff weighs the same, however many customers it has. `std` is the sample standard deviation
        (n - 1), NaN with one cutoff.
        """
        names = [measure.name for measure in self.measures]
        long = self.table.melt(["contender", "kind"], names, var_name="metric", value_name="value")
        groups = long.groupby(["contender", "kind", "metric"], sort=False)["value"]
        summary = groups.agg(["mean", "std", "min", "max"]).assign(cutoffs=groups.count())
        return summary.reset_index()

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Flat numbers to log: per metric the model's `mean`, `std`, and the best rule's mean.

        Keys are like `auc`, `auc_std`, `auc_best_rule`; NaN values (one cutoff has no std) are left out.
        """
        found: dict[str, float] = {}
        for measure in self.measures:
            mean, std = self._of(self.contender, "model", measure.name)
            found |= {measure.name: mean, f"{measure.name}_std": std}
            if self.best_rule is not None:
                found[f"{measure.name}_best_rule"] = self._of(self.best_rule, "rule", measure.name)[0]
        for group, row in self.coverage.iterrows():
            found[f"interval_coverage_{str(group).replace(' ', '_')}"] = float(row["coverage"])
        return {name: value for name, value in found.items() if not isnan(value)}

    def _of(self, contender: str, kind: str, metric: str) -> tuple[float, float]:
        mine = self.summary
        row = mine[(mine["contender"] == contender) & (mine["kind"] == kind) & (mine["metric"] == metric)]
        return float(row["mean"].iloc[0]), float(row["std"].iloc[0])

    @property
    def best_rule(self) -> str | None:
        """The rule with the best mean of the deciding metric, chosen with hindsight; None without rules."""
        return best_rule(self.table, self.measures[0])

    @cached_property
    def comparison(self) -> Comparison | None:
        """The model against the best rule: wins, mean difference with its spread and its interval."""
        return compare(self.table, self.scores, self.measures[0])

    @property
    def grade(self) -> str:
        """ "A", "B", "C" or "no better than the rule" (see `Comparison.grade`); or what forbids a grade.

        "too good: suspected leakage" where the deciding metric of the model is 0.98 or more at a cutoff, since
        customers are not that predictable; "no rule to beat" where the target names none.
        """
        model = self.table[self.table["kind"] == "model"]
        if self.task != "items" and (model[self.measures[0].name] >= TOO_GOOD).any():
            return "too good: suspected leakage"
        return "no rule to beat" if self.comparison is None else self.comparison.grade

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """Per metric of the model: `mean` over the cutoffs, `low` and `high` of its 95 % interval.

        By redrawing customers 100 times, so that a large backtest takes a while to answer the first time.
        """
        return metric_intervals(self)

    @cached_property
    def stability(self) -> pd.DataFrame:
        """Cutoff by cutoff: `as_of`, `customers`, `mean_predicted`, `mean_actual`, `ratio`, the deciding metric.

        Empty for lists.
        """
        return pd.DataFrame() if self.task == "items" else stability_of(self)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """Segment by segment: `segment`, `customers`, `mean_predicted`, `mean_actual`, `model`, `rule`.

        The last two are the deciding metric, all hold-outs pooled. Empty without `backtest(..., by=...)`.
        """
        return segments_of(self) if "segment" in self.scores else pd.DataFrame()

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """How often the truth lay inside the 90 % intervals: rows "all" and "top tenth" (by prediction).

        Columns `customers`, `coverage`, `mean_width`, `winkler` (interval score over the mean value). Empty where the
        model has no intervals.
        """
        return coverage_of(self) if self.task == "value" else pd.DataFrame()

    def profit(
        self,
        *,
        margin: float,
        save_rate: float,
        contact_cost: float,
        offer_cost: float = 0.0,
        fixed_cost: float = 0.0,
    ) -> Profit:
        """What a campaign would have earned with this list, for every length of it; see `metrics.profit_curve`.

        Args:
            margin: what a saved customer is worth, before the offer.
            save_rate: probability that a contacted leaver stays, from 0 to 1: an experiment tells, not this report.
            contact_cost, offer_cost: per customer; fixed_cost: of the campaign.

        Raises:
            ConfigError: the report is not about who leaves; a cost or a rate out of range.

        >>> import crmml as cm
        >>> log = cm.simulate_log(300, seed=1).log
        >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
        >>> report = cm.backtest(log, "rfm", churn, cm.ChurnClassifier(num_iterations=20), ["2024-01-01", "2024-03-01"])
        >>> profit = report.profit(margin=40, save_rate=0.3, contact_cost=2)
        >>> bool(profit.table.loc[1.0, "model"] == profit.table.loc[1.0, "rule"])  # all customers, in any order
        True
        """
        economics = {"margin": margin, "save_rate": save_rate, "contact_cost": contact_cost}
        return profit_of(self, **economics, offer_cost=offer_cost, fixed_cost=fixed_cost)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The model's rows of all hold-outs: `customer_id`, `as_of`, `y`, `score`, `probability`.

        For lists: `customer_id`, `as_of`, `y` (number of relevant items) and the metrics of that customer.
        """
        mine = self.scores[self.scores["kind"] == "model"]
        ordered = ["customer_id", "as_of", *mine.columns.drop(["customer_id", "as_of", "contender", "kind"])]
        return mine[ordered].reset_index(drop=True)

    @cached_property
    def calibration(self) -> pd.DataFrame:
        """Predicted beside actual share of ones in ten bins of equal size, all hold-outs pooled.

        Empty unless the task is "binary".
        """
        if self.task != "binary":
            return pd.DataFrame()
        return calibration_table(self.predictions["y"], self.predictions["probability"])

    @cached_property
    def deciles(self) -> pd.DataFrame:
        """Tenths of the customers from the highest score down, all hold-outs pooled; empty for lists.

        "binary": `customers`, `positives`, `rate`, `captured`, `lift`; "value": `customers`,
        `mean_predicted`, `mean_actual`, `share_of_value`.
        """
        if self.task == "binary":
            return gains_table(self.predictions["y"], self.predictions["score"])
        if self.task == "value":
            return decile_table(self.predictions["y"], self.predictions["score"])
        return pd.DataFrame()

    def figures(self) -> "dict[str, Figure]":
        """The pictures of the report by name, as matplotlib figures (no window is opened).

        "over_cutoffs" always; "calibration", "gains" and "lift" for "binary"; "value_deciles" and "gains" for
        "value"; "metrics" for "items".

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from crmml.report.pictures import backtest_figures

        return backtest_figures(self)

    @cached_property
    def _images(self) -> dict[str, str]:
        """The pictures as addresses, drawn once: a page, a notebook and a tracked run show the same ones."""
        from crmml.report.page import picture

        return {name: picture(figure) for name, figure in self.figures().items()}

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one HTML page that needs nothing else (no network, no other file).

        Without matplotlib the page has the tables and no pictures, and says so.

        Returns:
            The path written.

        Raises:
            ConfigError: the folder cannot be written to.
        """
        from crmml.report.page import backtest_page

        file = as_path(path, "to_html")
        write_bytes(file, backtest_page(self).encode())
        return file

    def _repr_html_(self) -> str:
        from crmml.report.page import backtest_body

        return backtest_body(self)

    def __str__(self) -> str:
        return report_text(self)

    def __repr__(self) -> str:
        return (
            f"BacktestReport(task={self.task!r}, contender={self.contender!r}, "
            f"cutoffs={len(self.cutoffs)}, best_rule={self.best_rule!r})"
        )
