"""Next best offer: what to recommend to whom, and how probable it is that they buy it."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean
from crmml.metrics.arrays import checked_count
from crmml.recommend._purchase import ARRAYS, LEVELS, METHODS, PurchaseMap, fit_purchases, level_of
from crmml.recommend.base import Recommender, RecommenderNotFittedError
from crmml.recommend.ids import as_ids, look_up
from crmml.recommend.matrix import Interactions, checked_array, damaged
from crmml.recommend.reliability import Reliability, measure
from crmml.recommend.wrapper import Wrapper

Floats = NDArray[np.float64]

OWN = ("offer_levels", "offer_seen")
# So many customers say how high the scores of a model are; more would not say it better.
SAMPLE = 2_000
# Purchases among the lists below which a probability would be a guess.
LEAST = 20


class NextBestOffer(Wrapper):
    """A recommender whose lists say with `p_purchase` how probable it is that the customer buys the item.

    The score of a recommender orders the items of one customer, in a unit of its own. `calibrate` learns what it means
    in purchases: the model is fitted on what was known at an earlier moment, and its lists are compared with what these
    customers bought in the horizon after it, which the model has not seen. `fit` then fits the model on everything;
    what was learned is carried over by places and by how high a score is among the model's own lists, so that it
    holds for any recommender, and for the same one on more data. `train` does both.

    `p_purchase` is the probability that the customer takes this item within the horizon of the calibration *as things
    went then*: without the offer, or with what was shown at that time. What an offer changes, only an experiment tells.
    It depends on the place on the customer's unfiltered list, the level of the score, and how many items the customer
    took and with what weight. On a list it never rises from one place to the next. Of customers without interactions
    it is NaN: nobody knows how many of them came and bought nothing. Before `calibrate` it is NaN for all.

    Args:
        model: the recommender; `Popularity()` by default.
        method: "isotonic" (a regression, then steps) or "platt" (the regression alone: for few purchases).
        depth: places up to which the place itself counts; below, the score alone.

    Attributes:
        reliability_: how well the probabilities held for customers they were not learned from; see `Reliability`.

    >>> import crmml as cm
    >>> log, likes = cm.simulate_log(400, seed=1).log, cm.ItemWeights(weights={"purchase": 1.0})
    >>> earlier, now = (cm.build_interactions(log, likes, moment) for moment in ("2024-09-01", "2024-12-01"))
    >>> bought = cm.build_next_items(log, cm.NextItems("90d", event_type="purchase"), "2024-09-01")
    >>> offer = cm.NextBestOffer(cm.ItemKNN(), method="platt").calibrate(earlier, bought).fit(now)
    >>> offer.recommend([1], k=3).columns.tolist()
    ['customer_id', 'item_id', 'rank', 'score', 'p_purchase']
    """

    _first = "calibrate(earlier, bought) and fit(interactions)"
    map_: PurchaseMap
    reliability_: Reliability

    def __init__(self, model: Recommender | None = None, *, method: str = "isotonic", depth: int = 20) -> None:
        self.model = model
        self.method = method
        self.depth = depth

    def calibrate(
        self,
        earlier: Interactions | pd.DataFrame,
        bought: pd.DataFrame,
        customers: Any = None,
        exclude_seen: bool = True,
    ) -> Self:
        """Learn what the model's scores mean in purchases, from an earlier moment and what was bought after it.

        Args:
            earlier: the interactions known at that moment, as for `fit`.
            bought: `customer_id`, `item_id` of what was bought from that moment until one horizon later, such as
                `build_next_items` gives; nothing of it may be in `earlier`.
            customers: whom the lists are for; all with interactions by default. The same kind as will be asked for:
                probabilities of the active are too high for all.
            exclude_seen: as `recommend` will be asked.

        Raises:
            ConfigError: a wrong parameter.
            SchemaError: a column is missing, ids of another type.
            DataError: as `Recommender.fit`; fewer than 20 purchases in the lists.
        """
        where = "NextBestOffer.calibrate"
        self._check(where)
        model = self._unfitted().fit(earlier)
        columns, labels, customer = self._slice(model, bought, customers, exclude_seen, where)
        found = int(labels.sum())
        if found < LEAST or found == len(labels):
            raise DataError(
                f"{where}: {found} of {len(labels)} pairs of customer and item on the lists were bought, but it takes "
                f"at least {LEAST}, and some that were not. Use a longer horizon, more customers or a larger depth."
            )
        self.map_ = fit_purchases(columns, labels, self.method)
        self.reliability_ = measure(self._out_of_fold(columns, labels, customer), labels, customer)
        self._exclude_seen = bool(exclude_seen)
        return self._levelled()

    def reliability(
        self, earlier: Interactions | pd.DataFrame, bought: pd.DataFrame, customers: Any = None
    ) -> Reliability:
        """How well the probabilities hold at another moment, best a later one: arguments as of `calibrate`.

        Raises `ConfigError`: not calibrated; otherwise as `calibrate`.
        """
        where = "NextBestOffer.reliability"
        if not hasattr(self, "map_"):
            raise RecommenderNotFittedError(f"{where}: not calibrated yet. Call calibrate(earlier, bought) first.")
        model = self._unfitted().fit(earlier)
        columns, labels, customer = self._slice(model, bought, customers, self._exclude_seen, where)
        return measure(self.map_(columns), labels, customer)

    def fit(self, interactions: Interactions | pd.DataFrame) -> Self:
        """Fit the model on all that is known now; what `calibrate` learned stays. Raises as `Recommender.fit`."""
        self._check("NextBestOffer.fit")
        self.model_ = self._unfitted().fit(interactions)
        return self._levelled()

    def recommend(
        self,
        customer_ids: Any,
        k: int = 10,
        exclude_seen: bool = True,
        *,
        items: Any = None,
        exclude: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """As `Recommender.recommend`, with the column `p_purchase` (float64, in [0, 1] or NaN)."""
        model = self._fitted("recommend")
        table = model.recommend(customer_ids, k, exclude_seen, items=items, exclude=exclude)
        return table.assign(p_purchase=self._probability(model, table, exclude_seen))

    def explain(self, recommendations: pd.DataFrame, n: int = 3) -> pd.DataFrame:
        """As the model's own."""
        return self._fitted("explain").explain(recommendations, n)

    def get_state(self) -> dict[str, Any]:
        """Everything that was learned, as arrays (and texts) of the model and of the calibration."""
        state = self._model_state()
        if not hasattr(self, "map_"):
            return state
        own = {"offer_levels": self.levels_, "offer_seen": np.array([int(self._exclude_seen)])}
        return {**state, **own, **self.map_.to_arrays()}

    def set_state(self, state: dict[str, Any]) -> Self:
        """The reverse. Raises `BundleError` where `get_state` cannot have written this state."""
        where = "NextBestOffer.set_state"
        of_model, own = self._divided(state)
        model = self._unfitted()
        model.set_state(of_model)
        if own and set(own) != {*OWN, *ARRAYS}:
            raise damaged(f"{where}: the state has {', '.join(sorted(own))}")
        if own:
            levels = checked_array(own["offer_levels"], "f", (LEVELS,), f"{where}: offer_levels")
            if (np.diff(levels) < 0).any():
                raise damaged(f"{where}: offer_levels do not rise")
            self._exclude_seen = bool(checked_array(own["offer_seen"], "i", (1,), f"{where}: offer_seen")[0])
            self.levels_, self.map_ = levels, PurchaseMap.from_arrays(own, where)
        self.model_ = model
        return self

    def _check(self, where: str) -> None:
        self._check_model(where)
        if self.method not in METHODS:
            hint = did_you_mean(str(self.method), METHODS)
            raise ConfigError(f"{where}: method is {self.method!r}.{hint} Use 'isotonic' or 'platt'.")
        checked_count(where, "depth", self.depth)

    def _slice(
        self, model: Recommender, bought: Any, customers: Any, exclude_seen: bool, where: str
    ) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
        """Of every pair on the lists of a model: its columns, whether it was bought, the number of the customer."""
        matrix = model.matrix_
        pairs = _pairs_of(bought, matrix, where)
        if customers is None:
            asked = matrix.customer_ids[matrix.has_weight]
        else:
            asked = as_ids(customers, f"{where}: customers").unique()
            code = look_up(matrix.customer_ids, asked, f"{where}: customers")
            asked = asked[(code >= 0) & matrix.has_weight[code]]
        if not len(asked):
            raise DataError(f"{where}: none of the customers has interactions. Give customers of the log.")
        # Twice as long as places count: what stands below them is learned from too.
        lists = model.recommend(asked, 2 * int(self.depth), exclude_seen)
        columns, row = self._columns(model, lists, exclude_seen, self._levels(model, exclude_seen))
        item = matrix.item_ids.get_indexer(pd.Index(lists["item_id"]))
        return columns, np.isin(row * len(matrix.item_ids) + item, pairs), pd.factorize(row)[0].astype(np.int64)

    def _probability(self, model: Recommender, table: pd.DataFrame, exclude_seen: bool) -> Floats:
        p = np.full(len(table), np.nan)
        if not hasattr(self, "map_") or not len(table):
            return p
        code = model.matrix_.customer_ids.get_indexer(pd.Index(table["customer_id"]))
        known = (code >= 0) & model.matrix_.has_weight[code]
        if known.any():
            columns, _ = self._columns(model, table[known], exclude_seen, self.levels_)
            p[known] = self.map_(columns)
        return p

    def _columns(
        self, model: Recommender, lists: pd.DataFrame, exclude_seen: bool, levels: Floats
    ) -> tuple[Floats, NDArray[np.int64]]:
        """The columns of the map, shape (rows, 5), and the customers' rows in the matrix."""
        matrix = model.matrix_
        row = matrix.customer_ids.get_indexer(pd.Index(lists["customer_id"])).astype(np.int64)
        score = lists["score"].to_numpy(np.float64)
        taken = np.diff(matrix.weights.indptr)[row].astype(np.float64)
        weight = np.asarray(matrix.weights.sum(axis=1)).ravel()[row]
        place = self._places(model, row, score, exclude_seen)
        above = (place <= int(self.depth)).astype(np.float64)
        taken_and_weight = [np.log(taken), np.log(weight / taken)]
        return np.column_stack([level_of(score, levels), -np.log(place), above, *taken_and_weight]), row

    def _places(self, model: Recommender, row: NDArray[np.int64], score: Floats, exclude_seen: bool) -> Floats:
        """The place of each score on the customer's list without any filter; depth + 1 below the last place."""
        depth = int(self.depth)
        customers, which = np.unique(row, return_inverse=True)
        lists = model.recommend(model.matrix_.customer_ids[customers], depth, exclude_seen)
        own = customers.searchsorted(model.matrix_.customer_ids.get_indexer(pd.Index(lists["customer_id"])))
        best = np.full((len(customers), depth), -np.inf)
        best[own, lists["rank"].to_numpy() - 1] = lists["score"]
        place = np.ones(len(row))
        for column in range(depth):
            place += best[which, column] > score
        return place

    def _levelled(self) -> Self:
        """Know how high scores are on the lists of the model in use, once there is one, and a use for it."""
        if hasattr(self, "model_") and hasattr(self, "map_"):
            self.levels_ = self._levels(self.model_, self._exclude_seen)
        return self

    def _levels(self, model: Recommender, exclude_seen: bool) -> Floats:
        """Quantiles of the scores on the model's own lists, shape (LEVELS,), rising."""
        known = np.flatnonzero(model.matrix_.has_weight)
        some = known[np.unique(np.linspace(0, len(known) - 1, min(SAMPLE, len(known))).astype(np.int64))]
        lists = model.recommend(model.matrix_.customer_ids[some], 2 * int(self.depth), exclude_seen)
        if lists.empty:
            return np.zeros(LEVELS)
        scores = lists["score"].to_numpy(np.float64)
        return np.asarray(np.quantile(scores, np.linspace(0, 1, LEVELS), method="lower"))

    def _out_of_fold(self, columns: Floats, labels: NDArray[np.bool_], customer: NDArray[np.int64]) -> Floats:
        """The probabilities of every half of the customers, by what the other half says."""
        half = np.random.default_rng(0).permutation(int(customer.max()) + 1)[customer] % 2
        p = np.full(len(labels), float(labels.mean()))
        for one in (0, 1):
            learn = half != one
            if labels[learn].any() and not labels[learn].all():
                p[~learn] = fit_purchases(columns[learn], labels[learn], self.method)(columns[~learn])
        return p


def _pairs_of(bought: Any, matrix: Interactions, where: str) -> NDArray[np.int64]:
    """The pairs of known customers and items in a table, as numbers."""
    if not isinstance(bought, pd.DataFrame) or not {"customer_id", "item_id"} <= set(bought.columns):
        raise SchemaError(
            f"{where}: bought needs the columns 'customer_id' and 'item_id'. Use what build_next_items returned."
        )
    ids = {name: as_ids(bought[name], f"{where}: bought: {name}") for name in ("customer_id", "item_id")}
    row = look_up(matrix.customer_ids, ids["customer_id"], f"{where}: bought: customer_id")
    column = look_up(matrix.item_ids, ids["item_id"], f"{where}: bought: item_id")
    known = (row >= 0) & (column >= 0)
    return np.unique(row[known] * len(matrix.item_ids) + column[known])
