"""Interactions whose right answer is obvious: two groups of customers with tastes that have nothing in common."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pandas as pd
import pytest

import crmml
from crmml.recommend.base import Recommender

ITEMS = 6  # per block
CUSTOMERS = 8  # per block


def two_blocks(
    customer: Callable[[int], Any] = lambda number: number, item: Callable[[int], Any] = lambda number: number
) -> pd.DataFrame:
    """Customers 0..7 took the items 0..5, customers 8..15 the items 6..11; each left out one, the `missing`."""
    rows = [
        (customer(block * CUSTOMERS + who), item(block * ITEMS + what), 1.0)
        for block in (0, 1)
        for who in range(CUSTOMERS)
        for what in range(ITEMS)
        if what != who % ITEMS
    ]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "weight"])


def missing(customer: int) -> int:
    """The one item of their block that this customer has not taken."""
    block, who = divmod(customer, CUSTOMERS)
    return block * ITEMS + who % ITEMS


def public_recommenders() -> dict[str, type[Recommender]]:
    """Every recommender in the public table, by name."""
    public = {name: getattr(crmml, name) for name in crmml.__all__ if _home(name).startswith("recommend.")}
    return {name: value for name, value in public.items() if isinstance(value, type) and issubclass(value, Recommender)}


def defined_recommenders() -> set[str]:
    """Every subclass of `Recommender` that a module of the package defines."""
    from pkgutil import iter_modules

    package = import_module("crmml.recommend")
    for module in iter_modules(package.__path__):
        import_module(f"crmml.recommend.{module.name}")
    found = {kind.__name__ for kind in _subclasses(Recommender) if kind.__module__.startswith("crmml.")}
    return found - {"FactorRecommender"}  # a base that learns nothing


def _subclasses(kind: type) -> set[type]:
    children: set[type] = set(kind.__subclasses__())
    return children.union(*(_subclasses(child) for child in children))


def _home(name: str) -> str:
    return str(crmml._HOME_OF.get(name, ""))


RECOMMENDERS = public_recommenders()
each = pytest.mark.parametrize("kind", RECOMMENDERS.values(), ids=list(RECOMMENDERS))


def text_of(exception: type[Exception], call: Callable[[], object]) -> str:
    """The whole message of the error in which the call ends."""
    with pytest.raises(exception) as caught:
        call()
    return str(caught.value)


def each_missing_first(model: Recommender) -> bool:
    """Whether everybody's first recommendation is the one item of their block that they have not taken."""
    first = model.recommend(range(2 * CUSTOMERS), k=1)["item_id"].tolist()
    return first == [missing(customer) for customer in range(2 * CUSTOMERS)]
