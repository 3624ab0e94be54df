"""Trees that order the rows of a group: LambdaRank."""

from typing import NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from crmml.trees.booster import DETERMINISTIC, Trees, threads_of
from crmml.trees.text import shortened

OBJECTIVE = "lambdarank"


class Groups(NamedTuple):
    """Rows to be ordered: X, shape (rows, columns); wanted, shape (rows,); sizes of the groups, one after the other."""

    X: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    sizes: NDArray[np.int64]


def train_ranker(
    train: Groups,
    stop: Groups,
    *,
    k: int,
    num_leaves: int = 31,
    learning_rate: float = 0.05,
    truncation: int = 30,
    num_iterations: int = 300,
    patience: int = 20,
    n_jobs: int = 1,
) -> Trees:
    """Trees whose raw score puts wanted rows first, as many as give the highest NDCG at k on other groups.

    train: what they learn from. stop: what decides how many there are. patience: rounds without a higher figure
    after which training ends.
    Source: Burges (2010), From RankNet to LambdaRank to LambdaMART, MSR-TR-2010-82.
    """
    parameters = {
        **DETERMINISTIC,
        "objective": OBJECTIVE,
        "metric": "ndcg",
        "eval_at": [k],
        "num_leaves": num_leaves,
        "learning_rate": learning_rate,
        "lambdarank_truncation_level": truncation,
        "min_data_in_leaf": min(100, max(5, len(train.wanted) // 200)),
        "num_threads": threads_of(n_jobs),
    }
    data = lgb.Dataset(train.X, train.wanted.astype(np.int32), group=train.sizes, params=parameters)
    other = lgb.Dataset(stop.X, stop.wanted.astype(np.int32), group=stop.sizes, reference=data, params=parameters)
    booster = lgb.train(
        parameters,
        data,
        num_iterations,
        valid_sets=[other],
        callbacks=[lgb.early_stopping(patience, first_metric_only=True, verbose=False)],
    )
    return Trees(shortened(booster.model_to_string(num_iteration=booster.best_iteration)))
