"""The rolling origin of a backtest: train on the past of every hold-out, score the hold-out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import spoken
from crmml.errors import ConfigError, DataError
from crmml.features.aggregate import Aggregate
from crmml.features.cutoffs import purged, require_purged
from crmml.features.datasets import Dataset, build_dataset
from crmml.features.feature_set import FeatureSet
from crmml.features.targets import Target
from crmml.jobs.buyers import BuyersRule, buyers_rules
from crmml.jobs.holdout import Holdout, contender_rows, suspicions
from crmml.jobs.parts import progress_bar, to_fit
from crmml.jobs.rules import rule_rows, segment_of, with_extra
from crmml.report.backtest import Skipped
from crmml.report.measures import Floats, holdout_table, measures_of

Plan = tuple[tuple[pd.Timestamp, tuple[pd.Timestamp, ...]], ...]


def rolling_plan(cutoffs: Sequence[pd.Timestamp], target: Target, job: str = "backtest") -> Plan:
    """Every hold-out cutoff with the earlier cutoffs that may train for it.

    A cutoff may train where cutoff + gap + horizon <= hold-out: its labels were complete by then. Cutoffs
    without any that may are no hold-outs.

    Raises:
        ConfigError: there is only one cutoff.
        LeakageError: all cutoffs lie nearer than gap + horizon.

    >>> import crmml as cm
    >>> from crmml.data.time import moments_of
    >>> plan = rolling_plan(moments_of(["2024-01-01", "2024-02-01", "2024-03-01"]), cm.Churn("60d"))
    >>> [(f"{holdout:%b}", [f"{one:%b}" for one in training]) for holdout, training in plan]
    [('Mar', ['Jan'])]
    """
    if len(cutoffs) == 1:
        earlier = cutoffs[0] - target.reach
        what = "a backtest" if job == "backtest" else job
        raise ConfigError(
            f"{job}: as_of is one cutoff, {spoken(cutoffs[0])}, but {what} trains on earlier cutoffs than it holds "
            f"out. Give at least two that lie one {target.reach_in_words} apart, for example "
            f"as_of=['{spoken(earlier)}', '{spoken(cutoffs[0])}']."
        )
    plan = tuple((holdout, purged(cutoffs, holdout, target)) for holdout in cutoffs)
    plan = tuple((holdout, training) for holdout, training in plan if training)
    if not plan:
        require_purged([cutoffs[0]], cutoffs[-1], target)  # raises: even the widest distance is too small
    return plan


def rolling_holdouts(
    log: InteractionLog,
    features: FeatureSet,
    target: Target,
    model: Any,
    *,
    by: Aggregate | None,
    cutoffs: Sequence[pd.Timestamp],
    progress: bool,
) -> tuple[list[Holdout], list[Skipped]]:
    """The measured hold-outs, and those that cannot be measured with the reason."""
    plan = rolling_plan(cutoffs, target)
    holdouts, skipped = [], []
    with progress_bar("backtest", 2 + len(plan), progress=progress) as bar:
        X, y = build_dataset(log, with_extra(features, target.rules, by), target, cutoffs)
        bar.update()
        buyers = buyers_rules(log, target, [holdout for holdout, _ in plan])
        bar.update()
        for holdout, training in plan:
            try:
                split = Split(X, y, holdout, training)
                holdouts.append(_measure(split, features, target, model, by=by, buyers=buyers.get(holdout)))
            except DataError as error:
                skipped.append(Skipped(holdout, str(error)))
            bar.update()
    return holdouts, skipped


class Split:
    """The rows of one hold-out cutoff and of the cutoffs that train for it."""

    def __init__(
        self, X: pd.DataFrame, y: pd.Series, holdout: pd.Timestamp, training: tuple[pd.Timestamp, ...]
    ) -> None:
        as_of = X.index.get_level_values("as_of")
        past, now = as_of.isin(list(training)), as_of == holdout
        self.X_train, self.y_train = X[past], y[past]
        self.X_test, self.y_test = X[now], y[now]
        self.holdout, self.training = holdout, training


def _measure(
    split: Split, features: FeatureSet, target: Target, model: Any, *, by: Aggregate | None, buyers: BuyersRule | None
) -> Holdout:
    """Train for one hold-out, score it, and measure the model and every rule on the same rows.

    Raises:
        DataError: one of the two has no rows or nothing to learn or measure, such as labels of one class.
    """
    check_rows(split, target)
    measures = measures_of(target.task)
    names = list(features.names)
    fitted = to_fit(model, target).fit(split.X_train[names], split.y_train)
    score = model_score(fitted, split.X_test[names], target)
    y, index = split.y_test.to_numpy(np.float64), split.X_test.index
    probability = score if target.task == "binary" else None
    more = {} if by is None else {"segment": segment_of(split.X_test[by.name])}
    if target.task == "value" and hasattr(fitted, "predict_interval"):
        lo, hi = fitted.predict_interval(split.X_test[names])
        ends = {"lo": lo, "hi": hi}
    else:
        ends = {}
    rows = [contender_rows(index, (type(model).__name__, "model"), y, score, probability, **ends, **more)]
    now, past = Dataset(split.X_test, split.y_test), Dataset(split.X_train, split.y_train)
    rows += rule_rows(target, now, past, buyers, **more)
    scores = pd.concat(rows, ignore_index=True)
    table = holdout_table(scores, measures, split.training)
    return Holdout(table, scores, suspicions(table, measures[0], split.X_test[names], split.y_test))


def model_score(fitted: Any, X: pd.DataFrame, target: Target) -> Floats:
    """The probability of class 1, or the predicted amount."""
    if target.task == "binary":
        positive = int(np.flatnonzero(np.asarray(fitted.classes_) == 1)[0])
        return np.asarray(fitted.predict_proba(X)[:, positive], dtype=np.float64)
    return np.asarray(fitted.predict(X), dtype=np.float64)


def check_rows(split: Split, target: Target) -> None:
    """Say in the words of the backtest why a hold-out cannot be measured."""
    for what, y in (("this cutoff", split.y_test), ("its training cutoffs", split.y_train)):
        if y.empty:
            raise DataError(f"nobody is in the {target.population!r} as of {what}.")
        if y.nunique() == 1:
            raise DataError(f"all {len(y):,} labels as of {what} are {y.iloc[0]:g}, so there is nothing to tell apart.")
    total = split.y_test.sum()
    if target.task == "value" and total <= 0:
        raise DataError(
            f"the {len(split.y_test):,} labels as of this cutoff sum to {total:g}, and an error relative to that "
            "means nothing."
        )
