"""`backtest`: how good would the scores have been, at earlier cutoffs, beside simple rules?

Rolling origin: for every hold-out cutoff the model is trained anew on the earlier cutoffs whose labels were
complete by then, and scores customers whose future it has not seen. Rows are never split at random: that would
let a model see a customer's future through another row of the same customer.
"""

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import ConfigError, DataError
from crmml.features.aggregate import Aggregate
from crmml.features.interactions import ItemWeights
from crmml.features.presets import as_feature_set
from crmml.features.targets import NextItems, Target
from crmml.jobs.holdout import Holdout
from crmml.jobs.items import items_holdouts
from crmml.jobs.parts import Features, check_parts
from crmml.jobs.rolling import rolling_holdouts
from crmml.report.backtest import BacktestReport, Skipped

# The length of the recommended lists that are measured: one screen.
K = 10


def backtest(
    log: InteractionLog,
    features: Features,
    target: Target,
    model: Any,
    as_of: AsOf | Sequence[AsOf],
    *,
    by: Aggregate | None = None,
    progress: bool = True,
) -> BacktestReport:
    """Measure a model on rolling cutoffs, beside every simple rule of the target.

    For each cutoff t with earlier cutoffs whose labels end by t (cutoff + gap + horizon <= t), a clone of
    the model is trained on all rows of those cutoffs and scores the population of t. The rules score the same
    rows; for Brier score and calibration error they get probabilities by isotonic regression on the same
    training rows, and where the target is an amount they are a guess of the amount themselves. Cutoffs without
    such earlier ones are only trained on. A recommender is trained on the history before t, so every cutoff is a
    hold-out; its lists are measured on items that a customer had not had before.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates or the name of a preset; for recommenders ItemWeights.
        target: what is predicted: Churn, Repurchase, Spend or NextItems.
        model: an unfitted estimator; it is cloned and never changed.
        as_of: the cutoffs, at least two that lie gap + horizon apart (one for recommenders).
        by: a feature whose values are segments to look at one by one, such as TopValue("channel") or
            Latest("country"); a number of many values is cut into quarters.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A BacktestReport: printable, with tables, pictures and a page.

    Raises:
        ConfigError: parts that do not belong together; a segmenter, which predicts nothing; one cutoff.
        LeakageError: the horizon of a cutoff runs past the end of the log; all cutoffs lie nearer than gap +
            horizon.
        DataError: no hold-out can be measured; one that cannot, beside others that can, is in `report.skipped`.
        SchemaError: the log lacks a column.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> cutoffs = cm.cutoffs("2024-01-01", "2024-05-30", every="30d")
    >>> report = cm.backtest(log, "rfm", churn, cm.ChurnClassifier(num_iterations=20), cutoffs)
    >>> len(report.cutoffs), len(report.training_cutoffs)
    (4, 6)
    """
    if target is None:
        raise ConfigError(
            "backtest: target is None, and segments predict nothing that could be measured. Use train(log, features, "
            "None, model, as_of), and look at the segments; or give a target, for example Churn(horizon='60d')."
        )
    task = check_parts("backtest", log, features, target, model)
    cutoffs = moments_of(as_of)
    _check_by(by, features)
    holdouts, skipped = _holdouts(log, features, target, model, by=by, cutoffs=cutoffs, progress=progress)
    if not holdouts:
        reasons = " ".join(f"{spoken(one.as_of)}: {one.reason}" for one in skipped)
        raise DataError(
            f"backtest: no hold-out cutoff of {target!r} can be measured. {reasons} "
            "Use other cutoffs, another horizon, or more customers."
        )
    return BacktestReport(
        task=task,
        target=repr(target),
        model=" ".join(repr(model).split()),
        table=pd.concat([one.table for one in holdouts], ignore_index=True),
        scores=pd.concat([one.scores for one in holdouts], ignore_index=True),
        training_cutoffs=cutoffs,
        skipped=tuple(skipped),
        warnings=tuple(warning for one in holdouts for warning in one.warnings),
        k=K,
    )


def _holdouts(
    log: InteractionLog,
    features: Features,
    target: Target,
    model: Any,
    *,
    by: Aggregate | None,
    cutoffs: Sequence[pd.Timestamp],
    progress: bool,
) -> tuple[list[Holdout], list[Skipped]]:
    if isinstance(features, ItemWeights):
        target = cast(NextItems, target)  # check_parts has seen to it
        return items_holdouts(log, features, target, model, cutoffs=cutoffs, k=K, progress=progress)
    found = as_feature_set(features, log)
    return rolling_holdouts(log, found, target, model, by=by, cutoffs=cutoffs, progress=progress)


def _check_by(by: Any, features: Features) -> None:
    if by is None:
        return
    if not isinstance(by, Aggregate):
        raise ConfigError(f"backtest: by is {by!r}. Use a feature whose values are segments: by=TopValue('channel').")
    if isinstance(features, ItemWeights):
        raise ConfigError(f"backtest: by={by!r} needs features, but recommenders have ItemWeights. Leave by out.")
