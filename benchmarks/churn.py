"""Churn on Online Retail II and CDNOW: ours beside BG/NBD, simple rules, and what most people run.

    python benchmarks/churn.py [--data data] [--logs retail cdnow] [--every 30]

Rolling cutoffs, purged: a cutoff may train only where its labels were complete at the hold-out, and a hold-out needs
six cutoffs that may. Each number is the mean over the hold-outs; a second table has those alone that have a year of the
log before them, since nothing else can know the season. Then the same hold-outs measured the wrong way: by a random
split of the rows, and without purging.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import logs  # noqa: E402  (the repository's root has to be on the path)

import crmml as cm  # noqa: E402

LEAST_TRAINING = 6
TOP = 0.1
OURS = "ChurnClassifier"
BG_NBD = "BG/NBD 1 - P(buys), all customers"


class Task(NamedTuple):
    """A log, what is predicted on it, and the cutoffs."""

    title: str
    load: Callable[[Path], Any]
    target: Any
    first: str
    last: str
    goal: float


TASKS = {
    "retail": Task(
        "Online Retail II, active within 180 d, no purchase in 90 d",
        logs.online_retail_2,
        cm.Churn("90d", event_type="purchase", active_within="180d"),
        "2010-03-01",
        "2011-09-10",
        0.78,
    ),
    "cdnow": Task(
        "CDNOW, everybody, no purchase in 91 d",
        logs.cdnow,
        cm.Churn("91d", event_type="purchase"),
        "1997-04-01",
        "1998-04-01",
        0.82,
    ),
}


class Table(NamedTuple):
    """Features, labels and cutoffs of a task, and the purchases of all its customers, whoever is active."""

    X: pd.DataFrame
    y: pd.Series
    everybody: pd.DataFrame
    target: Any
    first: pd.Timestamp

    def at(self, cutoffs: list[pd.Timestamp]) -> tuple[pd.DataFrame, pd.Series]:
        """The rows of some cutoffs."""
        chosen = self.X.index.get_level_values("as_of").isin(cutoffs)
        return self.X[chosen], self.y[chosen]


def table_of(task: Task, data: Path, every: int) -> Table:
    """Build the table of all cutoffs at once."""
    log = task.load(data)
    cutoffs = cm.cutoffs(task.first, task.last, every=f"{every}d")
    X, y = cm.build_dataset(log, "standard", task.target, cutoffs)
    kind: Any = {"event_type": "purchase"}
    history = [cm.Tenure(**kind), cm.Recency(**kind), cm.DaysActive(**kind)]
    everybody = cm.build_features(log, history, cutoffs, population=cm.Population(**kind))
    return Table(X, y, everybody, task.target, log.facts.first)


# Contenders: from training rows and rows to score, to probabilities of churn -------------------------------


def ours(train: tuple[pd.DataFrame, pd.Series], X: pd.DataFrame, target: Any) -> tuple[np.ndarray, bool]:
    """Our probabilities, and whether the season of the rows is known."""
    model = cm.ChurnClassifier(horizon=target.horizon).fit(*train)
    year_before = X.index.get_level_values("as_of")[0] - pd.Timedelta(days=365)
    known = bool((np.abs(model.season_.index - year_before) <= pd.Timedelta(days=20)).any())
    return model.predict_proba(X)[:, 1], known


def bg_nbd(everybody: pd.DataFrame, X: pd.DataFrame, learned: pd.Timestamp, target: Any) -> np.ndarray:
    """BG/NBD fitted to all customers, whoever is active, at the last training cutoff."""
    at = everybody.index.get_level_values("as_of")
    model = cm.BGNBD().fit(summary(everybody[at == learned]))
    return 1.0 - model.p_buys(summary(X), target.horizon_us / 86_400_000_000)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """x, t_x, T in days; purchases of one day count once."""
    x = table["days_active_purchase"] - 1.0
    T = table["tenure_purchase"]
    return pd.DataFrame({"x": x, "t_x": np.where(x > 0, T - table["recency_purchase"], 0.0), "T": T})


def plain_lightgbm(train: tuple[pd.DataFrame, pd.Series], X: pd.DataFrame) -> np.ndarray:
    """LightGBM's own classifier with the same 200 trees of 7 leaves."""
    model = lgb.LGBMClassifier(
        n_estimators=200,
        num_leaves=7,
        learning_rate=0.03,
        min_child_samples=50,
        colsample_bytree=0.7,
        n_jobs=1,
        verbosity=-1,
        random_state=0,
    )
    return np.asarray(model.fit(train[0].to_numpy(), train[1]).predict_proba(X.to_numpy())[:, 1])


