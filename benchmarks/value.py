"""Lifetime value on public logs: ours beside BG/NBD, simple rules and the usual LightGBM, on rolling purged cutoffs.

    python benchmarks/value.py --data folder [--only or90 or180 cd91 cj60 cd273] [--every 1]

`folder` is described in benchmarks/logs.py. At each hold-out t every contender knows the history before t, and labels
that were complete by t (cutoff + horizon <= t). BG/NBD with Gamma-Gamma is fitted to the hold-out's own history. The
usual recipe is LightGBM under a Tweedie loss on the raw features of presets.standard; beside it stand the small,
regularised trees that LifetimeValueRegressor falls back to where it knows no history. Spend is net of returns.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import logs  # noqa: E402  (the repository's root has to be on the path)

import crmml as cm  # noqa: E402
from crmml.metrics import mae, normalised_gini, spearman, total_error  # noqa: E402
from crmml.models._buyers import Buyers  # noqa: E402
from crmml.models._history import find_history, read_history  # noqa: E402

Floats = np.ndarray[Any, np.dtype[np.float64]]
OURS, BTYD, EW, LAST = "crmml", "BG/NBD + Gamma-Gamma", "exponentially weighted", "last period"
USUAL, SMALL = "LightGBM, the usual recipe", "small trees, raw features"
RULES = (EW, LAST)
USUAL_RECIPE = {"num_leaves": 31, "learning_rate": 0.05, "verbosity": -1, "num_threads": 1, "seed": 0}
ROUNDS = 200
COVERAGE = 0.9


class Task(NamedTuple):
    """A log, how far it is predicted, the cutoffs: every `step` days up to `last`, of which the last `held` are tested.

    `labels`: the horizon of the labels that are trained on, where it is not the horizon of the prediction.
    """

    title: str
    log: Callable[[Path], Any]
    horizon: int
    last: str
    step: int
    count: int
    held: int
    labels: int | None = None


TASKS = {
    "or90": Task("Online Retail II, 90 days", logs.online_retail_2, 90, "2011-09-10", 30, 20, 10),
    "or180": Task("Online Retail II, 180 days", logs.online_retail_2, 180, "2011-06-12", 30, 17, 7),
    "cd91": Task("CDNOW, 91 days", logs.cdnow, 91, "1998-03-31", 28, 14, 7),
    "cj60": Task("Complete Journey sample, 60 days", logs.complete_journey, 60, "2017-11-01", 20, 12, 6),
    "cd273": Task("CDNOW, 39 weeks after 39 weeks", logs.cdnow, 273, "1997-09-30", 91, 1, 1, labels=91),
}


class Holdout(NamedTuple):
    """The rows that are trained on and the rows that are tested, at one cutoff."""

    X: pd.DataFrame
    y: pd.Series
    X_test: pd.DataFrame
    y_test: pd.Series
    labels: int
    horizon: int


def holdouts(task: Task, data: Path, every: int) -> Iterator[tuple[pd.Timestamp, Holdout]]:
    """The hold-outs of a task, earliest first; of the last `held` cutoffs every `every`-th, the last one included."""
    log = task.log(data)
    last = pd.Timestamp(task.last, tz="UTC")
    cutoffs = [last - pd.Timedelta(days=task.step * back) for back in reversed(range(task.count))]
    labels = task.labels or task.horizon
    rule = cm.Sum("amount", window=f"{task.horizon}d")
    features = cm.presets.standard(log)
    features = features if rule.name in features.names else cm.FeatureSet([*features, rule])
    X_test, y_test = cm.build_dataset(log, features, cm.Spend(f"{task.horizon}d"), cutoffs[-task.held :])
    earlier = cutoffs if task.labels is None else [last - pd.Timedelta(days=labels + 28 * back) for back in range(4)]
    X, y = cm.build_dataset(log, features, cm.Spend(f"{labels}d"), sorted(earlier))
    for cutoff in cutoffs[-task.held :][::-1][::every][::-1]:
        known = at(X) + pd.Timedelta(days=labels) <= cutoff
        now = at(X_test) == cutoff
        yield cutoff, Holdout(X[known], y[known], X_test[now], y_test[now], labels, task.horizon)


def at(table: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(table.index.get_level_values("as_of"))


# Contenders ---------------------------------------------------------------------------------------------------


def predictions(one: Holdout, model: cm.LifetimeValueRegressor) -> dict[str, Floats]:
    """What each contender expects of the tested rows."""
    columns = find_history(list(one.X_test.columns))
    if columns is None:
        raise SystemExit("the features tell no history of purchases")
    history = read_history(one.X_test.to_numpy(np.float64), columns)
    buyers = Buyers.learn(history)
    if buyers is None:
        raise SystemExit("BG/NBD does not fit")
    small = cm.LifetimeValueRegressor().fit(one.X, one.y)
    scale = one.horizon / one.labels
    return {
        OURS: model.predict(one.X_test, horizon=f"{one.horizon}d"),
        BTYD: buyers.expected_spend(history, one.horizon),
        EW: np.maximum(history.spend_rate, 0.0) * one.horizon,
        LAST: one.X_test[f"sum_amount_{one.horizon}d"].to_numpy(),
        USUAL: usual(one.X, one.y, objective="tweedie", tweedie_variance_power=1.5).predict(one.X_test) * scale,
        SMALL: small.predict(one.X_test) * scale,
    }


def usual(X: pd.DataFrame, y: pd.Series, **parameters: Any) -> lgb.Booster:
    """LightGBM as it is used everywhere: 200 trees of 31 leaves."""
    label = np.maximum(y.to_numpy(), 0.0)
    return lgb.train({**USUAL_RECIPE, **parameters}, lgb.Dataset(X.to_numpy(), label), ROUNDS)


def intervals(one: Holdout, model: cm.LifetimeValueRegressor) -> dict[str, tuple[Floats, Floats]]:
    """The limits of each contender, for 90 %."""
    missed, scale = 1 - COVERAGE, one.horizon / one.labels
    low, high = (
        np.maximum(usual(one.X, one.y, objective="quantile", alpha=alpha).predict(one.X_test), 0.0) * scale
        for alpha in (missed / 2, 1 - missed / 2)
    )
    customers = one.X.index.get_level_values("customer_id")
    held = pd.util.hash_array(customers.to_numpy()) % 5 == 0
    split = usual(one.X[~held], one.y[~held], objective="tweedie", tweedie_variance_power=1.5)
    error = np.quantile(np.abs(one.y[held] - split.predict(one.X[held])), COVERAGE) * scale
    middle = split.predict(one.X_test) * scale
    return {
        OURS: model.predict_interval(one.X_test, COVERAGE, horizon=f"{one.horizon}d"),
        "LightGBM quantile regression": (low, np.maximum(low, high)),
        "split conformal, absolute": (np.maximum(middle - error, 0.0), middle + error),
    }


# Measures -----------------------------------------------------------------------------------------------------


def measured(y: Floats, predicted: Floats) -> dict[str, float]:
    return {
        "Gini": normalised_gini(y, predicted),
        "Spearman": spearman(y, predicted),
        "MAE": mae(y, predicted),
        "total": total_error(y, predicted),
    }


def covered(y: Floats, low: Floats, high: Floats, order: Floats) -> dict[str, float]:
    """Coverage of all, and of the tenth with the highest forecasts of ours; the Winkler score over the mean of `y`.

    Net returns count as nothing spent, as in every model here.
    """
    y = np.maximum(y, 0.0)
    inside = (low <= y) & (y <= high)
    penalty = 2 / (1 - COVERAGE) * (np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0))
    top = order >= np.quantile(order, 0.9)
    return {
        "covered": inside.mean(),
        "top decile": inside[top].mean(),
        "Winkler": np.mean(high - low + penalty) / y.mean(),
    }


# Tables -------------------------------------------------------------------------------------------------------


def run(task: Task, data: Path, every: int) -> None:
    """Print the tables of one task."""
    scores, limits, designs = [], [], {}
    begin = time.process_time()
    for cutoff, one in holdouts(task, data, every):
        model = cm.LifetimeValueRegressor(horizon=f"{one.labels}d").fit(one.X, one.y)
        y, day = one.y_test.to_numpy(), f"{cutoff:%Y-%m-%d}"
        found = predictions(one, model)
        designs[day] = (len(y), model.design_)
        scores += [{"cutoff": day, "contender": name, **measured(y, values)} for name, values in found.items()]
        for name, (low, high) in intervals(one, model).items():
            limits.append({"cutoff": day, "contender": name, **covered(y, low, high, found[OURS])})
    print(f"\n### {task.title}\n")
    print(means(pd.DataFrame(scores), {"Gini": 4, "Spearman": 3, "MAE": 2, "total": 2}))
    print(by_cutoff(pd.DataFrame(scores), designs))
    print(means(pd.DataFrame(limits), {"covered": 3, "top decile": 3, "Winkler": 2}))
    print(f"CPU {time.process_time() - begin:.0f} s", flush=True)


def means(table: pd.DataFrame, digits: dict[str, int]) -> str:
    """The mean over the cutoffs, a contender per line."""
    mean = table.groupby("contender", sort=False)[list(digits)].mean()
    rows = [[name, *(f"{row[key]:.{n}f}" for key, n in digits.items())] for name, row in mean.iterrows()]
    return markdown(["mean over the cutoffs", *digits], rows)


def by_cutoff(table: pd.DataFrame, designs: dict[str, tuple[int, str]]) -> str:
    """Ours at each cutoff, and its differences to BG/NBD and to the better one of the simple rules there."""
    gini, errors = (table.pivot(index="cutoff", columns="contender", values=key) for key in ("Gini", "MAE"))
    rows = []
    for day, (customers, design) in designs.items():
        best = max(RULES, key=lambda rule: gini.loc[day, rule])
        rows.append(
            [
                *(day, f"{customers:,}", design, f"{gini.loc[day, OURS]:.4f}"),
                f"{gini.loc[day, OURS] - gini.loc[day, BTYD]:+.4f}",
                f"{gini.loc[day, OURS] - gini.loc[day, best]:+.4f} ({best})",
                f"{errors.loc[day, OURS] / errors.loc[day, BTYD] - 1:+.1%}",
            ]
        )
    names = ["hold-out", "customers", "design", "Gini", "- BG/NBD", "- best simple rule", "MAE to that of BG/NBD"]
    return markdown(names, rows)


def markdown(names: list[str], rows: list[list[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the public data sets")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), help="some of the tasks")
    parser.add_argument("--every", type=int, default=2, help="test every n-th of the hold-outs (2)")
    options = parser.parse_args()
    for name in options.only:
        run(TASKS[name], options.data, options.every)


if __name__ == "__main__":
    main()
