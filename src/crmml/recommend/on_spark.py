"""ALS fitted by Spark: the same recommender, whose factors a cluster worked out."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmml.data.spark_factors import spark_factors
from crmml.errors import ConfigError
from crmml.recommend.als import ALS
from crmml.recommend.factors import on_grid
from crmml.recommend.matrix import Interactions, interactions_of


def fit_on_spark(model: ALS, interactions: Interactions | pd.DataFrame, session: Any) -> ALS:
    """A fitted clone of the model, its factors learned by MLlib on a running Spark session.

    What comes back is an `ALS` like any other: it recommends, explains likeness, is saved and loaded without Spark.
    MLlib scales the regularization by frequency, so `frequency_exponent` has to be 1; the objective is then that of
    `ALS.fit`, from other starting vectors. The factorisation runs on the cluster; interactions and factors have to
    fit into the memory of this machine, as for every recommender here. For ten `iterations` or more set
    `session.sparkContext.setCheckpointDir(folder)` first: otherwise the plan may grow too deep for Java's stack.

    Args:
        model: an `ALS(frequency_exponent=1.0, ...)`; it is not changed.
        interactions: as for `ALS.fit`.
        session: a running `pyspark.sql.SparkSession`.

    Raises:
        MissingExtraError: pyspark is not installed.
        ConfigError: another frequency_exponent, several starts, another model, no session.
        DataError: as `ALS.fit`.

    >>> table = pd.DataFrame({"customer_id": [1, 2], "item_id": ["tea", "cup"], "weight": 1.0})
    >>> fit_on_spark(ALS(), table, None)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: fit_on_spark: frequency_exponent is 0.0, but MLlib scales the regularization by
    frequency. Use ALS(frequency_exponent=1.0, regularization=0.05).
    """
    where = "fit_on_spark"
    if not isinstance(model, ALS):
        raise ConfigError(f"{where}: model is {model!r:.60}. Use ALS(frequency_exponent=1.0, regularization=0.05).")
    model._check_parameters(where)
    if model.frequency_exponent != 1:
        raise ConfigError(
            f"{where}: frequency_exponent is {model.frequency_exponent}, but MLlib scales the regularization by "
            "frequency. Use ALS(frequency_exponent=1.0, regularization=0.05)."
        )
    if model.starts != 1:
        raise ConfigError(f"{where}: starts is {model.starts}, but MLlib factorises once. Use starts=1.")
    matrix = interactions_of(interactions, where)
    weights = matrix.weights.tocoo()
    some = weights.data > 0
    cells = pd.DataFrame({"row": weights.row[some], "column": weights.col[some], "weight": weights.data[some]})
    customers, items = spark_factors(
        session,
        cells,
        matrix.weights.shape,
        rank=int(model.factors),
        iterations=int(model.iterations),
        regularization=float(model.regularization),
        alpha=float(model.alpha),
        seed=int(model.random_state),
    )
    fitted: ALS = clone(model)
    fitted.matrix_ = matrix
    fitted.customer_factors_, fitted.item_factors_ = on_grid(np.asarray(customers)), on_grid(np.asarray(items))
    return fitted
