"""The second stage: trees that order the candidates by what every recommender thinks of them, and by what they are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmml.recommend._recency import Recency
from crmml.recommend._recency import width as width_of_recency
from crmml.recommend.blend import Judged, blended, places
from crmml.recommend.candidates import Candidates
from crmml.recommend.matrix import Interactions
from crmml.trees.booster import Trees
from crmml.trees.ranker import Groups, train_ranker

# Beside the scores and ranks of the generators.
FURTHER = ("blend", "place", "lists", "popularity", "activity", "taste", "beside_taste")


class Seen(NamedTuple):
    """What is known when lists are made: the interactions, when they were (None: nobody knows), and whether what a
    customer has may be recommended again."""

    matrix: Interactions
    recency: Recency | None
    repeats: bool


def columns(candidates: Candidates, seen: Seen, customers: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """What the ranker sees of every candidate, shape (n, `width`).

    The scores and the ranks of the generators (size + 1 where it is not on the list); the equal blend of the scores
    and the place it gives; on how many lists the candidate is; how popular the item is (log of the customers over
    their mean); how much the customer has (log of the number of items), and how popular that is on the average; the
    item's popularity less that average. Where times are known: how long ago the item was last taken, and how many of
    its events came lately; the same of the customer. With repeats also how much of the item the customer took, and
    how long ago.

    customers: the rows of the matrix that the candidates' rows count.
    """
    matrix = seen.matrix
    taken = np.diff(matrix.weights.indptr)
    customers_of = np.bincount(matrix.weights.indices, minlength=len(matrix.item_ids)).astype(np.float64)
    popularity = np.log1p(customers_of / customers_of.mean())
    owner = np.repeat(np.arange(len(taken)), taken)
    taste = np.bincount(owner, weights=popularity[matrix.weights.indices], minlength=len(taken)) / np.maximum(taken, 1)
    blend = blended(candidates.score, np.ones(candidates.score.shape[1]))
    who = customers[candidates.row]
    table = [
        *candidates.score.T,
        *np.where(candidates.rank > 0, candidates.rank, size + 1).T,
        blend,
        places(blend, candidates),
        (candidates.rank > 0).sum(axis=1),
        popularity[candidates.item],
        np.log1p(taken[who]),
        taste[who],
        popularity[candidates.item] - taste[who],
    ]
    if seen.recency is not None:
        table += seen.recency.columns(matrix, who, candidates.item, repeats=seen.repeats)
    return np.stack([np.asarray(column, dtype=np.float32) for column in table], axis=1)


def width(generators: int, recency: Recency | None, *, repeats: bool) -> int:
    """The number of columns for so many generators.

    >>> width(6, None, repeats=False)
    19
    """
    return 2 * generators + len(FURTHER) + width_of_recency(recency, repeats=repeats)


def trained(
    train: tuple[Judged, NDArray[np.float32]], stop: tuple[Judged, NDArray[np.float32]], k: int, n_jobs: int
) -> Trees:
    """The ranker of these candidates, with as many trees as are best for the others.

    Customers none of whose wanted items is a candidate say nothing about an order, and are left out.
    """
    return train_ranker(_groups(*train), _groups(*stop), k=k, n_jobs=n_jobs)


def _groups(judged: Judged, table: NDArray[np.float32]) -> Groups:
    found = np.bincount(judged.candidates.row[judged.wanted], minlength=len(judged.held)) > 0
    keep = found[judged.candidates.row]
    sizes = np.bincount(judged.candidates.row, minlength=len(judged.held))[found]
    return Groups(table[keep], judged.wanted[keep], sizes)
