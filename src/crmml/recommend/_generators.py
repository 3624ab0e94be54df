"""The generators of a two-stage recommender: cheap models that are wrong in different ways."""

from collections.abc import Mapping, Sequence

from crmml.recommend.als import ALS
from crmml.recommend.base import Recommender
from crmml.recommend.ease import EASE
from crmml.recommend.matrix import Interactions
from crmml.recommend.neighbors import ItemKNN, UserKNN
from crmml.recommend.spectral import SpectralFilter, fitting_width

# What is chosen on hold-outs, one parameter after the other. No value is best for every log: popular items are worth
# recommending in some, and tell nothing in others.
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "ItemKNN": {
        "to_exponent": (0.15, 0.45),
        "from_exponent": (0.5, 0.7),
        "activity_exponent": (1.0, 1.2),
        "power": (0.8, 0.95),
    },
    "UserKNN": {"to_exponent": (0.0, 0.3), "activity_exponent": (0.6, 1.0), "power": (1.0, 2.0)},
}
FACTORS, ALPHA, STARTS = 256, 50.0, 2  # of ALS; alpha is what an interaction of the mean weight gets


def default_generators() -> list[Recommender]:
    """The unfitted generators that `TwoStage` has where none are given.

    >>> [type(one).__name__ for one in default_generators()][:2]
    ['ItemKNN', 'UserKNN']
    """
    factors = ALS(FACTORS, alpha=ALPHA, regularization=20.0, iterations=8, frequency_exponent=0.5)
    return [ItemKNN(), UserKNN(), SpectralFilter(), EASE(), EASE(activity_exponent=0, regularization=100.0), factors]


def settled(matrix: Interactions) -> Mapping[str, Mapping[str, float]]:
    """Parameters of default generators that follow from the interactions, by class; they are stored with a model.

    ALS alone is not told the same by weights in cents as by weights in euros, and gets no more factors than
    a filter of this matrix would. How many starts it has stands here because models were stored that had one.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"customer_id": ["ann", "bob"], "item_id": ["tea", "tea"], "weight": [10.0, 30.0]})
    >>> settled(Interactions.from_frame(rows, weight="weight"))
    {'ALS': {'alpha': 2.5, 'factors': 1, 'starts': 2}}
    """
    positive = matrix.weights.data[matrix.weights.data > 0]
    mean = float(positive.mean()) if len(positive) else 1.0
    return {"ALS": {"alpha": ALPHA / mean, "factors": fitting_width(FACTORS, matrix), "starts": STARTS}}
