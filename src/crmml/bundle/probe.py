"""The probe of a bundle: made-up rows with the scores they got, scored again at loading.

The digests say that the files are those that were written; the probe says that this machine, with the libraries
it has, still makes the same scores of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.bundle.scoring import Columns, item_scores, table_scores
from crmml.errors import BundleError, CrmmlError, MissingExtraError
from crmml.features.feature_set import FeatureSet

PREFIX = "probe."
_ROWS = "probe.rows"
_CUSTOMERS = "probe.customers"
_N_ROWS = 24
_N_KNOWN = 3
_K = 5
_TOLERANCE = 1e-12


def make_probe(features: Any, target: Any, model: Any) -> Columns:
    """Arrays named `probe.*`: the rows (or customers), and the score columns that they get."""
    if isinstance(features, FeatureSet):
        asked: Columns = {_ROWS: _rows(len(features.names))}
    else:
        asked = {_CUSTOMERS: _customers(model)}
    return asked | _answers(features, target, model, asked)


def check_probe(features: Any, target: Any, model: Any, arrays: Mapping[str, Any], where: Path) -> None:
    """Score the probe again and compare: texts and whole numbers exactly, scores to 1e-12.

    Raises:
        BundleError: the probe is missing, the model cannot answer it, or the scores differ.
        MissingExtraError: the model needs a package that is not installed.
    """
    name = _ROWS if isinstance(features, FeatureSet) else _CUSTOMERS
    asked = arrays.get(name)
    if asked is None or not _fits(asked, None if name == _CUSTOMERS else len(features.names)):
        raise BundleError(f"{where}: has no probe. Save the bundle again with Bundle.save().")
    expected = {key: array for key, array in arrays.items() if key != name}
    try:
        found = _answers(features, target, model, {name: asked})
    except MissingExtraError:
        raise
    except Exception as error:  # a state or a parameter that its reader let pass; what is behind raises what it likes
        problem = str(error) if isinstance(error, CrmmlError) else f"{type(error).__name__}: {error}"
        raise BundleError(f"{where}: the model cannot be asked: {problem}") from error
    for key in sorted(expected):  # a score that a newer version adds has nothing to be compared with
        problem = _difference(expected.get(key), found.get(key))
        if problem:
            raise BundleError(
                f"{where}: the model gives other scores than when it was saved: {key.removeprefix(PREFIX)} "
                f"{problem}. Install the versions that bundle.json lists under 'packages', or train it anew."
            )


def _fits(asked: npt.NDArray[Any], n_features: int | None) -> bool:
    """Whether these can be a probe's rows or customers: a larger one could keep whoever loads it busy for hours."""
    if n_features is None:
        return asked.ndim == 1 and len(asked) <= _N_KNOWN + 1
    return asked.shape == (_N_ROWS, n_features) and asked.dtype.kind == "f"


def _answers(features: Any, target: Any, model: Any, asked: Columns) -> Columns:
    if _ROWS in asked:
        scores = table_scores(model, target, pd.DataFrame(asked[_ROWS], columns=list(features.names)))
    else:
        table = item_scores(model, asked[_CUSTOMERS], _K)
        scores = {str(column): plain_array(table[column]) for column in table.columns}
    return {f"{PREFIX}{column}": plain_array(values) for column, values in scores.items()}


def plain_array(values: Any) -> npt.NDArray[Any]:
    """An array without objects: texts as unicode, everything else as it is."""
    array = np.asarray(values)
    return array.astype(str) if array.dtype.kind in "OT" else array


def _rows(n_features: int) -> npt.NDArray[np.float64]:
    """Nothing, missing, ones, then values of all sizes from .01 to 10,000 with some missing: no customer's row."""
    random = np.random.Generator(np.random.Philox(20240101))
    rows = np.round(10 ** random.uniform(-2, 4, size=(_N_ROWS, n_features)), 3)
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[0], rows[1], rows[2] = 0.0, np.nan, 1.0
    return rows


def _customers(model: Any) -> npt.NDArray[Any]:
    """One customer that nobody knows, and a few that the model does."""
    matrix = getattr(model, "matrix_", None)
    known = plain_array([] if matrix is None else matrix.customer_ids)[:_N_KNOWN]
    if known.dtype.kind == "U":
        return np.array([*known, "nobody has this id"])
    kind = known.dtype if known.dtype.kind in "iu" else np.dtype(np.int64)
    return np.array([*known, np.iinfo(kind).max], dtype=kind)


def _difference(expected: Any, found: Any) -> str:
    """Where two columns differ, in words; "" where they do not."""
    if expected is None or found is None or expected.shape != found.shape:
        before, now = (None if column is None else column.shape for column in (expected, found))
        return f"has the shape {now} instead of {before}"
    if expected.dtype.kind == "f" and found.dtype.kind == "f":
        same = np.isclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    else:
        same = expected == found
    if np.all(same):
        return ""
    row = int(np.flatnonzero(~same)[0])
    return f"of row {row} is {found[row]} instead of {expected[row]}"
