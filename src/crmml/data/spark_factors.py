"""A matrix factorised by Spark's MLlib: arrays in, arrays out."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import ConfigError, MissingExtraError

Factors = NDArray[np.float32]


def spark_factors(
    session: Any,
    cells: pd.DataFrame,
    shape: tuple[int, int],
    *,
    rank: int,
    iterations: int,
    regularization: float,
    alpha: float,
    seed: int,
) -> tuple[Factors, Factors]:
    """The factors of rows and columns by MLlib's ALS on implicit feedback, shapes (rows, rank) and (columns, rank).

    It minimises the sum over all cells of c (p - x'y)^2 with c = 1 + alpha weight and p = 1 where there is a weight,
    and regularization times the number of weights of each row and column times its squared length. Rows and columns
    without a weight are 0.

    Every pass makes Spark's plan deeper: ten or more can end in a StackOverflowError of Java, unless the user has set
    `session.sparkContext.setCheckpointDir(folder)`, which is not changed here.

    cells: `row`, `column` (whole numbers from 0, below 2^31), `weight` (above 0).
    Raises `MissingExtraError`: pyspark is not installed; `ConfigError`: session is something else.
    """
    try:
        from pyspark.ml.recommendation import ALS
    except ImportError as error:
        raise MissingExtraError("fit_on_spark", "pyspark", extra="spark") from error
    if not callable(getattr(session, "newSession", None)):
        raise ConfigError(
            f"fit_on_spark: session must be a SparkSession, not {session!r}. Use SparkSession.builder.getOrCreate()."
        )
    table = session.createDataFrame(cells.astype({"row": "int32", "column": "int32", "weight": "float32"}))
    learner = ALS(
        rank=rank,
        maxIter=iterations,
        regParam=regularization,
        alpha=alpha,
        implicitPrefs=True,
        userCol="row",
        itemCol="column",
        ratingCol="weight",
        seed=seed,
    )
    fitted = learner.fit(table)
    return _array(fitted.userFactors, shape[0], rank), _array(fitted.itemFactors, shape[1], rank)


def _array(side: Any, size: int, rank: int) -> Factors:
    found = np.zeros((size, rank), dtype=np.float32)
    for line in side.collect():
        found[line["id"]] = line["features"]
    return found
