"""Is a challenger better than the champion, so surely that it should take its place?"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from crmml.errors import DataError
from crmml.report.backtest import BacktestReport
from crmml.report.comparison import PROVING, Comparison, compare
from crmml.report.measures import Measure, holdout_table, measures_of
from crmml.report.text import day

# Of the bootstrap: the ends of the interval decide, and with few draws they are a matter of luck.
REPLICATES = 500
_KEYS = ["as_of", "customer_id"]
# A better order is no gain where the numbers themselves get worse: what the second look measures, by task.
_LOSSES = {
    "binary": Measure(name="loss", label="Brier", better="low"),
    "value": Measure(name="loss", label="MAE", better="low", style="money"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """Champion and challenger on the same customers at the same cutoffs, and what follows.

    Attributes:
        comparison: challenger minus champion on the deciding measure of the task (AUC, normalised Gini, NDCG).
        low, high: 95 % interval of the difference: the wider of two at each end. One redraws customers, with the
            models as they are; the other (Student's t over the cutoffs) also sees what the luck of each fit and the
            seasons add. A challenger that is no better gets above 0 in at most 2.5 % of all cases.
        loss: the same comparison of the error of the numbers themselves (Brier score, mean absolute error); None for
            lists.
        table: per cutoff `as_of`, `customers`, `champion`, `challenger`, `difference` of the deciding measure.
    """

    comparison: Comparison
    low: float
    high: float
    loss: Comparison | None
    table: pd.DataFrame

    @property
    def better(self) -> bool:
        """Whether the interval lies above 0, two thirds of the cutoffs agree, and the loss is not worse."""
        return self.ahead and not self.costs

    @property
    def ahead(self) -> bool:
        """Whether the deciding measure alone speaks for the challenger."""
        return self.low > 0 and self.comparison.verdict == "better"

    @property
    def costs(self) -> bool:
        """Whether the customers say that the error of the numbers themselves is larger.

        Without the interval over the cutoffs, which a gain has to pass as well: doubt speaks for the champion.
        """
        return self.loss is not None and self.loss.low > 0 and 3 * self.loss.wins <= self.loss.cutoffs

    def __str__(self) -> str:
        measure, found = self.comparison.measure, self.comparison
        ends = f"{measure.text(self.low, signed=True)} to {measure.text(self.high, signed=True)}"
        text = (
            f"{measure.label} {measure.text(found.difference, signed=True)} on average (95 % interval {ends}), "
            f"ahead on {found.wins} of {found.cutoffs} cutoffs"
        )
        if self.costs and self.loss is not None:
            error = self.loss.measure
            mean = float(self.loss.difference)
            text += f"; {error.label} {error.text(mean, signed=True)}, which is worse"
        return text


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Promotion:
    """What `promote` found, and did.

    Attributes:
        name: of the registered model.
        champion, challenger: the versions that were compared, as they were called before.
        moved: whether the challenger is champion now.
        judgement: the comparison that decided.
        reports: the backtests of both by "champion" and "challenger"; empty where the bundles were compared as fitted.
        rolled_back: the day on which the challenger, who is better, was rolled back, which is why it is not champion.

    >>> from crmml.report.promotion import judge
    >>> at = [pd.Timestamp(f"2024-0{month}-01", tz="UTC") for month in (1, 2, 3)]
    >>> rows = pd.DataFrame([(day, who, who % 2) for day in at for who in range(40)],
    ...                     columns=["as_of", "customer_id", "y"])
    >>> good, fair = (rows.assign(score=rows["y"] + noise * (rows["customer_id"] // 7 % 3)) for noise in (0.1, 0.7))
    >>> good, fair = (table.assign(probability=table["score"].clip(0, 1)) for table in (good, fair))
    >>> print(Promotion(name="churn", champion="1", challenger="2", moved=True, judgement=judge(fair, good, "binary")))
    churn: version 2 is champion now, version 1 is previous.
      AUC +0.105 on average (95 % interval +0.030 to +0.240), ahead on 3 of 3 cutoffs
    <BLANKLINE>
                  customers  champion  challenger  difference
      2024-01-01         40     0.895       1.000      +0.105
      2024-02-01         40     0.895       1.000      +0.105
      2024-03-01         40     0.895       1.000      +0.105
    """

    name: str
    champion: str
    challenger: str
    moved: bool
    judgement: Judgement
    reports: dict[str, BacktestReport] | None = None
    rolled_back: str | None = None

    def __str__(self) -> str:
        if self.moved:
            first = f"version {self.challenger} is champion now, version {self.champion} is previous."
        elif self.rolled_back is not None:
            first = (
                f"version {self.champion} stays champion: version {self.challenger} was rolled back on "
                f"{self.rolled_back}. Register another, or promote it with again=True (--again)."
            )
        else:
            first = f"version {self.champion} stays champion: version {self.challenger} is not proven to be better."
        return "\n".join([f"{self.name}: {first}", f"  {self.judgement}", "", *self._lines()])

    def __repr__(self) -> str:
        return (
            f"Promotion(name={self.name!r}, champion={self.champion!r}, challenger={self.challenger!r}, "
            f"moved={self.moved})"
        )

    def _lines(self) -> list[str]:
        measure = self.judgement.comparison.measure
        rows = [["", "customers", "champion", "challenger", "difference"]]
        for row in self.judgement.table.to_dict("records"):
            values = [measure.text(row[side]) for side in ("champion", "challenger")]
            rows.append(
                [day(row["as_of"]), f"{row['customers']:,}", *values, measure.text(row["difference"], signed=True)]
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  " + "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]


def judge(champion: pd.DataFrame, challenger: pd.DataFrame, task: str, k: int = 10) -> Judgement:
    """Compare what both said of the same customers at the same cutoffs with what came.

    The interval of the mean difference has two sources. Whole customers are redrawn with replacement, both models
    weighed on the same ones (Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13): that is the
    luck of who is in the log. It takes the fitted models as given, and so overlooks that of two equally good ways to
    train, one is luckier at this log; hence also Student's interval over the cutoffs, at each of which both were
    trained anew. What counts is the wider end of the two.

    Args:
        champion, challenger: per row `as_of`, `customer_id`, `y`, `score` and, for "binary", `probability`; for "items"
            the metrics of each customer's list in place of the score, as in `BacktestReport.predictions`.
        task: "binary", "value" or "items".
        k: length of the lists.

    Raises:
        DataError: fewer than three cutoffs; different customers or different labels on the two sides.
    """
    _check_same(champion, challenger)
    measure, losses = measures_of(task, k)[0], [_LOSSES[task]] if task in _LOSSES else []
    sides = {"champion": ("rule", champion), "challenger": ("model", challenger)}
    scores = pd.concat(
        [rows.assign(contender=contender, kind=kind, **_loss(rows, task)) for contender, (kind, rows) in sides.items()],
        ignore_index=True,
    )
    pieces = [holdout_table(rows, (measure, *losses), ()) for _, rows in scores.groupby("as_of", sort=True)]
    table = pd.concat(pieces, ignore_index=True)
    comparison = _compared(table, scores, measure)
    low, high = comparison.over_cutoffs
    return Judgement(
        comparison=comparison,
        low=min(comparison.low, low),
        high=max(comparison.high, high),
        loss=_compared(table, scores, losses[0]) if losses else None,
        table=_by_cutoff(table, measure),
    )


def _compared(table: pd.DataFrame, scores: pd.DataFrame, measure: Measure) -> Comparison:
    found = compare(table, scores, measure, replicates=REPLICATES)
    assert found is not None  # noqa: S101 (the champion stands in the table as the rule to beat)
    return found


def _loss(rows: pd.DataFrame, task: str) -> dict[str, Any]:
    """The error of each number: squared for a probability, absolute for an amount; nothing for lists."""
    if task == "binary":
        return {"loss": (rows["probability"] - rows["y"]) ** 2}
    return {"loss": (rows["score"] - rows["y"]).abs()} if task == "value" else {}


def _by_cutoff(table: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    sides = table.pivot(index="as_of", columns="contender", values=measure.name)
    customers = table[table["kind"] == "model"].set_index("as_of")["customers"]
    found = pd.DataFrame({"customers": customers, "champion": sides["champion"], "challenger": sides["challenger"]})
    return found.assign(difference=found["challenger"] - found["champion"]).reset_index()


def _check_same(champion: pd.DataFrame, challenger: pd.DataFrame) -> None:
    """Both sides must say something of the same customers, and be measured on the same labels."""
    count = champion["as_of"].nunique()
    if count < PROVING:
        raise DataError(
            f"promote: {count} cutoffs can be measured, and with fewer than {PROVING} agreement may be chance. "
            "Give more cutoffs in as_of, such as cutoffs(start, end, every='30d')."
        )
    mine, theirs = (rows.set_index(_KEYS)["y"].sort_index() for rows in (champion, challenger))
    if not mine.index.equals(theirs.index):
        both = len(mine.index.intersection(theirs.index))
        raise DataError(
            f"promote: the champion scores {len(mine):,} customers at all cutoffs together, the challenger "
            f"{len(theirs):,}, and {both:,} of them are the same. Train the challenger for the same population, with "
            "the same cleaning."
        )
    other = int((mine != theirs).sum())
    if other:
        raise DataError(
            f"promote: {other:,} of {len(mine):,} labels differ between champion and challenger, which clean the log "
            "or count its items in different ways: no difference of their scores would mean anything. Train the "
            "challenger with the champion's cleaning and item weights."
        )
