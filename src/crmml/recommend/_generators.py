"""The generators of a two-stage recommender: cheap models that are wrong in different ways."""

from collections.abc import Mapping, Sequence

from crmml.recommend.base import Recommender
from crmml.recommend.ease import EASE
from crmml.recommend.neighbors import ItemKNN, UserKNN
from crmml.recommend.spectral import SpectralFilter

# What is chosen on hold-outs, one parameter after the other. No value is best for every log: popular items are worth
# recommending in some, and tell nothing in others.
GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "ItemKNN": {"to_exponent": (0.15, 0.45), "from_exponent": (0.5, 0.7), "power": (0.8, 0.95)},
    "UserKNN": {"activity_exponent": (0.6, 1.0), "power": (1.0, 2.0)},
}


def default_generators() -> list[Recommender]:
    """The unfitted generators that `TwoStage` has where none are given.

    >>> [type(one).__name__ for one in default_generators()][:2]
    ['ItemKNN', 'UserKNN']
    """
    return [ItemKNN(), UserKNN(), SpectralFilter(), EASE(), EASE(activity_exponent=0, regularization=100.0)]
