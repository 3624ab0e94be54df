"""`MonitorReport`: is what a bundle scores today still what it was trained on, and did it predict what happened?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmml.report.backtest import BacktestReport
from crmml.report.text import day, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a scheduler gets: nothing to do, or somebody should look.
FINE, ALARM = 0, 3
SHOWN = 10


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MonitorReport:
    """What `monitor` found.

    Attributes:
        table: one row per comparison with the training cutoffs: `kind` ("population", "feature", "score", "label",
            "level", "coverage"), `column`, `where` (what differs most), `before` and `now` (the share of customers
            there; for "population" their number, for "level" the mean prediction and the mean outcome, for lists the
            hit rate of the popularity rule and of the lists), `distance` (of Kolmogorov and Smirnov), `effect` (the
            population stability index; for "population", "level" and "coverage" the relative change), `p_value` and
            `q_value` (NaN where it is not tested), `alarm`.
        as_of: the cutoff that was looked at.
        training_cutoffs: those the bundle was trained at; a recommender has one, the last.
        compared_with: the number of cutoffs whose distributions are compared.
        problems: what `log.check()` says of the log; they raise no alarm.
        notes: what could not be looked at, and why.
        realised: earlier predictions against what happened, where a horizon has passed; otherwise None.
        false_alarms: the chance of any alarm where nothing has changed, at most.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), cm.cutoffs("2024-01-01", "2024-07-01", every="60d"))
    >>> cm.monitor(bundle, log, "2024-10-01").exit_code
    0
    """

    table: pd.DataFrame
    model_id: str
    model: str
    target: str
    as_of: pd.Timestamp
    training_cutoffs: tuple[pd.Timestamp, ...]
    compared_with: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    realised: BacktestReport | None
    false_alarms: float
    least_psi: float

    @property
    def alarms(self) -> pd.DataFrame:
        """The rows of `table` with an alarm, the greatest effect first."""
        found = self.table[self.table["alarm"]]
        return found.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)

    @property
    def exit_code(self) -> int:
        """0 where all is as it was, 3 where there is an alarm: what `crmml monitor` ends with."""
        return FINE if self.alarms.empty else ALARM

    def figure(self) -> "Figure":
        """The population stability index of the columns that moved most, alarms hatched (no window is opened).

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from crmml.report.pictures import stability_bars

        return stability_bars(self)

    def __str__(self) -> str:
        n, last = self.compared_with, day(self.training_cutoffs[-1])
        several = len(self.training_cutoffs) > 1
        cutoffs = f"{day(self.training_cutoffs[0])} to {last}" if several else ("until " if n > 1 else "") + last
        lines = [
            f"Monitor of {self.model} ({self.model_id}) as of {day(self.as_of)}",
            f"  predicts  {self.target}",
            f"  against   {n} training cutoff{'' if n == 1 else 's'}, {cutoffs}",
            "",
            wrapped(self._verdict()),
        ]
        lines += ["", *_lines(self._shown())]
        if self.realised is not None:
            lines += ["", wrapped(_outcome(self.realised))]
        for title, items in (("Problems of the log", self.problems), ("Not looked at", self.notes)):
            if items:
                lines += ["", f"{title}:", *(f"  {item}" for item in items)]
        return "\n".join(lines)

    __repr__ = __str__

    def _verdict(self) -> str:
        tested = int(self.table["p_value"].notna().sum())
        if not tested:
            return "Verdict: not tested, see below."
        chance = f"if nothing changes, any at all with a chance of {self.false_alarms:.0%} at most"
        what = f"of {tested} comparisons ({chance})"
        if self.alarms.empty:
            return f"Verdict: no alarm in any {what}."
        names = self.alarms["column"].tolist()
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"Verdict: ALARM in {len(names)} {what}: {', '.join(names[:SHOWN])}{more}."

    def _shown(self) -> pd.DataFrame:
        """The alarms first, then what moved most."""
        others = self.table[~self.table["alarm"]].sort_values("effect", ascending=False, kind="stable")
        return pd.concat([self.alarms, others.head(max(3, SHOWN - len(self.alarms)))], ignore_index=True)


def _lines(rows: pd.DataFrame) -> list[str]:
    width = min(44, max(len(str(name)) for name in rows["column"]))
    head = f"  {'column':{width}}  {'':12}  {'before':>9} {'now':>9} {'effect':>7} {'q':>6}"
    return [head, *(_line(row, width) for row in rows.to_dict("records"))]


def _line(row: dict[Any, Any], width: int) -> str:
    style = ",.0f" if row["kind"] == "population" else (".4g" if row["kind"] == "level" else ".1%")
    before, now = (format(row[name], style) for name in ("before", "now"))
    q = f"{row['q_value']:.3f}" if row["q_value"] == row["q_value"] else "-"  # NaN differs from itself
    mark = "  ALARM" if row["alarm"] else ""
    names = f"  {row['column']!s:{width}.{width}}  {row['where']!s:12.12}"
    return f"{names}  {before:>9} {now:>9} {row['effect']:7.3f} {q:>6}{mark}"


def _outcome(report: BacktestReport) -> str:
    """The latest cutoff whose horizon has passed, in words."""
    if report.task == "items":
        customers = int((report.scores["kind"] == "model").sum())
        when = f"Recommended as of {day(report.cutoffs[-1])} and realised since, {customers:,} customers"
        return f"{when}: {report.comparison}."
    last = report.stability.iloc[-1]
    measure = report.measures[0]
    return (
        f"Predicted as of {day(last['as_of'])} and realised since, {last['customers']:,.0f} customers: mean "
        f"{last['mean_predicted']:.4g} predicted, {last['mean_actual']:.4g} actual; {measure.label} "
        f"{measure.text(float(last[measure.name]))}. {'' if report.comparison is None else f'{report.comparison}.'}"
    ).strip()