def logistic(train: tuple[pd.DataFrame, pd.Series], X: pd.DataFrame) -> np.ndarray:
    """scikit-learn's regression on standardised logarithms, missing values as the median."""
    medians = train[0].median().fillna(0.0)

    def logarithms(table: Any) -> Any:
        return np.sign(table) * np.log1p(np.abs(table))

    model = make_pipeline(FunctionTransformer(logarithms), StandardScaler(), LogisticRegression(max_iter=1_000))
    model.fit(train[0].fillna(medians).to_numpy(), train[1])
    return np.asarray(model.predict_proba(X.fillna(medians).to_numpy())[:, 1])


# Measuring -------------------------------------------------------------------------------------------------


def measured(name: str, holdout: pd.Timestamp, y: pd.Series, score: Any, *, probability: bool) -> dict[str, Any]:
    """One line: a contender at a hold-out."""
    line = {"contender": name, "as_of": holdout, "AUC": cm.metrics.auc(y, score)}
    line["lift"] = cm.metrics.lift(y, score, at=TOP)
    if probability:
        line["Brier"] = cm.metrics.brier(y, score)
        line["calibration"] = cm.metrics.calibration_error(y, score)
    return line


def at_holdout(table: Table, cutoffs: list[pd.Timestamp], holdout: pd.Timestamp) -> list[dict[str, Any]]:
    """All contenders at one hold-out, and the wrong ways of measuring."""
    training = [cutoff for cutoff in cutoffs if cutoff + table.target.reach <= holdout]
    train, (X, y) = table.at(training), table.at([holdout])
    start = time.process_time()
    p, known = ours(train, X, table.target)
    seconds = time.process_time() - start
    lines = [measured(OURS, holdout, y, p, probability=True) | {"season": known, "seconds": seconds}]
    p = bg_nbd(table.everybody, X, training[-1], table.target)
    lines.append(measured(BG_NBD, holdout, y, p, probability=True))
    lines.append(measured("logistic regression", holdout, y, logistic(train, X), probability=True))
    lines.append(measured("plain LightGBM", holdout, y, plain_lightgbm(train, X), probability=True))
    frequency = -X["count_purchase_180d"]
    lines.append(measured("recency rule", holdout, y, X["recency_purchase"], probability=False))
    lines.append(measured("frequency rule", holdout, y, frequency, probability=False))
    leaking = table.at([cutoff for cutoff in cutoffs if cutoff < holdout])
    lines.append(measured("~ not purged", holdout, y, plain_lightgbm(leaking, X), probability=True))
    return lines


def random_split(table: Table, holdouts: list[pd.Timestamp]) -> list[dict[str, Any]]:
    """Plain LightGBM on four fifths of all rows, drawn at random; measured on the rest of the hold-outs."""
    test = np.random.default_rng(0).random(len(table.X)) < 0.2
    p = plain_lightgbm((table.X[~test], table.y[~test]), table.X[test])
    at = table.X.index.get_level_values("as_of")[test]
    y = table.y[test]
    return [
        measured("~ random rows", holdout, y[at == holdout], p[at == holdout], probability=True) for holdout in holdouts
    ]


def run(task: Task, data: Path, every: int) -> None:
    """Measure one log and print it."""
    start = time.process_time()
    table = table_of(task, data, every)
    cutoffs = sorted(set(table.X.index.get_level_values("as_of")))
    holdouts = [at for at in cutoffs if sum(one + task.target.reach <= at for one in cutoffs) >= LEAST_TRAINING]
    lines = [line for holdout in holdouts for line in at_holdout(table, cutoffs, holdout)]
    lines += random_split(table, holdouts)
    report(task, pd.DataFrame(lines), table, holdouts)
    print(f"{time.process_time() - start:.0f} CPU s\n", flush=True)


