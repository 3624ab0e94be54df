"""What comes next, and what comes again: recommenders that know the order of things."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.metrics.arrays import checked_count
from crmml.recommend.base import Recommender
from crmml.recommend.explanations import Terms
from crmml.recommend.matrix import Events, Interactions, checked_array
from crmml.recommend.parameters import check_number
from crmml.recommend.products import (
    blocks,
    from_arrays,
    on_diagonal,
    powers,
    scaled,
    stacked,
    strongest,
    taste,
    to_arrays,
    where_true,
)

Floats = NDArray[np.float64]

DAY = 86_400e6  # microseconds
# Items to which nothing leads stand below all others, the popular ones first.
LAST = 1e-6


class MarkovNext(Recommender):
    """What customers take after the items that this customer took last.

    The moments of each customer stand in a row; items of one moment (a basket) belong together. An item i says of the
    item j, over all customers,

        n_i^-popularity_exponent  (both at one moment + sum over steps s up to `reach` of decay^(s - 1)
                                   (j s moments after i + backward * j s moments before i))

    where n_i is the number of moments with i, and what is counted are moments. The score of j for a customer is the sum
    of this over the customer's items, one that was taken s moments before the last counting `memory`^s. Items to which
    nothing leads follow by popularity. Weights say only which interactions count: those above 0.

    Interactions need times (`Interactions.from_frame(..., timestamp=...)`; numbers that say the order will do). Without
    them all items of a customer are of one moment: taken together, in no order.

    reach: moments ahead, and back, that an item speaks of. decay: from 0 to 1; how much less each further moment says.
    backward: how much it says that j came before i: 0 is order alone, 1 no order at all. memory: above 0, up to 1.
    popularity_exponent: at least 0; the larger, the less popular items say. neighbors: how many items each speaks of.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range.
    Source: Rendle, Freudenthaler and Schmidt-Thieme (2010), Factorizing personalized Markov chains, WWW, for the chain
    of baskets, not factorised here; Ludewig and Jannach (2018), Evaluation of session-based recommendation
    algorithms, UMUAI 28, for the weights of further steps ("sequential rules").

    >>> import pandas as pd
    >>> rows = [(who, item, at) for who in (1, 2, 3) for at, item in enumerate(["kettle", "tea", "pot"])]
    >>> frame = pd.DataFrame([*rows, (4, "kettle", 0)], columns=["customer_id", "item_id", "at"])
    >>> MarkovNext().fit(Interactions.from_frame(frame, timestamp="at")).recommend([4], k=2)["item_id"].tolist()
    ['tea', 'pot']
    """

    reads_order = True
    links_: csr_array
    recent_: csr_array

    def __init__(
        self,
        reach: int = 5,
        *,
        decay: float = 0.7,
        backward: float = 0.5,
        memory: float = 0.6,
        popularity_exponent: float = 0.8,
        neighbors: int = 500,
    ) -> None:
        self.reach = reach
        self.decay = decay
        self.backward = backward
        self.memory = memory
        self.popularity_exponent = popularity_exponent
        self.neighbors = neighbors

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "reach", self.reach)
        checked_count(where, "neighbors", self.neighbors)
        check_number(where, "decay", self.decay, such_as=0.7)
        check_number(where, "backward", self.backward, such_as=0.5)
        check_number(where, "memory", self.memory, such_as=0.6, above=True)
        check_number(where, "popularity_exponent", self.popularity_exponent, such_as=0.8)

    def _learn(self, matrix: Interactions) -> None:
        if matrix.events is None:
            moments = taste(matrix.weights)
            moments.data[:] = 1.0
            around, self.recent_ = moments, csr_array(moments, dtype=np.float32)
        else:
            moments, customer = _moments(matrix.events, len(matrix.item_ids))
            around = csr_array(self._steps(customer) @ moments)
            self.recent_ = csr_array(self._memory(customer, len(matrix.customer_ids)) @ moments, dtype=np.float32)
            self.recent_.sort_indices()
        says = powers(moments.sum(axis=0), -self.popularity_exponent)
        parts = []
        for first, together in blocks(moments.T.tocsr(), around):
            links = scaled(together, rows=says[first : first + together.shape[0]])
            parts.append(strongest(where_true(links, ~on_diagonal(together, first)), self.neighbors))
        self.links_ = stacked(parts, len(matrix.item_ids))

    def _steps(self, customer: NDArray[np.int64]) -> csr_array:
        """How much each moment (row) has to do with each other moment (column) of its customer."""
        moments = len(customer)
        rows, columns, weights = [np.arange(moments)], [np.arange(moments)], [np.ones(moments)]
        for step in range(1, min(self.reach, moments - 1) + 1):
            earlier = np.flatnonzero(customer[:-step] == customer[step:])
            weight = float(self.decay) ** (step - 1)
            rows += [earlier, earlier + step]
            columns += [earlier + step, earlier]
            weights += [np.full(len(earlier), weight), np.full(len(earlier), weight * self.backward)]
        parts = (np.concatenate(part) for part in (weights, rows, columns))
        values, row, column = parts
        return csr_array((values, (row, column)), shape=(moments, moments))

    def _memory(self, customer: NDArray[np.int64], customers: int) -> csr_array:
        """How much each moment (column) still counts for its customer (row)."""
        ends = np.searchsorted(customer, customer, side="right")
        ago = ends - 1 - np.arange(len(customer))
        weights = float(self.memory) ** ago.astype(np.float64)
        return csr_array((weights, (customer, np.arange(len(customer)))), shape=(customers, len(customer)))

    def _scores(self, customers: NDArray[np.int64]) -> Floats:
        found: Floats = (self.recent_[customers] @ self.links_).toarray().astype(np.float64)
        return found + LAST * _share(self.matrix_)

    def _terms(self) -> Terms:
        return Terms(self.recent_, self.links_)

    def _array_names(self) -> tuple[str, ...]:
        return tuple(f"{name}_{part}" for name in ("links", "recent") for part in ("indptr", "indices", "values"))

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return {**to_arrays(self.links_, "links"), **to_arrays(self.recent_, "recent")}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        items = len(matrix.item_ids)
        links = from_arrays(state, "links", items, items, where)
        self.recent_ = from_arrays(state, "recent", len(matrix.customer_ids), items, where)
        self.links_ = links


class RepeatPurchase(Recommender):
    """What this customer takes again and again, as far as it is in demand now: in shops most purchases are repeats.

    With an interaction of weight w, a days before the last one of all, counting w 0.5^(a / half_life), the score is

        (count of the item for this customer + prior * share of the customers who took it) * demand^demand_exponent

    where demand is 1/2 + the same count over all customers with `demand_half_life`: it follows the season, and forgets
    what is no longer sold. Ask with `exclude_seen=False`; otherwise only new items are left, by popularity and demand.

    Interactions need times for that; without them nothing decays, and demand is popularity. Times that are numbers make
    the half-lives numbers of the same unit.

    half_life, demand_half_life: days, above 0. demand_exponent: at least 0; 0 leaves personal frequency and recency
    alone. prior: at least 0; what an item that everybody takes counts for a customer who never took it.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range.
    Source: Hu et al. (2020), Modeling personalized item frequency information for next-basket recommendation, SIGIR
    (frequency with decay decides next baskets); the demand is ours.

    >>> import pandas as pd
    >>> rows = [(1, "milk", "2024-03-01"), (1, "milk", "2024-03-08"), (1, "lamp", "2024-03-08")]
    >>> frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "at"]).astype({"at": "datetime64[us]"})
    >>> model = RepeatPurchase().fit(Interactions.from_frame(frame, timestamp="at"))
    >>> model.recommend([1], k=2, exclude_seen=False)["item_id"].tolist()
    ['milk', 'lamp']
    """

    reads_order = True
    counts_: csr_array
    demand_: Floats

    def __init__(
        self,
        half_life: float = 240.0,
        *,
        demand_half_life: float = 10.0,
        demand_exponent: float = 0.4,
        prior: float = 0.05,
    ) -> None:
        self.half_life = half_life
        self.demand_half_life = demand_half_life
        self.demand_exponent = demand_exponent
        self.prior = prior

    def _check_parameters(self, where: str) -> None:
        check_number(where, "half_life", self.half_life, such_as=240.0, above=True)
        check_number(where, "demand_half_life", self.demand_half_life, such_as=10.0, above=True)
        check_number(where, "demand_exponent", self.demand_exponent, such_as=0.4)
        check_number(where, "prior", self.prior, such_as=0.05)

    def _learn(self, matrix: Interactions) -> None:
        events, shape = matrix.events, matrix.weights.shape
        if events is None:
            self.counts_ = csr_array(matrix.weights, dtype=np.float64)
            self.demand_ = matrix.popularity + 0.5
            return
        counted = events.weight * _halved(events, self.half_life)
        self.counts_ = csr_array((counted, (events.customer, events.item)), shape=shape)
        self.counts_.sum_duplicates()
        wanted = events.weight * _halved(events, self.demand_half_life)
        demand: Floats = np.bincount(events.item, weights=wanted, minlength=shape[1]).astype(np.float64)
        self.demand_ = demand + 0.5

    def _scores(self, customers: NDArray[np.int64]) -> Floats:
        # A product of stored numbers only: the same for one customer or a thousand at a time.
        counts = self.counts_[customers].toarray() + self.prior * _share(self.matrix_)
        scores: Floats = counts * self.demand_**self.demand_exponent
        return scores

    def _array_names(self) -> tuple[str, ...]:
        return ("counts_indptr", "counts_indices", "counts_values", "demand")

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return {**to_arrays(self.counts_, "counts"), "demand": self.demand_}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        customers, items = matrix.weights.shape
        demand = checked_array(state["demand"], "f", (items,), f"{where}: demand")
        self.counts_ = from_arrays(state, "counts", customers, items, where)
        self.demand_ = demand


def _share(matrix: Interactions) -> Floats:
    """The popularity of every item over the number of customers, shape (items,)."""
    return matrix.popularity / len(matrix.customer_ids)


def _moments(events: Events, items: int) -> tuple[csr_array, NDArray[np.int64]]:
    """1 where an item was taken at a moment, shape (moments, items), by customer and time; the customer of each."""
    counted = np.flatnonzero(events.weight > 0)
    customer, item, time = events.customer[counted], events.item[counted], events.time[counted]
    new = np.concatenate([[True], (np.diff(customer) != 0) | (np.diff(time) != 0)])
    moment = np.cumsum(new) - 1
    moments = csr_array((np.ones(len(item)), (moment, item)), shape=(int(moment[-1]) + 1, items))
    moments.sum_duplicates()
    moments.data[:] = 1.0
    return moments, customer[new]


def _halved(events: Events, half_life: float) -> Floats:
    """0.5^(age / half_life) of every event, the last one being 0 old."""
    age = (events.time.max() - events.time) / (DAY if events.dated else 1.0)
    found: Floats = 0.5 ** (age.astype(np.float64) / half_life)
    return found
