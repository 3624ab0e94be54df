"""`monitor`: is the log of today still like that of the training, and were earlier predictions right?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from crmml.bundle import Bundle
from crmml.bundle.drift import Row, as_table, compare, level_row, population_row
from crmml.bundle.list_reference import coverage_row, list_rows
from crmml.bundle.reference import LABEL, SCORE, Reference
from crmml.bundle.scoring import main_score
from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moment_of, spoken
from crmml.errors import ConfigError, CrmmlError, DataError
from crmml.features.datasets import build_features
from crmml.features.interactions import ItemWeights
from crmml.jobs.realised import realised
from crmml.jobs.realised_lists import hit_row, realised_lists
from crmml.jobs.tracking import load_bundle
from crmml.metrics.drift import LEAST_CUTOFFS, benjamini_hochberg
from crmml.report.backtest import BacktestReport
from crmml.report.monitor import MonitorReport

# By how much the number of customers, or the level of the predictions, must be off to be worth an alarm.
LEAST_CHANGE = 0.1


def monitor(
    bundle: Bundle | str | Path,
    log: InteractionLog,
    as_of: AsOf,
    *,
    scores: pd.DataFrame | str | Path | None = None,
    false_alarms: float = 0.05,
    least_psi: float = 0.1,
    tracking_uri: str | None = None,
) -> MonitorReport:
    """Compare the customers of a log as of a cutoff with those a bundle was trained on, and look back at its scores.

    Every feature, the score and the number of customers are compared with the training cutoffs. An alarm is a
    difference that is more than chance, more than what was usual between the training cutoffs, and large enough to
    matter. Where a horizon has passed since the training, predictions are compared with what happened.

    Seasons are drift, unless the training cutoffs have seen them: train on a year of cutoffs.

    Args:
        bundle: a Bundle, the path of its folder, or the URI that `track` returned; of `train`, which keeps the
            distributions of its training cutoffs.
        log: the interactions up to now.
        as_of: the cutoff, as for `score`.
        scores: earlier scores, as for `realised`. Without them, the bundle is asked again what it would have
            predicted one horizon before `as_of`, where that lies behind everything it was trained on.
        false_alarms: the chance of any alarm where nothing has changed; p-values are corrected for their number
            (Benjamini and Hochberg), so of many alarms at most this share is expected to be false.
        least_psi: the population stability index below which a difference is not worth an alarm.
        tracking_uri: the MLflow store, for a URI.

    Returns:
        A MonitorReport: print it, take its `table`, its `figure()` or its `exit_code`.

    Raises:
        ConfigError: the bundle has no reference distributions; a share out of range; a cutoff outside the log.
        DataError: nobody is in the population; values that cannot be used.
        BundleError, SchemaError: the bundle is damaged, the log lacks a column.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> cutoffs = cm.cutoffs("2023-10-01", "2024-04-01", every="60d")
    >>> bundle = cm.train(log, "rfm", churn, cm.ChurnClassifier(num_iterations=20), cutoffs)
    >>> report = cm.monitor(bundle, log, "2024-08-01")
    >>> report.exit_code, report.table["kind"].unique().tolist()
    (0, ['population', 'feature', 'score', 'level', 'label'])
    """
    if not isinstance(log, InteractionLog):
        raise ConfigError(f"monitor: log is {log!r}. Use InteractionLog(source, customer_id=..., ...).")
    for name, share in (("false_alarms", false_alarms), ("least_psi", least_psi)):
        if not 0 < share < 1:
            raise ConfigError(f"monitor: {name} is {share!r}. Use a number between 0 and 1, such as {name}=0.05.")
    loaded = load_bundle(bundle, tracking_uri=tracking_uri)
    reference, cutoff = _reference(loaded), moment_of(as_of)
    cleaned = loaded.cleaned(log)
    rows, notes = _now(loaded, reference, cleaned, cutoff), _notes(reference)
    outcome = None
    if loaded.target is not None:
        try:
            outcome = _outcome(loaded, cleaned, cutoff, scores)
            rows += [hit_row(outcome)] if loaded.task == "items" else _looking_back(reference, outcome)
        except CrmmlError as error:
            if scores is not None:
                raise
            notes.append(f"Predicted against realised: {error}")
    return MonitorReport(
        table=_judged(as_table(rows), false_alarms, least_psi),
        model_id=loaded.model_id,
        model=type(loaded.model).__name__,
        target=repr(loaded.target),
        as_of=cutoff,
        training_cutoffs=loaded.training_cutoffs,
        compared_with=reference.n_cutoffs,
        problems=cleaned.check().problems,
        notes=tuple(notes),
        realised=outcome,
        false_alarms=false_alarms,
        least_psi=least_psi,
    )


def _reference(bundle: Bundle) -> Reference:
    if bundle.reference is None:
        why = (
            "a recommender keeps them where it was trained with at least three cutoffs, each a horizon or more after "
            "the first event. Train it anew with them: train(..., as_of=cutoffs(start, end, every='30d'))."
            if bundle.task == "items"
            else "it was trained before crmml kept them. Train it anew with train()."
        )
        raise ConfigError(f"monitor: the bundle {bundle.model_id} has no reference distributions: {why}")
    return bundle.reference


def _now(bundle: Bundle, reference: Reference, log: InteractionLog, cutoff: pd.Timestamp) -> list[Row]:
    """The population, the features and the scores as of the cutoff."""
    features = bundle.features
    if isinstance(features, ItemWeights):
        return _lists_now(bundle, features, reference, log, cutoff)
    population = None if bundle.target is None else bundle.target.population
    X = build_features(log, features, cutoff, population=population, known_event_types=False)
    if X.empty:
        who = "customers with a history" if population is None else f"the {population!r}"
        raise DataError(
            f"monitor: nobody is among {who} as of {spoken(cutoff)}. Use a later as_of, or check the event types of "
            "the log: print(log.check())."
        )
    values = {str(name): column for name, column in X.items()} | {SCORE: main_score(bundle.model, bundle.target, X)}
    return [population_row(reference, len(X)), *compare(reference, values)]


def _lists_now(
    bundle: Bundle, interactions: ItemWeights, reference: Reference, log: InteractionLog, cutoff: pd.Timestamp
) -> list[Row]:
    """Who had interactions lately and with what, and what they are offered.

    Scores and coverage are shown beside those of the last training cutoff and not tested: a recommender knows the
    customers and items of its training, so that both move from day to day where nothing changes.
    """
    X, scores = list_rows(log, interactions, bundle.target, bundle.model, cutoff)
    values = {str(name): column for name, column in X.items()}
    last = replace(reference, counts=tuple(counts[-1:] for counts in reference.counts))
    score, covered = compare(last, {SCORE: scores}), coverage_row(last, scores)
    return [population_row(reference, len(X)), *compare(reference, values), *score, covered]


def _notes(reference: Reference) -> list[str]:
    if reference.n_cutoffs >= LEAST_CUTOFFS:
        return []
    return [
        f"Drift is shown and not tested: with {reference.n_cutoffs} training "
        f"cutoff{'' if reference.n_cutoffs == 1 else 's'} nobody knows how much is usual. Train on at least "
        f"{LEAST_CUTOFFS} cutoffs."
    ]


def _outcome(
    bundle: Bundle, log: InteractionLog, cutoff: pd.Timestamp, scores: pd.DataFrame | str | Path | None
) -> BacktestReport:
    """Predictions beside what happened: given scores, or those of one horizon before the cutoff."""
    target = bundle.target
    assert target is not None  # noqa: S101 (asked before)
    if scores is not None:
        return realised(scores, log, target)
    # A recommender learns from no label: all that it has seen lies before its cutoff.
    reach = pd.Timedelta(0) if bundle.task == "items" else target.reach
    earlier, seen = cutoff - target.reach, bundle.training_cutoffs[-1] + reach
    if earlier < seen:
        raise ConfigError(
            f"the training has seen what happened until {spoken(seen)}, so predictions can be tested from "
            f"{spoken(seen + target.reach)} on."
        )
    if bundle.task == "items":
        return realised_lists(bundle, log, earlier)
    return realised(bundle.score(log, earlier, details=False), log, target)


def _looking_back(reference: Reference, outcome: BacktestReport) -> list[Row]:
    """The level of the latest predictions, and the labels that followed."""
    rows = outcome.scores[(outcome.scores["kind"] == "model") & (outcome.scores["as_of"] == outcome.cutoffs[-1])]
    y, predicted = (rows[name].to_numpy(np.float64) for name in ("y", "score"))
    return [level_row(reference, y, predicted), *compare(reference, {LABEL: y})]


def _judged(table: pd.DataFrame, false_alarms: float, least_psi: float) -> pd.DataFrame:
    """The table with `q_value` and `alarm`."""
    least = np.where(table["kind"].isin(["population", "level"]), LEAST_CHANGE, least_psi)
    table["q_value"] = benjamini_hochberg(table["p_value"].to_numpy())
    table["alarm"] = (table["q_value"] <= false_alarms) & (table["effect"] >= least)
    return table
