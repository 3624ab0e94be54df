"""`train`: from a log and definitions to a bundle that scores."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pandas as pd

from crmml.bundle import Bundle
from crmml.bundle.list_reference import list_reference
from crmml.bundle.reference import Reference
from crmml.bundle.scoring import main_score
from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import DataError
from crmml.features.datasets import build_dataset, build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights, build_interactions
from crmml.features.presets import as_feature_set
from crmml.features.targets import Target
from crmml.jobs.next_offers import calibrate_before
from crmml.jobs.parts import Features, check_parts, progress_bar, to_fit


def train(
    log: InteractionLog,
    features: Features,
    target: Target | None,
    model: Any,
    as_of: AsOf | Sequence[AsOf],
    *,
    progress: bool = True,
) -> Bundle:
    """Fit a clone of the model on the rows of all cutoffs together, and bundle it with its definitions.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates or the name of a preset; for recommenders ItemWeights.
        target: what is predicted; None for segments.
        model: an unfitted estimator; it is cloned and never changed.
        as_of: the cutoffs, mostly `report.training_cutoffs` of a backtest. A recommender learns from everything
            before the latest of them, which holds what the earlier ones saw; for `monitor`, three or more say what is
            usual. A `NextBestOffer` is calibrated one
            horizon earlier, on what was bought from then on: nothing at or after the cutoff is seen.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A Bundle, ready to save, track or score; it also holds how the training rows were distributed, for `monitor`.

    Raises:
        ConfigError: parts that do not belong together.
        LeakageError: the horizon of a cutoff runs past the end of the log.
        DataError: nobody is in the population, or all labels are of one class.
        SchemaError: the log lacks a column.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", cm.Spend("60d"), cm.LifetimeValueRegressor(num_iterations=10), "2024-01-01")
    >>> list(bundle.score(log, as_of="2024-06-01").columns)
    ['customer_id', 'as_of', 'clv', 'clv_lo', 'clv_hi', 'tier', 'p_top_tier', 'model_id']
    """
    check_parts("train", log, features, target, model)
    asked = cutoffs = moments_of(as_of)
    unfitted = to_fit(model, target)
    with progress_bar("train", 2, progress=progress) as bar:
        if isinstance(features, ItemWeights):
            cutoffs = cutoffs[-1:]
            definition: FeatureSet | ItemWeights = features
            rows: tuple[Any, ...] = (build_interactions(log, features, cutoffs, in_order=model.reads_order),)
            calibrate_before(log, features, target, unfitted, cutoffs[0])
        else:
            definition = as_feature_set(features, log)
            rows = _rows(log, definition, target, cutoffs)
        bar.update()
        fitted = unfitted.fit(*rows)
        if isinstance(definition, ItemWeights):
            reference = list_reference(log, definition, target, fitted, asked)
        else:
            reference = Reference.of(rows[0], main_score(fitted, target, rows[0]), *rows[1:])
        bar.update()
    return Bundle(
        definition,
        target,
        fitted,
        roles=log.roles,
        training_cutoffs=cutoffs,
        cleaning=log.cleaning,
        fingerprint=_fingerprint(rows),
        reference=reference,
    )


def _rows(
    log: InteractionLog, features: FeatureSet, target: Target | None, cutoffs: Sequence[pd.Timestamp]
) -> tuple[Any, ...]:
    """The table to fit on, with its labels where there is a target."""
    if target is None:
        X = build_features(log, features, cutoffs)
        if X.empty:
            raise DataError(
                f"train: no customer has a history as of {_spoken(cutoffs)}. Use a later cutoff, or another log."
            )
        return (X,)
    X, y = build_dataset(log, features, target, cutoffs)
    if y.nunique() == 1:
        raise DataError(
            f"train: all {len(y):,} labels of {target!r} as of {_spoken(cutoffs)} are {y.iloc[0]:g}, so there is "
            "nothing to learn. Use more cutoffs, another horizon, or a wider population."
        )
    return X, y


def _fingerprint(tables: Sequence[pd.DataFrame | pd.Series]) -> str:
    """SHA-256 of the training tables: the same for the same rows and columns, whatever the log's source was."""
    digest = sha256()
    for table in tables:
        # Not reset_index(): pandas warns that its hundred columns lie in a hundred pieces.
        keys = table.index.to_frame(index=False) if isinstance(table.index, pd.MultiIndex) else pd.DataFrame()
        for name, column in [*keys.items(), *pd.DataFrame(table).items()]:
            digest.update(repr(name).encode())
            digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _spoken(cutoffs: Sequence[pd.Timestamp]) -> str:
    return ", ".join(spoken(cutoff) for cutoff in cutoffs)
