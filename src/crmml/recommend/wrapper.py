"""What stands around a recommender: it fits a copy, passes on what it does not change, and stores it beside its own."""

from typing import Any, ClassVar

import pandas as pd
from sklearn.base import BaseEstimator, clone

from crmml.errors import ConfigError
from crmml.recommend.base import Recommender, RecommenderNotFittedError
from crmml.recommend.matrix import Interactions
from crmml.recommend.popularity import Popularity

MODEL = "model."  # before the names of the recommender's own arrays


class Wrapper(BaseEstimator):  # type: ignore[misc]
    """Base of what has a recommender in the parameter `model` (None: `Popularity()`), and it fitted in `model_`."""

    _first: ClassVar[str] = "fit(interactions)"  # what has to be called before anything is asked
    model: Recommender | None
    model_: Recommender

    @property
    def reads_order(self) -> bool:
        """Whether the model learns from the order of events."""
        return bool(self._unfitted().reads_order)

    @property
    def matrix_(self) -> Interactions:
        """What the model was fitted on."""
        return self._fitted("matrix_").matrix_

    def similar_items(self, item_ids: Any, k: int = 10) -> pd.DataFrame:
        """As the model's own."""
        return self._fitted("similar_items").similar_items(item_ids, k)

    def _check_model(self, where: str) -> None:
        if self.model is not None and not isinstance(self.model, Recommender):
            raise ConfigError(f"{where}: model is {self.model!r}. Use a recommender, such as ItemKNN().")

    def _unfitted(self) -> Recommender:
        return Popularity() if self.model is None else clone(self.model)

    def _fitted(self, verb: str) -> Recommender:
        if not hasattr(self, "model_"):
            raise RecommenderNotFittedError(f"{type(self).__name__}.{verb}: not fitted yet. Call {self._first} first.")
        return self.model_

    def _model_state(self) -> dict[str, Any]:
        """The arrays of the model, under names that no array of one's own has."""
        return {f"{MODEL}{name}": value for name, value in self._fitted("get_state").get_state().items()}

    def _divided(self, state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A state in two: of the model, under its own names, and of what is around it."""
        model = {name.removeprefix(MODEL): value for name, value in state.items() if name.startswith(MODEL)}
        return model, {name: value for name, value in state.items() if not name.startswith(MODEL)}
