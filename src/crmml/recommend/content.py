"""Items that nobody has taken yet: recommended by what they are."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from crmml.errors import ConfigError, SchemaError
from crmml.recommend.factors import on_grid
from crmml.recommend.ids import Ids, as_ids, is_text, look_up, shown
from crmml.recommend.matrix import Interactions, interactions_of
from crmml.recommend.parameters import check_number
from crmml.recommend.products import powers, taste
from crmml.recommend.spectral import SpectralFilter

Attributes = Mapping[Any, Collection[Any]]
# Up to so many attributes the equations are solved at once, above it by conjugate gradients.
AT_ONCE = 5_000
# A whole number as Python writes it: two texts never mean the same one.
NUMBER = re.compile(r"0|-?[1-9][0-9]*")


class ContentItems(SpectralFilter):
    """`SpectralFilter`, with vectors also for items that are known by their attributes alone: new in the shop.

    A ridge regression learns from all items with interactions which direction of taste each attribute stands for. An
    item that n customers took has the direction

        (n * the one they say + trust * the one its attributes say) / (n + trust)

    so that a new item starts with its attributes, and its customers take over. Items without attributes keep what
    their customers say. Items that nobody took are as much helped as an item of median popularity.

    attributes: item -> its attributes, such as {"sku-1": ["brand:a", "colour:red"]}; the items that are only here are
    recommended too. Items that are whole numbers may be written as text, {"17": ["brand:a"]}, which a bundle needs.
    None for none; then this is `SpectralFilter`. Out of a table with one row per item and attribute:
    `table.groupby("item_id")["attribute"].agg(list).to_dict()`.
    regularization: above 0; how much an attribute is held back. trust: at least 0; how many customers the attributes
    are worth. factors, popularity_exponent, random_state: see `SpectralFilter`.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range; `SchemaError` for items of another type
    than those of the interactions.
    Source: Gantner et al. (2010), Learning attribute-to-feature mappings for cold-start recommendations, ICDM.

    >>> import pandas as pd
    >>> about = {f"{kind} {n}": [kind] for kind in ("tea", "mug") for n in range(7)}
    >>> rows = [(who, f"{kind} {n}") for who in range(20) for n, kind in enumerate([("tea", "mug")[who % 2]] * 6)]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> ContentItems(about).fit(table).recommend([0, 1], k=1)["item_id"].tolist()  # nobody took the seventh yet
    ['tea 6', 'mug 6']
    """

    def __init__(
        self,
        attributes: Attributes | None = None,
        *,
        factors: int = 256,
        popularity_exponent: float = 0.5,
        regularization: float = 10.0,
        trust: float = 5.0,
        random_state: int = 0,
    ) -> None:
        super().__init__(factors, popularity_exponent=popularity_exponent, random_state=random_state)
        self.attributes = attributes
        self.regularization = regularization
        self.trust = trust

    def fit(self, interactions: "Interactions | pd.DataFrame") -> Self:
        """As `Recommender.fit`; the items of `attributes` are known too, whether anybody took them or not."""
        where = f"{type(self).__name__}.fit"
        self._check_parameters(where)
        return super().fit(_with_items(interactions_of(interactions, where), self.attributes, where))

    def _check_parameters(self, where: str) -> None:
        super()._check_parameters(where)
        check_number(where, "regularization", self.regularization, such_as=10.0, above=True)
        check_number(where, "trust", self.trust, such_as=5.0)
        if self.attributes is None:
            return
        if not isinstance(self.attributes, Mapping):
            raise ConfigError(
                f"{where}: attributes is a {type(self.attributes).__name__}. "
                "Give a mapping from items, such as {'sku-1': ['brand:a', 'colour:red']}."
            )
        for item, listed in self.attributes.items():
            if isinstance(listed, str | bytes) or not isinstance(listed, Collection):
                raise ConfigError(
                    f"{where}: attributes[{item!r}] is {listed!r:.60}. Give a list, such as [{listed!r:.60}]."
                )

    def _learn(self, matrix: Interactions) -> None:
        super()._learn(matrix)
        if not self.attributes:
            return
        popularity = np.asarray(taste(matrix.weights).sum(axis=0), dtype=np.float64).ravel()
        helped = powers(popularity, self.popularity_exponent + 0.5)
        own = self.item_factors_.astype(np.float64) / helped[:, None]
        about = _attribute_matrix(matrix, self.attributes)
        said = self._said(about, own, popularity)
        customers = np.bincount(matrix.weights.indices[matrix.weights.data > 0], minlength=len(popularity))
        worth = np.where(np.diff(about.indptr) > 0, float(self.trust), 0.0)
        total = np.maximum(customers + worth, 1e-12)[:, None]
        direction = (customers[:, None] * own + worth[:, None] * said) / total
        usual = float(np.median(popularity[popularity > 0])) ** (self.popularity_exponent + 0.5)
        lifted = np.where(popularity > 0, helped, usual)[:, None]
        self.item_factors_ = on_grid((direction * lifted).astype(np.float32))

    def _said(self, about: csr_array, own: NDArray[np.float64], popularity: NDArray[np.float64]) -> NDArray[np.float64]:
        """The direction that the attributes of each item stand for, shape (items, factors)."""
        warm = np.flatnonzero((popularity > 0) & (np.diff(about.indptr) > 0))
        if not len(warm):
            return np.zeros_like(own)
        solver = "cholesky" if min(about.shape[1], len(warm)) <= AT_ONCE else "sparse_cg"
        # Directions of popular items are known better: they weigh as many customers as they have.
        ridge = Ridge(alpha=float(self.regularization), fit_intercept=False, solver=solver)
        with threadpool_limits(limits=1):
            ridge.fit(about[warm], own[warm], sample_weight=popularity[warm])
            coefficients = ridge.coef_.reshape(own.shape[1], about.shape[1])
            return np.asarray(about @ coefficients.T)


def _with_items(matrix: Interactions, attributes: Attributes | None, where: str) -> Interactions:
    """The interactions with a column for every item that has attributes."""
    if not attributes:
        return matrix
    given = _item_ids(attributes, matrix, f"{where}: attributes")
    if is_text(given) != is_text(matrix.item_ids):
        raise SchemaError(
            f"{where}: items of attributes look like {shown(given, 0)}, those of the interactions like "
            f"{shown(matrix.item_ids, 0)}. Use the same ids in both."
        )
    items = matrix.item_ids.union(given, sort=False).sort_values()
    place = look_up(items, matrix.item_ids, f"{where}: attributes")
    weights = csr_array(
        (matrix.weights.data, place[matrix.weights.indices], matrix.weights.indptr),
        shape=(len(matrix.customer_ids), len(items)),
    )
    return Interactions(matrix.customer_ids, items, weights)


def _item_ids(attributes: Attributes, matrix: Interactions, where: str) -> Ids:
    """The items of the attributes, whole numbers too where they are written as text: JSON has no other keys."""
    given = as_ids(list(attributes), where)
    if is_text(given) and not is_text(matrix.item_ids) and all(NUMBER.fullmatch(item) for item in given):
        return as_ids([int(item) for item in given], where)
    return given


def _attribute_matrix(matrix: Interactions, attributes: Attributes) -> csr_array:
    """Items by attributes, every row of length 1; equal attributes of an item count once."""
    keys = _item_ids(attributes, matrix, "attributes")
    rows = look_up(matrix.item_ids, keys, "attributes")
    pairs = [
        (row, repr(attribute))
        for row, key in zip(rows.tolist(), attributes, strict=True)
        for attribute in attributes[key]
    ]
    table = pd.DataFrame(pairs, columns=["row", "attribute"]).drop_duplicates()
    column, distinct = pd.factorize(table["attribute"], sort=True)
    row = table["row"].to_numpy(np.int64)
    shape = (len(matrix.item_ids), max(1, len(distinct)))
    sizes = np.maximum(np.bincount(row, minlength=shape[0]), 1)
    return csr_array((1 / np.sqrt(sizes[row]), (row, column)), shape=shape)
