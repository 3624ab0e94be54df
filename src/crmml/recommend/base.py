"""What every recommender does: three verbs, one table out, arrays to disk and back."""

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from crmml.errors import ConfigError, DataError
from crmml.metrics.arrays import checked_count
from crmml.recommend._excluded import lists_without
from crmml.recommend._fold import merged
from crmml.recommend.explanations import Terms, explained
from crmml.recommend.ids import as_ids, look_up, nearest, shown
from crmml.recommend.matrix import Interactions, damaged, interactions_of
from crmml.recommend.top import Ranked, Scores, joined, ranks, top_k

CELLS = 4_000_000  # scores in memory at a time: 32 MB


class RecommenderNotFittedError(ConfigError, NotFittedError):  # type: ignore[misc]
    """A recommender was used before `fit`; also scikit-learn's `NotFittedError`."""


class Recommender(BaseEstimator):  # type: ignore[misc]
    """Base of the recommenders.

    `fit` takes `Interactions`, or a table with the columns `customer_id`, `item_id`, `weight` (at least 0; rows of
    one customer and item are added up). Ids are whole numbers or text and come back as they went in. The result depends
    neither on the order of the rows nor on which customers are asked together: ties go by score from the
    highest, then by item id.

    A subclass stores its parameters in `__init__` and has `_check_parameters`, `_learn`, `_scores`, and where
    it learns arrays of its own `_get_arrays` and `_set_arrays`.
    """

    # Whether it learns from the order of events: such a model wants a row, with a time, for each.
    reads_order: ClassVar[bool] = False
    matrix_: Interactions

    def fit(self, interactions: "Interactions | pd.DataFrame") -> Self:
        """Learn from `Interactions`, or from a DataFrame with `customer_id`, `item_id`, `weight` and others ignored.

        Models that know the order of events also read the column `timestamp`, where there is one.
        A weight of 0 marks an item as seen and says nothing else.
        Raises `ConfigError`: a wrong parameter; `SchemaError`: a missing column or a wrong type; `DataError`:
        no rows, missing ids, weights that are missing, negative or 1e12 and more.
        """
        where = f"{type(self).__name__}.fit"
        self._check_parameters(where)
        matrix = interactions_of(interactions, where, in_order=self.reads_order)
        if not matrix.has_weight.any():
            raise DataError(f"{where}: all weights are 0: nothing to learn. Use weights such as 1.0.")
        self._learn(matrix)
        self.matrix_ = matrix
        return self

    def recommend(
        self,
        customer_ids: Any,
        k: int = 10,
        exclude_seen: bool = True,
        *,
        items: Any = None,
        exclude: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """The k best items for each customer.

        Columns `customer_id`, `item_id`, `rank` (int64 from 1), `score` (float64, higher is better);
        customers in the order given, each once. Customers whom the model does not know, or of whom it knows
        no weight, get the most popular items, with the popularity (sum of weights) as the score. Where fewer
        than k items are left, because the customer has seen the others, there are fewer rows.

        customer_ids: list, array, Series or Index of ids. exclude_seen: leave out what the customer
        interacted with. items: ids of the items that may be recommended (what is in stock, say), others are left out;
        ids that the model does not know are no items to it. None: all items. exclude: a table with `customer_id`,
        `item_id`: pairs that must not be offered (just bought, sent back, not allowed); the list goes on below them.
        Raises `ConfigError`: k below 1, not fitted; `SchemaError`: ids of another type than the log's, no such table;
        `DataError`: missing ids, none of `items` known.
        """
        where = f"{type(self).__name__}.recommend"
        matrix = self._fitted(where)
        k = checked_count(where, "k", k)
        ids = as_ids(customer_ids, f"{where}: customer_ids").unique()
        if exclude is not None:

            def longer(some: Any, length: int) -> pd.DataFrame:
                return self.recommend(some, length, exclude_seen, items=items)

            return lists_without(exclude, ids, matrix, longer, k=k, where=where)
        codes = look_up(matrix.customer_ids, ids, f"{where}: customer_ids")
        personal = (codes >= 0) & matrix.has_weight[codes]
        offered = None if items is None else offered_items(matrix, items, where)

        def ranked_for(some: NDArray[np.int64]) -> Ranked:
            if offered is None:
                return self._rank(some, k, exclude_seen)
            return self._best(some, k, exclude_seen, ~offered)

        parts = [
            _of_rows(np.flatnonzero(personal), codes, ranked_for),
            _of_rows(np.flatnonzero(~personal), codes, lambda some: popular(matrix, some, k, exclude_seen, offered)),
        ]
        ranked = joined(parts)
        return pd.DataFrame(
            {
                "customer_id": ids[ranked.row],
                "item_id": matrix.item_ids[ranked.item],
                "rank": ranks(ranked.row),
                "score": ranked.score,
            }
        )

    def fold_in(self, interactions: "Interactions | pd.DataFrame") -> Self:
        """A copy that knows these interactions of some customers, new or known, without learning items again.

        What is given replaces all that was known of these customers; everybody else keeps their recommendations.
        Items that the model does not know are left out; popularity counts what is given.

        interactions: as in `fit`.
        Raises as `fit`, and `ConfigError`: not fitted, or a recommender that has to learn again; `DataError`: none
        of the items known.
        """
        where = f"{type(self).__name__}.fold_in"
        known = self._fitted(where)
        if type(self)._folded is Recommender._folded:
            raise ConfigError(f"{where}: {type(self).__name__} has to learn again. Call fit with all interactions.")
        matrix, rows = merged(known, interactions_of(interactions, where), where)
        model = copy(self)
        model.matrix_ = matrix
        model._folded(known, rows)
        return model

    def similar_items(self, item_ids: Any, k: int = 10) -> pd.DataFrame:
        """The k items most like each item, the item itself left out.

        Columns `item_id`, `similar_item_id`, `rank` (int64 from 1), `score` (float64, at most 1); items in
        the order given, each once. How likeness is measured, each recommender says; where nothing else is
        said, it is the cosine of the sets of customers, |both| / sqrt(|one| |other|), and items without a
        common customer are left out.

        item_ids: list, array, Series or Index of ids.
        Raises `ConfigError`: k below 1, not fitted; `SchemaError`: ids of another type than the log's;
        `DataError`: an item that was not in the interactions.
        """
        where = f"{type(self).__name__}.similar_items"
        matrix = self._fitted(where)
        k = checked_count(where, "k", k)
        ids = as_ids(item_ids, f"{where}: item_ids").unique()
        codes = look_up(matrix.item_ids, ids, f"{where}: item_ids")
        unknown = ids[codes < 0]
        if len(unknown):
            raise DataError(
                f"{where}: {len(unknown)} of {len(ids)} items were not in the interactions the model was fitted on, "
                f"first {shown(unknown, 0)}.{nearest(matrix.item_ids, unknown[0])} Leave them out."
            )
        ranked = in_chunks(codes, len(matrix.item_ids), lambda some: top_k(self._others(some), k))
        return pd.DataFrame(
            {
                "item_id": ids[ranked.row],
                "similar_item_id": matrix.item_ids[ranked.item],
                "rank": ranks(ranked.row),
                "score": ranked.score,
            }
        )

    def explain(self, recommendations: pd.DataFrame, n: int = 3) -> pd.DataFrame:
        """Because of which items of the customer each item is recommended: the model's own terms, nothing made up.

        For recommenders whose score is a sum over the customer's items (`ItemKNN`, `EASE`, `MarkovNext`). Columns
        `customer_id`, `item_id`, `rank` (int64 from 1), `because_item_id`, `share` (float64: of all that speaks for the
        item); pairs in the order given. What stands on popularity alone, as for unknown customers, has no rows.

        recommendations: a table with `customer_id` and `item_id`, such as `recommend` returns. n: at most so many each.
        Raises `ConfigError`: n below 1, not fitted, or a recommender without such terms; `SchemaError`: a missing
        column, ids of another type than the log's; `DataError`: missing ids, an item that the model does not know.
        """
        where = f"{type(self).__name__}.explain"
        matrix = self._fitted(where)
        n = checked_count(where, "n", n)
        terms = self._terms()
        if terms is None:
            raise ConfigError(
                f"{where}: its scores are no sums over a customer's items. Use ItemKNN(), EASE() or MarkovNext()."
            )
        return explained(matrix, terms, recommendations, n, where)

    def get_state(self) -> dict[str, Any]:
        """Everything `fit` learned, as arrays of numbers and unicode. Raises `ConfigError`: not fitted."""
        matrix = self._fitted(f"{type(self).__name__}.get_state")
        return {**matrix.to_arrays(), **self._get_arrays()}

    def set_state(self, state: dict[str, Any]) -> Self:
        """The reverse of `get_state`, on a recommender with the same parameters.

        Raises `BundleError` where `get_state` cannot have written this state.
        """
        where = f"{type(self).__name__}.set_state"
        names = {"customer_ids", "item_ids", "indptr", "indices", "weights", *self._array_names()}
        if set(state) != names:
            problem = [f"without {name}" for name in sorted(names - set(state))]
            problem += [f"with unknown {name}" for name in sorted(set(state) - names)]
            raise damaged(f"{where}: the state is {', '.join(problem)}")
        matrix = Interactions.from_arrays(state, where)
        self._set_arrays(state, matrix, where)
        self.matrix_ = matrix
        return self

    def _check_parameters(self, where: str) -> None:
        """Raise `ConfigError` for a parameter that cannot be used."""

    def _learn(self, matrix: Interactions) -> None:
        """Set the learned attributes; `matrix_` is set by the caller."""

    def _folded(self, known: Interactions, rows: NDArray[np.int64]) -> None:
        """Learn these rows of `matrix_`, which was `known` before; overridden where that is possible."""

    def _scores(self, customers: NDArray[np.int64]) -> Scores:
        """The score of every item for these rows of the matrix, shape (len(customers), items).

        What was seen is scored like anything else; -inf where there is no score. The array is the caller's to
        change. A row must not depend on the others that are asked for with it, to the last bit.
        """
        raise NotImplementedError

    def _rank(self, customers: NDArray[np.int64], k: int, exclude_seen: bool) -> Ranked:
        """The k best items for these rows of the matrix; `Ranked.row` counts from 0 within `customers`."""
        return self._best(customers, k, exclude_seen, None)

    def _best(
        self, customers: NDArray[np.int64], k: int, exclude_seen: bool, hidden: NDArray[np.bool_] | None
    ) -> Ranked:
        """The k best items by `_scores`, without those `hidden`, shape (items,), from everybody."""

        def best(some: NDArray[np.int64]) -> Ranked:
            scores = self._scores(some)
            if exclude_seen:
                seen = self.matrix_.weights[some]
                scores[np.repeat(np.arange(len(some)), np.diff(seen.indptr)), seen.indices] = -np.inf
            if hidden is not None:
                scores[:, hidden] = -np.inf
            return top_k(scores, k)

        return in_chunks(customers, len(self.matrix_.item_ids), best)

    def _terms(self) -> Terms | None:
        """What the scores are sums of, where they are."""
        return None

    def _likeness(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """How alike these items and all items are, shape (len(items), items); -inf where there is no likeness."""
        seen = self.matrix_.weights.T.tocsr()
        seen = csr_array((np.ones(seen.nnz), seen.indices, seen.indptr), shape=seen.shape)
        size = np.sqrt(np.diff(seen.indptr))
        both = (seen[items] @ seen.T).toarray()
        both[both == 0] = -np.inf
        return np.asarray(both / (size[items, None] * size))

    def _array_names(self) -> tuple[str, ...]:
        """The names of the arrays beside the matrix's."""
        return ()

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays under `_array_names`."""
        return {}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        """Check and take the learned arrays from a state."""

    def _others(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """The likeness with the item itself taken out."""
        likeness = self._likeness(items)
        likeness[np.arange(len(items)), items] = -np.inf
        return likeness

    def _fitted(self, where: str) -> Interactions:
        if not hasattr(self, "matrix_"):
            raise RecommenderNotFittedError(f"{where}: not fitted yet. Call fit(interactions) first.")
        return self.matrix_


def popular(
    matrix: Interactions,
    customers: NDArray[np.int64],
    k: int,
    exclude_seen: bool,
    offered: NDArray[np.bool_] | None = None,
) -> Ranked:
    """The k most popular items for these rows of the matrix (-1: an unknown customer, who has seen nothing).

    offered: shape (items,), which items may be recommended; None: all.

    >>> table = pd.DataFrame({"customer_id": [1, 2, 2], "item_id": ["a", "a", "b"], "weight": [1.0, 1.0, 1.0]})
    >>> matrix = Interactions.from_frame(table, weight="weight")
    >>> popular(matrix, np.array([0, -1]), k=2, exclude_seen=True).item.tolist()
    [1, 0, 1]
    """
    hidden = np.zeros(len(matrix.item_ids), dtype=bool)
    lists = []
    order = matrix.popular if offered is None else matrix.popular[offered[matrix.popular]]
    for customer in customers:
        seen = matrix.seen(customer) if exclude_seen and customer >= 0 else np.empty(0, dtype=np.int64)
        hidden[seen] = True
        head = order[: k + len(seen)]  # whatever was seen, k others are among these if they exist
        lists.append(head[~hidden[head]][:k])
        hidden[seen] = False
    item = np.concatenate(lists) if lists else np.empty(0, dtype=np.int64)
    row = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return Ranked(row, item, matrix.popularity[item])


def offered_items(matrix: Interactions, items: Any, where: str) -> NDArray[np.bool_]:
    """Which items of the matrix are among these ids, shape (items,)."""
    ids = as_ids(items, f"{where}: items").unique()
    codes = look_up(matrix.item_ids, ids, f"{where}: items")
    if not (codes >= 0).any():
        raise DataError(
            f"{where}: none of the {len(ids)} items that may be recommended was in the interactions the model was "
            f"fitted on, such as {shown(matrix.item_ids, 0)}. Give items of the log, or None for all."
        )
    offered = np.zeros(len(matrix.item_ids), dtype=bool)
    offered[codes[codes >= 0]] = True
    return offered


def in_chunks(codes: NDArray[np.int64], columns: int, ranked: Callable[[NDArray[np.int64]], Ranked]) -> Ranked:
    """`ranked` of the codes, called on so many at a time that `columns` scores for each fit into bounded memory.

    >>> in_chunks(np.array([3, 5]), 10, lambda some: Ranked(np.arange(len(some)), some, some * 1.0)).item.tolist()
    [3, 5]
    """
    size = max(1, CELLS // columns)
    parts = [ranked(codes[start : start + size]) for start in range(0, len(codes), size)] or [_nothing()]
    return joined([part._replace(row=part.row + i * size) for i, part in enumerate(parts)])


def _of_rows(
    rows: NDArray[np.int64], codes: NDArray[np.int64], ranked: Callable[[NDArray[np.int64]], Ranked]
) -> Ranked:
    """`ranked` of some rows of the request, its rows numbered as in the request."""
    part = ranked(codes[rows]) if len(rows) else _nothing()
    return part._replace(row=rows[part.row])


def _nothing() -> Ranked:
    return Ranked(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
