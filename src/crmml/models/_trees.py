"""Trees in the state of a model: read back from their text, once that is known to be harmless."""

from crmml.models._state import StateReader
from crmml.trees.booster import Trees, TreeTrainer
from crmml.trees.text import problem_of

__all__ = ["TreeTrainer", "Trees", "read_trees"]


def read_trees(reader: StateReader, key: str, n_features: int, objective: str) -> Trees:
    """The trees whose text stands under a key of a state; refused before LightGBM, which trusts it, sees it."""
    text = reader.text(key)
    problem = problem_of(text, n_features, objective)
    if problem is not None:
        reader.refuse(key, f"is not a model text of this class: {problem}")
    return Trees(text)
