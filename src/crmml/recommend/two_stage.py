"""Two stages: several recommenders propose items, and a blend or a ranker chosen on hold-outs puts them in order."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from crmml.errors import ConfigError
from crmml.metrics.arrays import checked_count
from crmml.recommend import _recency
from crmml.recommend._generators import GRIDS, default_generators, settled
from crmml.recommend._selection import Plan, select
from crmml.recommend._selection_text import OWN, read, written
from crmml.recommend._threads import mapped
from crmml.recommend.base import Recommender
from crmml.recommend.blend import blended, places
from crmml.recommend.candidates import Candidates, candidates
from crmml.recommend.ids import as_ids, look_up
from crmml.recommend.matrix import Interactions, checked_array, damaged
from crmml.recommend.parameters import check_number, check_seed
from crmml.recommend.reranker import Seen, columns, width
from crmml.recommend.sequential import RepeatPurchase
from crmml.recommend.top import Ranked, Scores, joined

CUSTOMERS = 2_000  # whose candidates are in memory at a time


class TwoStage(Recommender):
    """The best of several recommenders, put in order by what was best on hold-outs inside the training data.

    First stage: the union of the `size` best items of every generator. Second stage: one of

    - the equal blend: the mean of the generators' scores, each standardised within the customer's candidates;
    - the fitted blend: the same with weights, without the generators that do not help;
    - the ranker: LambdaRank over the scores and ranks, the item's popularity, the customer's activity and taste.

    The equal blend is taken unless another is better, on customers who fitted nothing, by more than two standard
    errors of NDCG at `k`, and no worse on any kind of hold-out. Where events are in order (`Interactions.from_frame`
    with a timestamp, and in bundles), that is what came in the last `share` of all events, and the ranker also sees
    how long ago things were; else items drawn at random, and items like each other, as a later visit would have.
    `selection_` is the table of this decision; `chosen_` says it in a word. The generators that are used
    (`generators_`, those whose weight in `weights_` is above 0) then learn from everything.
    Where there are too few customers for a hold-out, it is the equal blend.

    generators: unfitted recommenders; by default ItemKNN, UserKNN, SpectralFilter, EASE twice and ALS, the first two
    with exponents chosen on the hold-outs too. size: how many items each proposes. share: how many of every customer's
    items are held out. k: the length of the lists that should be good. sample: the most customers that the choice is
    made on, and of more than 1,000 at most a third. random_state: seed of the hold-outs.
    repeats: lists are to hold what customers take again, so `recommend` them with exclude_seen=False; the default
    generators then have RepeatPurchase before them. It needs events in order.
    n_jobs: threads, -1 for as many as there are cores; the result is the same.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range, or repeats without events in order.
    Source: Covington, Adams and Sargin (2016), Deep neural networks for YouTube recommendations, RecSys, for the two
    stages; Burges (2010), From RankNet to LambdaRank to LambdaMART, MSR-TR-2010-82, for the ranker.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> model = TwoStage().fit(table)
    >>> model.chosen_, model.recommend(["ann"], k=1)["item_id"].tolist()
    ('equal blend', ['pot'])
    """

    reads_order = True
    generators_: dict[str, Recommender]
    selection_: pd.DataFrame
    chosen_: str
    weights_: NDArray[np.float64]
    parameters_: dict[str, dict[str, float]]

    def __init__(
        self,
        generators: Sequence[Recommender] | None = None,
        *,
        size: int = 100,
        share: float = 0.2,
        k: int = 20,
        sample: int = 10_000,
        repeats: bool = False,
        random_state: int = 0,
        n_jobs: int = -1,
    ) -> None:
        self.generators = generators
        self.size = size
        self.share = share
        self.k = k
        self.sample = sample
        self.repeats = repeats
        self.random_state = random_state
        self.n_jobs = n_jobs

    def candidates(self, customer_ids: Any) -> pd.DataFrame:
        """What the generators propose: a row for every customer, item and generator that lists it.

        Columns `customer_id`, `item_id`, `source` (the generator), `rank` (on its list, from 1), `score` (its score,
        standardised within the customer's candidates). Customers who are not known have no rows. Raises as
        `recommend`.
        """
        where = "TwoStage.candidates"
        matrix = self._fitted(where)
        ids = as_ids(customer_ids, f"{where}: customer_ids").unique()
        codes = look_up(matrix.customer_ids, ids, f"{where}: customer_ids")
        codes = codes[(codes >= 0) & matrix.has_weight[codes]]
        found = candidates(self.generators_, matrix, codes, self.size)
        at, source = np.nonzero(found.rank)
        return pd.DataFrame(
            {
                "customer_id": matrix.customer_ids[codes[found.row[at]]],
                "item_id": matrix.item_ids[found.item[at]],
                "source": np.array(list(self.generators_))[source],
                "rank": found.rank[at, source],
                "score": found.score[at, source],
            }
        )

    def _check_parameters(self, where: str) -> None:
        for name in ("size", "k", "sample"):
            checked_count(where, name, getattr(self, name))
        check_number(where, "share", self.share, such_as=0.2, above=True)
        if self.share >= 1:
            raise ConfigError(f"{where}: share is {self.share!r}. Use a number below 1, such as 0.2.")
        check_seed(where, self.random_state)
        if self.n_jobs != -1:
            checked_count(where, "n_jobs", self.n_jobs)
        if self.generators is not None and (
            not isinstance(self.generators, Sequence)
            or not self.generators
            or not all(isinstance(generator, Recommender) for generator in self.generators)
        ):
            raise ConfigError(
                f"{where}: generators is {self.generators!r}. Use a list of recommenders, such as [ItemKNN(), ALS()]."
            )

    def _learn(self, matrix: Interactions) -> None:
        if self.repeats and matrix.events is None:
            raise ConfigError(
                "TwoStage.fit: repeats is True, but the order of the events is not known. Give "
                "Interactions.from_frame(..., timestamp=...), or use repeats=False."
            )
        plan = Plan(self.size, self.share, self.k, self.sample, self.random_state, self.n_jobs, self.repeats)
        grids, set_here = ({}, {}) if self.generators is not None else (GRIDS, settled(matrix))
        found = select(self._unfitted(), matrix, plan, grids, set_here)
        self.selection_, self.chosen_, self.weights_ = found.table, found.chosen, found.weights
        self.parameters_, self._ranker = found.parameters, found.ranker
        used = [name for name, weight in zip(found.generators, found.weights, strict=True) if weight > 0]
        fitted = mapped(lambda name: found.generators[name].fit(matrix), used, self.n_jobs)
        self.generators_ = dict(zip(used, fitted, strict=True))
        self._recency = _recency.recency_of(matrix)

    def _unfitted(self) -> dict[str, Recommender]:
        """The generators by name: that of their class, with a number where it stands there already."""
        default = [RepeatPurchase(), *default_generators()] if self.repeats else default_generators()
        given = default if self.generators is None else [clone(one) for one in self.generators]
        named: dict[str, Recommender] = {}
        for one in given:
            kind = type(one).__name__
            same = sum(known.split(" ")[0] == kind for known in named)
            named[f"{kind} {same + 1}" if same else kind] = one
        return named

    def _ordered(self, found: Candidates, customers: NDArray[np.int64], size: int) -> NDArray[np.float64]:
        """The score of the second stage for these candidates, shape (n,)."""
        if self._ranker is None:
            return blended(found.score, self.weights_[self.weights_ > 0])
        seen = Seen(self.matrix_, self._recency, self.repeats)
        return self._ranker.raw(columns(found, seen, customers, size), self.n_jobs)

    def _best(
        self, customers: NDArray[np.int64], k: int, exclude_seen: bool, hidden: NDArray[np.bool_] | None
    ) -> Ranked:
        size = max(self.size, k)
        parts = []
        for start in range(0, len(customers), CUSTOMERS):
            some = customers[start : start + CUSTOMERS]
            found = candidates(
                self.generators_,
                self.matrix_,
                some,
                size,
                exclude_seen=exclude_seen,
                hidden=hidden,
                n_jobs=self.n_jobs,
            )
            score = self._ordered(found, some, size)
            place = places(score, found)
            keep = place < k
            order = np.lexsort((place[keep], found.row[keep]))
            parts.append(Ranked(found.row[keep][order] + start, found.item[keep][order], score[keep][order]))
        return joined(parts)

    def _scores(self, customers: NDArray[np.int64]) -> Scores:
        found = candidates(self.generators_, self.matrix_, customers, self.size, exclude_seen=False)
        scores = np.full((len(customers), len(self.matrix_.item_ids)), -np.inf)
        scores[found.row, found.item] = self._ordered(found, customers, self.size)
        return scores

    def _folded(self, known: Interactions, rows: NDArray[np.int64]) -> None:
        folded: dict[str, Recommender] = {}
        for name, one in self.generators_.items():
            if type(one)._folded is Recommender._folded:
                raise ConfigError(f"TwoStage.fold_in: {name} has to learn again. Call fit with all interactions.")
            folded[name] = copy(one)
            folded[name].matrix_ = self.matrix_
            folded[name]._folded(known, rows)
        self.generators_ = folded
        if self._recency is not None:
            self._recency = self._recency.folded(known, self.matrix_, rows)

    def _array_names(self) -> tuple[str, ...]:
        parts = enumerate(self._unfitted().values())
        recency = (f"recency.{name}" for name in _recency.NAMES)
        return (*OWN, *recency, *(f"generator{at}.{name}" for at, one in parts for name in one._array_names()))

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = written(self.selection_, self.chosen_, self.parameters_, self._ranker)
        for at, (kind, one) in enumerate(self._unfitted().items()):
            used = self.generators_.get(kind)
            # Of a generator that is not used there is nothing to know.
            known = used._get_arrays() if used is not None else dict.fromkeys(one._array_names(), np.empty(0))
            arrays |= {f"generator{at}.{name}": array for name, array in known.items()}
        return {**arrays, **_recency.written(self._recency), "blend_weights": self.weights_}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        generators = self._unfitted()
        weights = checked_array(state["blend_weights"], "f", (len(generators),), f"{where}: blend_weights")
        if not (weights >= 0).all() or not weights.any():
            raise damaged(f"{where}: blend_weights are not positive")
        recency = _recency.read(state, matrix, where)
        columns = width(len(generators), recency, repeats=self.repeats)
        table, chosen, parameters, ranker = read(state, generators, columns, where)
        if ranker is not None and not weights.all():
            raise damaged(f"{where}: blend_weights leave out what the ranker looks at")
        for at, (name, one) in enumerate(generators.items()):
            if not weights[at]:
                continue
            own = f"generator{at}."
            one.set_params(**parameters.get(name, {}))
            arrays = {key.removeprefix(own): array for key, array in state.items() if key.startswith(own)}
            one._set_arrays(arrays, matrix, f"{where}: {name}")
            one.matrix_ = matrix
        self.generators_ = {
            name: one for (name, one), weight in zip(generators.items(), weights, strict=True) if weight
        }
        self.weights_, self._recency = weights, recency
        self.selection_, self.chosen_, self.parameters_, self._ranker = table, chosen, parameters, ranker
