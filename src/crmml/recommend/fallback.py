"""An answer for every customer: the model's list, and where it has none, what their segment takes."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import SchemaError
from crmml.metrics.arrays import checked_count
from crmml.recommend._excluded import lists_without
from crmml.recommend.base import Recommender, offered_items
from crmml.recommend.ids import Ids, as_ids, look_up, to_array
from crmml.recommend.matrix import Interactions, checked_array, damaged
from crmml.recommend.parameters import check_number
from crmml.recommend.top import ranks
from crmml.recommend.wrapper import Wrapper

Floats = NDArray[np.float64]

OWN = ("segment_customers", "segment_codes", "segment_names")


class Fallback(Wrapper):
    """Any recommender, with lists of full length for everybody: also for strangers, and where it runs out of items.

    Whom the model knows gets its list; where that is shorter than k (items sold out, everything seen, few candidates),
    it goes on with popular items. Strangers get popular items alone. Popular is, for a customer whose segment is known
    (a country, a channel, an age group: what a shop knows of who has bought nothing yet), what the segment takes:

        share of item i = (weight of i in the segment + trust * share of i among all) / (weight of the segment + trust)

    so that a segment that is hardly known is like everybody, and without a segment it is the share among all. A list
    is shorter than k only where the customer has seen, or is refused, all that is left.

    model: the recommender; `Popularity()` by default. trust: at least 0; how much weight of a segment's own it takes
    until it counts as much as everybody's.

    Raises as `Recommender`.

    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> where = pd.DataFrame({"customer_id": ["eve", "joe"], "segment": ["north", "north"]})
    >>> model = Fallback(trust=1.0).fit(table, segments=where)
    >>> model.recommend(["joe", "zoe"], k=1)  # the nut: (1 + 1 x 1 / 4) / (1 + 1)
      customer_id item_id  rank  score   source
    0         joe     nut     1  0.625  segment
    1         zoe     tea     1  0.500  popular
    """

    segments_: "pd.Series[Any]"

    def __init__(self, model: Recommender | None = None, *, trust: float = 50.0) -> None:
        self.model = model
        self.trust = trust

    def fit(self, interactions: Interactions | pd.DataFrame, segments: pd.DataFrame | None = None) -> Self:
        """Fit the model, and know the segments.

        interactions: as `Recommender.fit`. segments: `customer_id`, `segment` (text): of customers with interactions,
        so that it is known what a segment takes, and of others. Raises as `Recommender.fit`.
        """
        where = "Fallback.fit"
        self._check_model(where)
        check_number(where, "trust", self.trust, such_as=50.0)
        model = self._unfitted().fit(interactions)
        self.segments_ = _segments(segments, model.matrix_, where)
        self.model_ = model
        return self

    def recommend(
        self,
        customer_ids: Any,
        k: int = 10,
        exclude_seen: bool = True,
        *,
        items: Any = None,
        exclude: pd.DataFrame | None = None,
        segments: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """As `Recommender.recommend`, with the column `source`: "model", "segment" or "popular".

        The score is that of the source, and a share among the popular ones: comparable within a source only. segments:
        `customer_id`, `segment` of customers who came since `fit`, or have moved; it goes before what `fit` was given.
        """
        where = "Fallback.recommend"
        model = self._fitted("recommend")
        k = checked_count(where, "k", k)
        ids = as_ids(customer_ids, f"{where}: customer_ids").unique()
        if exclude is not None:

            def longer(some: Any, length: int) -> pd.DataFrame:
                return self.recommend(some, length, exclude_seen, items=items, segments=segments)

            return lists_without(exclude, ids, model.matrix_, longer, k=k, where=where)
        code = look_up(model.matrix_.customer_ids, ids, f"{where}: customer_ids")
        personal = (code >= 0) & model.matrix_.has_weight[code]
        found = model.recommend(ids[personal], k, exclude_seen, items=items).assign(source="model")
        count = np.bincount(ids.get_indexer(pd.Index(found["customer_id"])), minlength=len(ids))
        short = np.flatnonzero(count < k)
        offered = None if items is None else offered_items(model.matrix_, items, where)
        known = pd.concat([_segments(segments, model.matrix_, where), self.segments_])
        segment = known[~known.index.duplicated()].reindex(ids[short])
        more = self._popular(ids[short], code[short] if exclude_seen else np.full(len(short), -1), segment, k, offered)
        table = pd.concat([found, more[list(found.columns)]], ignore_index=True) if len(more) else found
        table = table.drop_duplicates(["customer_id", "item_id"])
        place = ids.get_indexer(pd.Index(table["customer_id"]))
        table = table.iloc[np.argsort(place, kind="stable")]  # the model's first: they stand first
        rank = ranks(np.sort(place))
        return table.assign(rank=rank)[rank <= k].reset_index(drop=True)

    def get_state(self) -> dict[str, Any]:
        """What was learned, as arrays (and texts) of the model and of the segments."""
        state = self._model_state()
        codes, names = pd.factorize(self.segments_, sort=True)
        own = (to_array(pd.Index(self.segments_.index)), codes.astype(np.int64), np.array(list(names), dtype=np.str_))
        return {**state, **dict(zip(OWN, own, strict=True))}

    def set_state(self, state: dict[str, Any]) -> Self:
        """The reverse. Raises `BundleError` where `get_state` cannot have written this state."""
        where = "Fallback.set_state"
        of_model, own = self._divided(state)
        if set(own) != set(OWN):
            raise damaged(f"{where}: the state has {', '.join(sorted(own)) or 'no segments'}")
        customers, codes, names = (own[name] for name in OWN)
        codes = checked_array(codes, "i", np.shape(customers), f"{where}: segment_codes")
        if not isinstance(names, np.ndarray) or names.dtype.kind != "U" or names.ndim != 1:
            raise damaged(f"{where}: segment_names is not a vector of text")
        if len(codes) and not ((codes >= 0) & (codes < len(names))).all():
            raise damaged(f"{where}: segment_codes are not numbers below {len(names)}")
        model = self._unfitted()
        model.set_state(of_model)
        self.segments_ = pd.Series(names[codes] if len(codes) else [], index=pd.Index(customers), dtype=object)
        self.model_ = model
        return self

    def _popular(
        self, ids: Ids, code: NDArray[np.int64], segment: "pd.Series[Any]", k: int, offered: NDArray[np.bool_] | None
    ) -> pd.DataFrame:
        """The k most popular items of each customer's segment, without what the rows `code` (-1: none) have seen."""
        matrix = self.model_.matrix_
        number, names = pd.factorize(segment.to_numpy(dtype=object))
        parts = []
        for at in np.unique(number).tolist():
            share = self._shares(names[at] if at >= 0 else None)
            order = np.argsort(-share, kind="stable")
            order = order if offered is None else order[offered[order]]
            for row in np.flatnonzero(number == at):
                seen = matrix.seen(int(code[row])) if code[row] >= 0 else np.empty(0, dtype=np.int64)
                # As many again as a model's own list may hold of them: whatever stands on it, k others are left.
                head = order[: 2 * k + len(seen)]
                head = head[~np.isin(head, seen)]
                source = "segment" if at >= 0 else "popular"
                parts.append((np.full(len(head), row), head, share[head], np.full(len(head), source, dtype=object)))
        if not parts:
            return pd.DataFrame()
        rows, chosen, score, sources = (np.concatenate(column) for column in zip(*parts, strict=True))
        table = pd.DataFrame({"customer_id": ids[rows], "item_id": matrix.item_ids[chosen], "rank": 0})
        return table.assign(score=score, source=sources)

    def _shares(self, segment: Any) -> Floats:
        """The share of each item in a segment (None: among all), shape (items,)."""
        matrix = self.model_.matrix_
        overall: Floats = matrix.popularity / matrix.popularity.sum()
        if segment is None:
            return overall
        mine = self.segments_.index[self.segments_ == segment]
        rows = matrix.customer_ids.get_indexer(mine)
        own: Floats = np.asarray(matrix.weights[rows[rows >= 0]].sum(axis=0), dtype=np.float64).ravel()
        weight = float(own.sum()) + float(self.trust)
        return (own + float(self.trust) * overall) / weight if weight > 0 else overall


def _segments(table: Any, matrix: Interactions, where: str) -> "pd.Series[Any]":
    """The segment of each customer, by id; the first of several rows counts, missing ones do not."""
    if table is None:
        return pd.Series([], index=matrix.customer_ids[:0], dtype=object)
    if not isinstance(table, pd.DataFrame) or not {"customer_id", "segment"} <= set(table.columns):
        raise SchemaError(f"{where}: segments need the columns 'customer_id' and 'segment'. Use such a table.")
    table = table[table["segment"].notna()]
    ids = as_ids(table["customer_id"], f"{where}: segments: customer_id")
    look_up(matrix.customer_ids, ids, f"{where}: segments: customer_id")  # 5 and "5" would never meet
    found = pd.Series(table["segment"].astype(str).to_numpy(dtype=object), index=ids, dtype=object)
    return found[~found.index.duplicated()]
