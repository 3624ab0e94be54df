"""Who is like the customers on a list: everybody else ranked, in bands."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils import ClassifierTags
from sklearn.utils.validation import check_is_fitted

from crmml.errors import ConfigError, DataError
from crmml.models._alike import NearestLearner, NearestScorer, TreeLearner, TreeScorer
from crmml.models._base import Bools, Floats, Ints, State, check_parameters, customer_groups, label_array
from crmml.models._folds import N_FOLDS, assign_folds
from crmml.models._segmenter import Segmenter
from crmml.models._state import StateReader
from crmml.models._trees import TreeTrainer

_METHODS = ("trees", "nearest")


class Lookalikes(Segmenter):
    """Ranks customers by how much they are like a list of seeds (buyers, members, good accounts).

    `fit(X, y)` gets everybody, with 1 for a seed and 0 for the others, among whom there may be many who ought to be
    on the list. So the others are never scored by a model that has learned them as "not on the list": everybody is
    scored by a model of the other folds (5 folds, all rows of a customer in one), and `ranking()` lists the others by
    these scores. Later customers are scored by a model of all rows.

    `method="trees"` tells seeds from the others by boosted trees (LightGBM); it finds out which columns matter.
    `method="nearest"` compares the distance to the nearest centre of the seeds with that to the nearest centre of the
    others, in the robustly scaled space; centres by k-means, one per 10 seeds and at most 32, as many of either side.
    Every column counts the same, and a dozen seeds will do. No seed's own row is kept in the model.

    The bands are shares of the others: the threshold of "top 5 %" is the score that 5 % of the others exceed, learned
    once. `predict` and `segment` give the band of later customers by these thresholds.

    How good a ranking is, ask `hidden_seed_recall`.

    Parameters:
        method: "trees" or "nearest".
        bands: Where the bands end, shares of the others that rise between 0 and 1.
        num_iterations, num_leaves, learning_rate, min_data_in_leaf, feature_fraction: LightGBM's; on small data a leaf
            needs a twentieth of the rows at most, but 5.
        n_jobs: Threads; -1 for all cores.
        random_state: Seed of trees, folds and centres, a whole number.

    Attributes:
        scores_: Score of each training row by a model that has not seen it, shape (rows,); higher is more alike. Only
            their order means something. Not part of the state.
        thresholds_: Lower ends of the bands, shape (bands,).
        segments_: Names of the bands, the most alike first; `predict` gives positions in it.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    Source: Ke and others (2017), LightGBM; learning from positive and unlabelled cases: Elkan and Noto (2008),
    Learning classifiers from only positive and unlabeled data (the order of such scores is that of the true ones).

    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"visits": rng.gamma(2.0, size=1_000), "age": rng.integers(18, 80, 1_000)})
    >>> seeds = (X["visits"] > 4) & (rng.random(1_000) < 0.5)  # half of those who visit much are on the list
    >>> model = Lookalikes().fit(X, seeds)
    >>> best = model.ranking().head(20)
    >>> bool((X.loc[best["customer_id"], "visits"] > 4).mean() > 0.8)  # mostly the other half
    True
    >>> model.segment(pd.DataFrame({"visits": [0.5, 9.0], "age": [40, 40]})).tolist()
    ['the rest', '1 to 5 %']
    """

    _figures: Floats

    def __init__(
        self,
        method: str = "trees",
        *,
        bands: Sequence[float] = (0.01, 0.05, 0.1, 0.25),
        num_iterations: int = 200,
        num_leaves: int = 15,
        learning_rate: float = 0.05,
        min_data_in_leaf: int = 20,
        feature_fraction: float = 0.7,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.bands = bands
        self.num_iterations = num_iterations
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_data_in_leaf = min_data_in_leaf
        self.feature_fraction = feature_fraction
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)  # two labels: on the list or not
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Learn what the seeds are like.

        Args:
            X: Numbers, shape (rows, columns).
            y: Two different labels, the greater one for the seeds, such as 1 and 0, or True and False: for a list of
                ids `X.index.get_level_values("customer_id").isin(ids)`. Shape (rows,).

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column holds text or dates; `y` is in another order than `X`.
            DataError: An infinite value; `y` has not two labels, or fewer than two rows of one of them.
        """
        self._check_parameters()
        where = f"{type(self).__name__}.fit"
        values, y = self._check_fitting(X, y, ensure_min_samples=2)
        groups = customer_groups(X, y, where)
        seeds, fewest = _seeds(where, y, groups)
        n_folds = min(N_FOLDS, fewest)
        folds = assign_folds(seeds.astype(np.float64), groups, n_folds, self.random_state)
        learner = self._learner(values, seeds)
        scores = np.empty(len(seeds))
        for fold in np.unique(folds):
            out = folds == fold
            scores[out] = learner.learn(np.flatnonzero(~out)).score(values[out], self.n_jobs)
        self._scorer = learner.learn(None)
        self.scores_ = scores
        self._seeds = seeds
        self._ids = _ids(X, len(seeds))
        self.thresholds_ = np.quantile(scores[~seeds], 1 - np.asarray(self.bands, dtype=np.float64))
        self.segments_ = _band_names(self.bands)
        self._figures = _figures(_bands(scores, self.thresholds_), seeds, len(self.segments_))
        return self

    def similarity(self, X: Any) -> Floats:
        """A score per row, higher is more alike, shape (rows,): log odds of the trees, or the difference of distances.

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        return self._scored(X, "similarity")

    def ranking(self) -> pd.DataFrame:
        """The customers of `fit` that are no seeds, the most alike first, by models that had not seen them.

        Returns:
            `customer_id` (from the index of `X`; row numbers of an array), `as_of` where the index has it, `rank` (from
            1), `score`, `segment` (the band).

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
            DataError: The model was loaded: it holds nobody's scores.
        """
        check_is_fitted(self)
        if not hasattr(self, "scores_"):
            raise DataError(
                f"{type(self).__name__}.ranking: a model that was loaded holds no customers. "
                "Use similarity(X) of the customers to be ranked, or fit it again."
            )
        others = np.flatnonzero(~self._seeds)
        order = others[np.argsort(-self.scores_[others], kind="stable")]
        scores = self.scores_[order]
        ranking = self._ids.iloc[order].reset_index(drop=True)
        ranking["rank"] = np.arange(1, len(order) + 1)
        ranking["score"] = scores
        ranking["segment"] = self.segments_[_bands(scores, self.thresholds_)]
        return ranking

    def profile(self) -> pd.DataFrame:
        """What the bands hold, by scores of models that had not seen the customer.

        Returns:
            Index `segment`; columns `others` (customers that are no seeds), `seeds`, `share_of_seeds`, and `lift`:
            that over the share of all customers in the band.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        others, seeds = self._figures.T
        share = seeds / seeds.sum()
        with np.errstate(invalid="ignore"):
            lift = share / ((others + seeds) / self._figures.sum())
        counts = {"others": others.astype(np.int64), "seeds": seeds.astype(np.int64)}
        table = counts | {"share_of_seeds": share, "lift": lift}
        return pd.DataFrame(table, index=pd.Index(self.segments_.tolist(), name="segment"))

    def _check_parameters(self) -> None:
        check_parameters(
            self,
            num_iterations="whole >= 1",
            num_leaves="whole >= 2",
            learning_rate="number > 0",
            min_data_in_leaf="whole >= 1",
            feature_fraction="share",
            n_jobs="threads",
            random_state="whole >= 0",
        )
        if self.method not in _METHODS:
            raise ConfigError(f"Lookalikes: method={self.method!r} is unknown. Use method='trees' or method='nearest'.")
        bands = np.asarray(self.bands, dtype=object)
        numbers = bands.ndim == 1 and all(isinstance(end, float) and 0 < end < 1 for end in bands)
        if not numbers or not len(bands) or any(np.diff(bands.astype(np.float64)) <= 0):
            raise ConfigError(
                f"Lookalikes: bands={self.bands!r} must rise between 0 and 1. Use bands=(0.01, 0.05, 0.1, 0.25)."
            )

    def _learner(self, values: Floats, seeds: Bools) -> "TreeLearner | NearestLearner":
        if self.method == "nearest":
            return NearestLearner(values, seeds, self.random_state)
        parameters = {
            "objective": "binary",
            "num_iterations": self.num_iterations,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "seed": self.random_state,
        }
        return TreeLearner(TreeTrainer(values, seeds.astype(np.float64), parameters, n_jobs=self.n_jobs))

    def _scored(self, X: Any, method: str) -> Floats:
        rows = self._check_rows(method, X)
        return self._scorer.score(rows, self.n_jobs)

    def _assign(self, X: Any, method: str) -> Ints:
        scores = self._scored(X, method)
        return _bands(scores, self.thresholds_)

    def _learned(self) -> State:
        return {
            "thresholds": self.thresholds_,
            "bands": self.segments_,
            "figures": self._figures,
        } | self._scorer.state()

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        thresholds = reader.finite("thresholds", (None,))
        if np.any(np.diff(thresholds) > 0) or not len(thresholds):
            reader.refuse("thresholds", f"must be one or more that fall, not {thresholds.tolist()}")
        names = reader.array("bands", "U", (len(thresholds) + 1,))
        figures = reader.finite("figures", (len(names), 2))
        scorer = NearestScorer if reader.has("seeds") else TreeScorer
        return {
            "thresholds_": thresholds,
            "segments_": names,
            "_figures": figures,
            "_scorer": scorer.read(reader, n_features),
        }


