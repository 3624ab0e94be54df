"""What all segmenters share: labels that are positions in a list of names."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crmml.models._base import Ints, TableEstimator


class Segmenter(TableEstimator):
    """`predict` gives whole numbers, as scikit-learn's clusterers do; `segment` the names that they stand for."""

    segments_: npt.NDArray[np.str_]

    def predict(self, X: Any) -> Ints:
        """The segment of each row as its position in `segments_`, shape (rows,).

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        return self._assign(X, "predict")

    def segment(self, X: Any) -> npt.NDArray[np.str_]:
        """The name of the segment of each row, shape (rows,).

        Raises:
            SchemaError, DataError: As `predict`.
        """
        positions = self._assign(X, "segment")
        return self.segments_[positions]

    def _assign(self, X: Any, method: str) -> Ints:
        raise NotImplementedError


def column_names(model: Any) -> list[str]:
    """The names of the columns of `fit`; "x0", "x1", ... where it got none."""
    names = getattr(model, "feature_names_in_", None)
    return [f"x{number}" for number in range(model.n_features_in_)] if names is None else [str(name) for name in names]
