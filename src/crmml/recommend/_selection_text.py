"""What a two-stage recommender decided, as arrays and back: figures and parameters as JSON, the ranker as its text."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.recommend._selection import EQUAL, FITTED, RANKER, table_of
from crmml.recommend.base import Recommender
from crmml.recommend.matrix import damaged
from crmml.recommend.parameters import is_number
from crmml.trees.booster import Trees
from crmml.trees.ranker import OBJECTIVE
from crmml.trees.text import problem_of

OWN = ("blend_weights", "ranker", "selection")
Parameters = dict[str, dict[str, float]]


def written(table: pd.DataFrame, chosen: str, parameters: Parameters, ranker: Trees | None) -> dict[str, NDArray[Any]]:
    """The decision as arrays: `selection`, one JSON text, and `ranker`, the bytes of the trees' text or none."""
    decided = {"chosen": chosen, "parameters": parameters, "table": table.to_dict("records")}
    text = "" if ranker is None else ranker.text
    return {
        "selection": np.array([json.dumps(decided, sort_keys=True)], dtype=np.str_),
        "ranker": np.frombuffer(text.encode("ascii"), dtype=np.uint8).copy(),
    }


def read(
    state: Mapping[str, Any], generators: Mapping[str, Recommender], columns: int, where: str
) -> tuple[pd.DataFrame, str, Parameters, Trees | None]:
    """The reverse of `written`; the trees, of so many columns, are checked before LightGBM sees them.

    Raises `BundleError`.
    """
    found = state["selection"]
    if not isinstance(found, np.ndarray) or found.dtype.kind != "U" or found.shape != (1,):
        raise damaged(f"{where}: selection is not one text")
    try:
        decided = json.loads(str(found[0]))
        table = table_of(decided["table"])
        chosen, parameters = decided["chosen"], decided["parameters"]
        _check_parameters(parameters, generators)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(f"{where}: selection is not a decision") from None
    if chosen not in (EQUAL, FITTED, RANKER):
        raise damaged(f"{where}: chosen is {chosen!r}")
    return table, chosen, parameters, _read_ranker(state["ranker"], chosen, columns, where)


def _check_parameters(parameters: Any, generators: Mapping[str, Recommender]) -> None:
    """Raise `ValueError` for what are no numbers of parameters that the generators have."""
    for name, values in parameters.items():
        known = generators[name].get_params()
        if not all(key in known and is_number(known[key]) and is_number(value) for key, value in values.items()):
            raise ValueError(name)


def _read_ranker(array: Any, chosen: str, columns: int, where: str) -> Trees | None:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 1:
        raise damaged(f"{where}: ranker is not a vector of bytes")
    if (chosen == RANKER) != bool(len(array)):
        raise damaged(f"{where}: ranker has {len(array)} bytes, but chosen is {chosen!r}")
    if not len(array):
        return None
    text = array.tobytes().decode("ascii", errors="replace")
    problem = problem_of(text, columns, OBJECTIVE)
    if problem is not None:
        raise damaged(f"{where}: ranker is not a model text: {problem}")
    return Trees(text)
