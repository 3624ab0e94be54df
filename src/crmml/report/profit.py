"""What a campaign would have earned at the hold-out cutoffs: the model's list beside that of the best rule."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from crmml.errors import ConfigError
from crmml.metrics import profit_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crmml.report.backtest import BacktestReport


@dataclass(frozen=True, eq=False, repr=False)
class Profit:
    """The profit of contacting the top of the list, mean over the hold-out cutoffs.

    Attributes:
        table: index `share` of the list that is contacted; columns `customers` (mean number contacted), `model` and,
            where there is a rule, `rule`: profit in the currency of the margin.
        contender, rule: the names of the two.
        perfect: the most that an order which knows the future earns.
    """

    table: pd.DataFrame
    contender: str
    rule: str | None
    perfect: float

    @property
    def best_share(self) -> float:
        """The share of the list at which the model earns most, with hindsight; 0 where no campaign pays."""
        return float(self.table.index.to_numpy(float)[self.table["model"].argmax()])

    def __str__(self) -> str:
        """One or two sentences.

        >>> table = pd.DataFrame({"customers": [0.0, 50.0, 100.0], "model": [0.0, 800.0, 300.0]}, index=[0, 0.5, 1])
        >>> print(Profit(table, "ChurnClassifier", None, 1000.0))
        Contact the first 50 % of the list: 800.00 on average, 80 % of what perfect knowledge earns. Contacting \
everybody earns 300.00.
        """
        best = float(self.table["model"].max())
        everybody = f"Contacting everybody earns {self.table['model'].iloc[-1]:,.2f}"
        if self.best_share == 0:
            return f"Contact nobody: no part of the list pays. {everybody}."
        of_perfect = f", {100 * best / self.perfect:.0f} % of what perfect knowledge earns" if self.perfect > 0 else ""
        beside = "" if self.rule is None else f", the best list of the {self.rule} {self.table['rule'].max():,.2f}"
        return (
            f"Contact the first {100 * self.best_share:.0f} % of the list: {best:,.2f} on average{of_perfect}. "
            f"{everybody}{beside}."
        )

    def __repr__(self) -> str:
        return f"Profit(contender={self.contender!r}, best_share={self.best_share!r})"

    def figure(self) -> "Figure":
        """The curves as a matplotlib figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from crmml.report.pictures import profit_curves

        return profit_curves(self)


def profit_of(report: "BacktestReport", **economics: float) -> Profit:
    """The profit of a report; see `BacktestReport.profit`."""
    if report.task != "binary":
        raise ConfigError(
            f"profit: a campaign is aimed at who leaves, but the report is about {report.target}. "
            "Use the report of a Churn target."
        )
    model = _mean_curve(report.scores[report.scores["kind"] == "model"], "score", economics)
    table = pd.DataFrame({"customers": model["customers"], "model": model["profit"]})
    if report.best_rule is not None:
        rule = report.scores[(report.scores["kind"] == "rule") & (report.scores["contender"] == report.best_rule)]
        table["rule"] = _mean_curve(rule, "score", economics)["profit"]
    perfect = _mean_curve(report.scores[report.scores["kind"] == "model"], "y", economics)
    return Profit(table, report.contender, report.best_rule, float(perfect["profit"].max()))


def _mean_curve(rows: pd.DataFrame, order: str, economics: dict[str, float]) -> pd.DataFrame:
    curves = [profit_curve(one["y"], one[order], **economics) for _, one in rows.groupby("as_of")]
    total = curves[0]
    for curve in curves[1:]:
        total = total + curve
    return total / len(curves)
