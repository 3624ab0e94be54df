"""One boosted model of a raw score per row, and how it is trained.

A trained model is its text; prediction always runs on a booster read back from that text, so that a
model just trained and the same model loaded from a file predict the same to the last bit.
"""

from collections.abc import Mapping
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from crmml.errors import ConfigError
from crmml.trees.text import shortened

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# One seed, no race between threads, one histogram layout: the same trees on every run.
DETERMINISTIC = {"deterministic": True, "force_row_wise": True, "feature_pre_filter": False, "verbosity": -1}
# A share of fewer rows can be no row at all, which LightGBM refuses.
_LEAST_TO_BAG = 10
MOST_THREADS = 1024


class Trees:
    """A trained LightGBM model of one raw score per row."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._booster = lgb.Booster(model_str=text)

    def raw(self, X: NDArray[np.floating[Any]], n_jobs: int) -> Floats:
        """Raw scores (log odds, or the log of the mean), shape (rows,)."""
        scores = self._booster.predict(X, raw_score=True, num_threads=threads_of(n_jobs))
        return np.asarray(scores, dtype=np.float64)

    def contributions(self, X: Floats, n_jobs: int) -> Floats:
        """What each column adds to the raw score, and in the last one the mean raw score: (rows, columns + 1).

        Rows sum to `raw`: Shapley values of trees (S. Lundberg et al., Nature Machine Intelligence 2, 2020).
        """
        parts = self._booster.predict(X, pred_contrib=True, num_threads=threads_of(n_jobs))
        return np.asarray(parts, dtype=np.float64)

    def gains(self) -> Floats:
        """Share of the total gain by feature; all 0 where no tree split."""
        gains = np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)
        total = gains.sum()
        return gains / total if total > 0 else gains

    # A booster is a pointer into LightGBM: copies and worker processes get the text.
    def __getstate__(self) -> dict[str, str]:
        return {"text": self.text}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.text = state["text"]
        self._booster = lgb.Booster(model_str=self.text)


class TreeTrainer:
    """Trains on all or some rows of one table, which is binned once."""

    def __init__(self, X: Floats, label: Floats, parameters: Mapping[str, Any], *, n_jobs: int) -> None:
        own = dict(parameters)
        self._rounds = int(own.pop("num_iterations"))
        self._min_rows = int(own.pop("min_data_in_leaf"))
        self._parameters = own | DETERMINISTIC | {"num_threads": threads_of(n_jobs)}
        self._data = lgb.Dataset(X, label, params=self._for(len(label)), free_raw_data=False)
        self._n_rows = len(label)

    def train(self, rows: Ints | None = None, *, offset: Floats | None = None) -> Trees:
        """The model of these rows; of all rows where none are named.

        offset: raw scores that the trees begin from, and learn to correct, of the same rows; they are not part of
        what the trees predict.
        """
        if rows is None:
            data, count = self._data, self._n_rows
        else:
            data, count = self._data.construct().subset(rows.tolist()), len(rows)
        # Of the last training, too, where this one has none: set_init_score(None) would leave it there.
        data.construct().set_field("init_score", offset)
        booster = lgb.train(self._for(count), data, self._rounds)
        return Trees(shortened(booster.model_to_string()))

    def _for(self, n_rows: int) -> dict[str, Any]:
        fitting = {"min_data_in_leaf": rows_in_leaf(self._min_rows, n_rows)}
        if n_rows < _LEAST_TO_BAG:
            fitting["bagging_freq"] = 0
        return self._parameters | fitting


def rows_in_leaf(asked: int, n_rows: int) -> int:
    """The least rows of a leaf: as asked, but never above a twentieth of the rows, nor cut below 5.

    A leaf of 200 rows is sound for ten thousand customers and forbids every split for three hundred.

    >>> rows_in_leaf(200, 100_000), rows_in_leaf(200, 1_000), rows_in_leaf(200, 30), rows_in_leaf(2, 30)
    (200, 50, 5, 2)
    """
    return min(asked, max(5, n_rows // 20))


def threads_of(n_jobs: Any) -> int:
    """LightGBM's number of threads for scikit-learn's: -1 is all cores.

    Asked for a million threads, OpenMP ends the process; a parameter can come from a file that somebody else made.

    Raises:
        ConfigError: it is no number of threads, or larger than 1,024.

    >>> threads_of(2), threads_of(-1)
    (2, 0)
    """
    whole = isinstance(n_jobs, int | np.integer) and not isinstance(n_jobs, bool)
    if not whole or not (n_jobs == -1 or 1 <= n_jobs <= MOST_THREADS):
        most = f"from 1 to {MOST_THREADS}"
        raise ConfigError(f"n_jobs is {n_jobs!r}. Use -1 for all cores, or a number of threads {most}.")
    return 0 if n_jobs == -1 else int(n_jobs)
