"""States that are not ours are refused, by key and by whole message."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from tests.models.made import fitted_models

END = "The state is damaged or of another model: load an intact copy, or fit the model again."


def state_of(name: str) -> dict[str, Any]:
    return dict(fitted_models()[name][0].get_state())


def refusal(name: str, state: Any) -> str:
    with pytest.raises(cm.BundleError) as caught:
        getattr(cm, name)().set_state(state)
    return str(caught.value)


@pytest.mark.parametrize("name", list(fitted_models()))
def test_every_key_is_needed_and_no_other_is_known(name: str) -> None:
    state = state_of(name)
    for key in state:
        rest = {other: value for other, value in state.items() if other != key}
        assert refusal(name, rest) == f"{name}.set_state: '{key}' is missing. {END}"
    unknown = refusal(name, state | {"hook": "os.system"})
    assert unknown == f"{name}.set_state: 'hook' is not a key of this model. {END}"


@pytest.mark.parametrize("name", list(fitted_models()))
def test_a_state_that_is_no_dict_is_refused(name: str) -> None:
    assert refusal(name, [1]) == f"{name}.set_state: the state must be a dict as get_state() gives it, not [1]."


@pytest.mark.parametrize(
    ("name", "key", "value", "problem"),
    [
        ("ChurnClassifier", "n_features_in", True, "must be a whole number, 1 or more, not True"),
        ("ChurnClassifier", "n_features_in", "4", "must be a whole number, 1 or more, not '4'"),
        ("ChurnClassifier", "feature_names_in", ["a", "b"], "must hold 4 different names, not ['a', 'b']"),
        ("ChurnClassifier", "feature_names_in", ["a"] * 4, "must hold 4 different names, not ['a', 'a', 'a', 'a']"),
        ("ChurnClassifier", "feature_names_in", [1, 2, 3, 4], "must be a list of texts or None, not [1, 2, 3, 4]"),
        ("ChurnClassifier", "classes", np.array([1, 0]), "must be two sorted labels, not [1, 0]"),
        ("ChurnClassifier", "classes", np.array([0, 1, 2]), "has the shape (3,), not (2,)"),
        (
            "ChurnClassifier",
            "classes",
            np.array([{}, {}]),
            "must be an array of kind i or u or f or b or U, not dtype object",
        ),
        ("ChurnClassifier", "calibration", np.array([np.nan, 0.0]), "must hold finite numbers only"),
        (
            "ChurnClassifier",
            "calibration",
            np.array([-1.0, 0.0]),
            "must not turn the ranking round, but its slope is -1.0",
        ),
        ("ChurnClassifier", "calibration", [1.0, 0.0], "must be an array of kind f, not list"),
        ("ChurnClassifier", "booster", None, "must be text, not NoneType"),
        (
            "ChurnClassifier",
            "booster",
            "tree",
            "is not a model text of this class: its header holds [], not ['feature_infos', 'feature_names', "
            "'label_index', 'max_feature_idx', 'num_class', 'num_tree_per_iteration', 'objective', 'tree_sizes', "
            "'version']",
        ),
        ("LifetimeValueRegressor", "label_mean", "1", "must be a number, not '1'"),
        ("LifetimeValueRegressor", "label_mean", -1.0, "must be a finite number of at least 0.0, not -1.0"),
        ("LifetimeValueRegressor", "label_mean", 0.0, "must be None where the mean of the labels is 0"),
        ("LifetimeValueRegressor", "level", np.inf, "must be a finite number of at least 0.0, not inf"),
        ("LifetimeValueRegressor", "interval_edges", np.zeros(5), "must rise"),
        ("LifetimeValueRegressor", "interval_ratios", np.zeros(3), "must add up to the 3 ratios"),
        ("RFMSegmenter", "thresholds", np.zeros((3, 4)), "has the shape (3, 4), not (4, any)"),
        (
            "RFMSegmenter",
            "thresholds",
            -np.cumsum(np.ones((4, 4)), axis=1),
            "must rise within each row, or be all NaN",
        ),
        (
            "RFMSegmenter",
            "thresholds",
            np.zeros((4, 0)),
            "must have 2 rows and 1 column or more, not the shape (4, 0)",
        ),
        ("BehaviourSegmenter", "centres", np.zeros((3, 2)), "has the shape (3, 2), not (any, 4)"),
        ("BehaviourSegmenter", "centres", np.zeros((0, 4)), "must have a row or more"),
        ("BehaviourSegmenter", "sizes", np.array([1, -1, 2]), "must hold numbers of rows, not [1, -1, 2]"),
        ("BehaviourSegmenter", "scaling", np.zeros((4, 4)), "must have low <= high and scale > 0"),
        (
            "RFMSegmenter",
            "grid",
            np.zeros((5, 5), dtype=np.int64),
            "must name each of the 11 different segments by its position",
        ),
        ("ValueTiers", "limits", np.array([1.0, 2.0]), "must hold 1 to 25 falling values above 0"),
        ("ValueTiers", "gradient", np.zeros((3, 6)), "must hold numbers of customers and sums of values"),
    ],
)
def test_a_wrong_value_is_refused(name: str, key: str, value: Any, problem: str) -> None:
    message = refusal(name, state_of(name) | {key: value})
    # The counts are checked against the edges and ratios, so the wrong one of two may be the one named.
    about = {"interval_ratios": "interval_counts"}.get(key, key)
    about = "booster" if problem.startswith("must be None where") else about
    assert message == f"{name}.set_state: '{about}' {problem}. {END}"


def test_the_state_of_another_estimator_is_refused() -> None:
    for name in fitted_models():
        for other in fitted_models():
            if other != name:
                assert refusal(name, state_of(other)).endswith(END)


anything = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.integers(0, 3), max_size=4)
    | st.lists(st.floats(), max_size=6).map(np.array)
    | st.integers(0, 4).map(lambda n: np.zeros((4, n)))
    | st.lists(st.text(max_size=3), max_size=4).map(lambda texts: np.array(texts, dtype=str))
)


@given(name=st.sampled_from(list(fitted_models())), value=anything, data=st.data())
def test_any_other_value_is_refused_or_works(name: str, value: Any, data: st.DataObject) -> None:
    state = state_of(name)
    key = data.draw(st.sampled_from(list(state)))
    model = getattr(cm, name)()
    try:
        model.set_state(state | {key: value})
    except cm.BundleError:
        return
    # What is accepted predicts: names and a silhouette may differ, sums and shapes may not.
    with np.errstate(over="ignore"):
        model.predict(fitted_models()[name][1])