def _seeds(where: str, y: Any, groups: Ints | None) -> tuple[Bools, int]:
    """Which rows are seeds; and how many customers there are of seeds or of others, whichever are fewer."""
    array = label_array(y)
    labels = np.unique(array)
    if len(labels) != 2:
        found = ", ".join(map(str, labels[:5]))
        raise DataError(
            f"{where}: y holds {len(labels)} different labels ({found}), i.e. {len(labels)} class(es). "
            "Use 1 for the seeds and 0 for everybody else."
        )
    seeds: Bools = array == labels[1]
    customers = np.arange(len(seeds)) if groups is None else groups
    counts = [len(np.unique(customers[side])) for side in (seeds, ~seeds)]
    for name, count in zip(("seed", "other customer"), counts, strict=True):
        if count < 2:
            raise DataError(f"{where}: y has {count} {name}. Use at least two, so that one can be held out.")
    return seeds, min(counts)


def _ids(X: Any, rows: int) -> pd.DataFrame:
    """Who stands in each row: `customer_id`, and `as_of` where the index knows it."""
    if not isinstance(X, pd.DataFrame):
        return pd.DataFrame({"customer_id": np.arange(rows)})
    known = {name: X.index.get_level_values(name) for name in ("customer_id", "as_of") if name in X.index.names}
    return pd.DataFrame(known if "customer_id" in known else {"customer_id": X.index.tolist()} | known)


def _bands(scores: Floats, thresholds: Floats) -> Ints:
    """The position of each score's band: 0 above the first threshold; a score on one belongs to the band below."""
    return np.asarray((scores[:, None] <= thresholds[None, :]).sum(axis=1), dtype=np.int64)


def _band_names(bands: Sequence[float]) -> Any:
    ends = [f"{100 * end:g}" for end in bands]
    between = [f"{low} to {high} %" for low, high in pairwise(ends)]
    return np.array([f"top {ends[0]} %", *between, "the rest"])


def _figures(bands: Ints, seeds: Bools, count: int) -> Floats:
    """A row per band: others and seeds in it."""
    sides = [np.bincount(bands[side], minlength=count) for side in (~seeds, seeds)]
    return np.column_stack(sides).astype(np.float64)