def report(task: Task, lines: pd.DataFrame, table: Table, holdouts: list[pd.Timestamp]) -> None:
    """The tables, and what is reached."""
    print(f"\n{task.title}: {len(table.X):,} rows x {table.X.shape[1]}, {len(holdouts)} hold-outs", end=" ")
    print(f"{holdouts[0]:%Y-%m-%d} to {holdouts[-1]:%Y-%m-%d}")
    mean = means(lines)
    print(mean[~mean.index.str.startswith("~")].to_string(float_format="{:.4f}".format, na_rep="-"))
    old = lines[lines["as_of"] >= table.first + pd.Timedelta(365, unit="D")]
    if 0 < old["as_of"].nunique() < len(holdouts):
        later = means(old)
        print(f"\nThe {old['as_of'].nunique()} hold-outs with a year of the log before them:")
        print(later[~later.index.str.startswith("~")].to_string(float_format="{:.4f}".format, na_rep="-"))
        goals(task, old)
    honest = mean.loc["plain LightGBM", "AUC"]
    print("\nThe same trees on the same hold-outs, measured the wrong way:")
    for name, words in (("~ random rows", "random split of the rows"), ("~ not purged", "cutoffs not purged")):
        print(f"  {words:25s} AUC {mean.loc[name, 'AUC']:.4f}: flatters by {mean.loc[name, 'AUC'] - honest:+.4f}")
    by_cutoff = lines.pivot_table(index="as_of", columns="contender", values=["AUC", "calibration"])
    mine = lines[lines["contender"] == OURS].set_index("as_of")
    print("\n  hold-out    AUC ours  BG/NBD  LightGBM   calibration ours  BG/NBD  season known   CPU s")
    for at, row in by_cutoff.iterrows():
        season = "yes" if mine.loc[at, "season"] else "no"
        auc, error = row["AUC"], row["calibration"]
        print(
            f"  {at:%Y-%m-%d}  {auc[OURS]:8.4f}  {auc[BG_NBD]:6.4f}  {auc['plain LightGBM']:8.4f}"
            f"   {error[OURS]:16.3f}  {error[BG_NBD]:6.3f}  {season:>12s}  {mine.loc[at, 'seconds']:6.1f}"
        )
    print("\nAll hold-outs:")
    goals(task, lines)


def means(lines: pd.DataFrame) -> pd.DataFrame:
    """The mean over the hold-outs."""
    return lines.groupby("contender", sort=False)[["AUC", "Brier", "calibration", "lift"]].mean()


def goals(task: Task, lines: pd.DataFrame) -> None:
    """What is reached, and what is not."""
    mean = means(lines)
    auc, brier, bound = mean.loc[OURS, "AUC"], mean.loc[OURS, "Brier"], mean.loc[BG_NBD, "Brier"]
    print(f"  AUC at least {task.goal}: {said(auc >= task.goal)} ({auc:.4f})")
    print(f"  Brier at most that of BG/NBD: {said(brier <= bound)} ({brier:.4f}, {bound:.4f})")
    seasons = lines.loc[(lines["contender"] == OURS) & (lines["season"] == True), "as_of"]  # noqa: E712 (or missing)
    if len(seasons):
        known = means(lines[lines["as_of"].isin(seasons)])
        error, brier, bound = known.loc[OURS, "calibration"], known.loc[OURS, "Brier"], known.loc[BG_NBD, "Brier"]
        print(f"  calibration error at most .05 where a season is known: {said(error <= 0.05)} ({error:.3f})")
        print(f"  Brier at most that of BG/NBD there: {said(brier <= bound)} ({brier:.4f}, {bound:.4f})")


def said(reached: bool) -> str:
    """Yes or no."""
    return "reached" if reached else "NOT reached"


def main() -> None:
    """Measure the logs that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the public logs")
    parser.add_argument("--logs", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--every", type=int, default=30, help="days between cutoffs")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.logs:
        run(TASKS[name], options.data, options.every)


if __name__ == "__main__":
    main()
