"""What all four estimators promise: scikit-learn's checks, checked columns, a state of text and arrays."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

import crmml as cm
from crmml.models import _base
from tests.models.made import fitted_models, predictions, read_state, same_to_the_last_bit, write_state
from tests.models.mutants import dies

ROOT = Path(__file__).resolve().parents[2]
ESTIMATORS: tuple[Callable[[], Any], ...] = (
    cm.ChurnClassifier,
    cm.LifetimeValueRegressor,
    cm.RFMSegmenter,
    lambda: cm.BehaviourSegmenter(n_clusters=2),
    cm.ValueTiers,
    cm.SuggestedSegments,
    cm.Lookalikes,
)
OTHER_METHODS: tuple[Callable[[], Any], ...] = (
    cm.BehaviourSegmenter,
    lambda: cm.BehaviourSegmenter(method="gaussian_mixture"),
    lambda: cm.BehaviourSegmenter(method="hdbscan"),
    lambda: cm.Lookalikes("nearest"),
)
each = pytest.mark.parametrize("make", ESTIMATORS, ids=lambda make: type(make()).__name__)


CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{getattr(check, 'func', check).__name__}")
    for public in (*ESTIMATORS, *OTHER_METHODS)
    for estimator, check in estimator_checks_generator(public())  # none is expected to fail
]


@pytest.mark.filterwarnings("default")  # some checks of scikit-learn warn on purpose
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learn_finds_nothing(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.gamma(1.0, size=(40, 3)), columns=["recency", "frequency", "monetary"])


def labels() -> "pd.Series[int]":
    return pd.Series(np.arange(40) % 2)


def test_the_state_is_text_arrays_and_plain_values() -> None:
    for name, (model, _) in fitted_models().items():
        for key, value in model.get_state().items():
            plain = isinstance(value, str | int | float | type(None) | list)
            array = isinstance(value, np.ndarray) and value.dtype.kind in "fiubU"
            assert plain or array, (name, key, value)


def test_a_state_that_went_through_files_predicts_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    models = fitted_models()
    for name, (model, X) in models.items():
        (tmp_path / name).mkdir()
        write_state(model.get_state(), tmp_path / name)
        np.save(tmp_path / name / "X.npy", X)
    script = (
        "import sys, numpy as np, crmml as cm\n"
        "from pathlib import Path\n"
        "from tests.models.made import predictions, read_state\n"
        "for folder in Path(sys.argv[1]).iterdir():\n"
        "    model = getattr(cm, folder.name)().set_state(read_state(folder))\n"
        "    np.savez(folder / 'said.npz', **predictions(model, np.load(folder / 'X.npy')))\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"})
    for name, (model, X) in models.items():
        with np.load(tmp_path / name / "said.npz") as said:
            assert same_to_the_last_bit({key: said[key] for key in said.files}, predictions(model, X)), name


@each
def test_names_and_classes_come_back_with_the_state(make: Callable[[], Any], tmp_path: Path) -> None:
    X = table().rename(columns={"recency": "recency_café\n'\"; DROP--"})
    model = make().fit(X, labels())
    write_state(model.get_state(), tmp_path)
    back = make().set_state(read_state(tmp_path))
    assert list(back.feature_names_in_) == list(X.columns)
    assert back.feature_names_in_.dtype == object
    assert back.n_features_in_ == 3
    assert getattr(back, "classes_", np.array([0, 1])).tolist() == [0, 1]
    assert same_to_the_last_bit(predictions(back, X), predictions(model, X))
    assert back.get_state().keys() == model.get_state().keys()


def test_a_state_replaces_all_that_an_earlier_fit_left() -> None:
    named = cm.BehaviourSegmenter(n_clusters=2).fit(table())
    state = cm.BehaviourSegmenter(n_clusters=3).fit(table().to_numpy()).get_state()
    named.set_state(state)
    assert not hasattr(named, "feature_names_in_")
    assert not hasattr(named, "labels_")  # of other rows
    assert len(named.cluster_centers_) == 3


def test_a_refused_state_leaves_the_model_as_it_was() -> None:
    for name, (model, X) in fitted_models().items():
        before = predictions(model, X)
        with pytest.raises(cm.BundleError, match="n_features_in"):
            model.set_state(model.get_state() | {"n_features_in": 0})
        assert same_to_the_last_bit(predictions(model, X), before), name


@each
def test_before_fit_there_is_no_state(make: Callable[[], Any]) -> None:
    with pytest.raises(NotFittedError):
        make().get_state()


@each
def test_permuted_columns_are_refused(make: Callable[[], Any]) -> None:
    model = make().fit(table(), labels())
    with pytest.raises(cm.SchemaError) as caught:
        model.predict(table()[["monetary", "frequency", "recency"]])
    assert str(caught.value) == (
        f"{type(model).__name__}.predict: The feature names should match those that were passed during fit.\n"
        "Feature names must be in the same order as they were in fit.\n"
        "Use X[list(model.feature_names_in_)]."
    )


@each
def test_missing_and_extra_columns_are_refused(make: Callable[[], Any]) -> None:
    model = make().fit(table(), labels())
    with pytest.raises(cm.SchemaError) as missing:
        model.predict(table().drop(columns=["frequency"]))
    assert str(missing.value) == (
        f"{type(model).__name__}.predict: The feature names should match those that were passed during fit.\n"
        "Feature names seen at fit time, yet now missing:\n- frequency\n"
        "Build the missing columns, then use X[list(model.feature_names_in_)]."
    )
    with pytest.raises(cm.SchemaError) as extra:
        model.predict(table().assign(city="Berlin"))  # text as well, but the name is the trouble
    assert str(extra.value) == (
        f"{type(model).__name__}.predict: The feature names should match those that were passed during fit.\n"
        "Feature names unseen at fit time:\n- city\n"
        "Use X[list(model.feature_names_in_)]."
    )


@each
def test_another_number_of_columns_is_refused(make: Callable[[], Any]) -> None:
    model = make().fit(table().to_numpy(), labels())
    with pytest.raises(cm.SchemaError) as caught:
        model.predict(table().to_numpy()[:, :2])
    name = type(model).__name__
    assert str(caught.value) == (
        f"{name}.predict: X has 2 features, but {name} is expecting 3 features as input. "
        "Give the columns that fit saw, in its order."
    )


def columns_of_fit_are_demanded(module: ModuleType) -> None:
    class Plain(module.TableEstimator):  # type: ignore[misc, name-defined]
        def fit(self, X: Any) -> None:
            self._check_fitting(X)

        def predict(self, X: Any) -> Any:
            return self._check_rows("predict", X)

    model = Plain()
    model.fit(table())
    assert model.predict(table()).tolist() == table().to_numpy().tolist()
    refused = 0
    for X in (table()[["monetary", "frequency", "recency"]], table().to_numpy()[:, :2]):
        try:
            with warnings.catch_warnings(action="ignore"):  # an array has no names
                model.predict(X)
        except cm.SchemaError:
            refused += 1
    assert refused == 2


def test_mutant_that_forgets_the_columns_dies(tmp_path: Path) -> None:
    dies(columns_of_fit_are_demanded, _base, "self, X, y, reset=reset,", "self, X, y, reset=True,", tmp_path)


@each
def test_text_is_refused_by_column_and_value(make: Callable[[], Any]) -> None:
    name = type(make()).__name__
    X = table().assign(plan=pd.Series([None, "gold"] * 20, dtype=object))
    with pytest.raises(cm.SchemaError) as caught:
        make().fit(X, labels())
    assert str(caught.value) == (
        f"{name}.fit: column 'plan' holds text (gold), and this model reads numbers. "
        "Leave the column out: X.drop(columns=['plan']); or replace it by numbers, one column of 0 and 1 "
        "per value, the same columns in training and in scoring."
    )
    with pytest.raises(cm.SchemaError) as caught:
        make().fit(X.to_numpy(), labels())
    assert str(caught.value) == (
        f"{name}.fit: column 3 holds text (gold), and this model reads numbers. "
        "Leave the column out: np.delete(X, 3, axis=1); or replace it by numbers, one column of 0 and 1 "
        "per value, the same columns in training and in scoring."
    )


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pd.Series(["1.5"] * 40), "text (1.5)"),  # numbers written as text are text: no guessing
        (pd.Series(["a", "b"] * 20, dtype="category"), "text (a)"),
        (pd.Series(["1", "2"] * 20, dtype="string"), "text (1)"),
        (pd.Series([b"x"] * 40), "text (b'x')"),
        (
            pd.Series(pd.date_range("2024-01-01", periods=40)),
            "dates or durations (2024-01-01 00:00:00)",
        ),
        (pd.Series([pd.NaT, pd.Timedelta("1D")] * 20), "dates or durations (1 days 00:00:00)"),
    ],
)
def test_whatever_is_not_a_number_is_refused(column: "pd.Series[Any]", what: str) -> None:
    with pytest.raises(cm.SchemaError) as caught:
        cm.RFMSegmenter().fit(table().assign(odd=column))
    assert f"column 'odd' holds {what}, and this model reads numbers." in str(caught.value)


def test_numbers_in_any_dress_are_read() -> None:
    plain = table().assign(flag=(np.arange(40) % 2).astype(float))
    plain.loc[0, "flag"] = np.nan
    dressed = plain.assign(
        flag=plain["flag"].astype("boolean"),
        frequency=plain["frequency"].astype("Float64"),
        monetary=plain["monetary"].astype(object),
    )
    model = cm.RFMSegmenter().fit(plain)
    assert model.transform(dressed).tolist() == model.transform(plain).tolist()


@each
def test_an_infinite_value_is_refused_with_its_place(make: Callable[[], Any]) -> None:
    X = table()
    X.loc[7, "monetary"] = -np.inf
    with pytest.raises(cm.DataError) as caught:
        make().fit(X, labels())
    assert str(caught.value) == (
        f"{type(make()).__name__}.fit: Input X contains infinity or a value too large for dtype('float64'). "
        "Column 'monetary' is -inf in row 7. "
        "Mark it as missing, which is allowed: X.replace([np.inf, -np.inf], np.nan)."
    )


@each
def test_no_rows_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(cm.DataError, match=r"Found array with 0 sample\(s\)"):
        make().fit(table().head(0), labels().head(0))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            cm.ChurnClassifier(num_leaves=1),
            "ChurnClassifier: num_leaves=1 must be a whole number, 2 or more. Use num_leaves=7, the default.",
        ),
        (
            cm.ChurnClassifier(feature_fraction=1.5),
            "ChurnClassifier: feature_fraction=1.5 must be a number above 0 and at most 1. "
            "Use feature_fraction=0.7, the default.",
        ),
        (
            cm.ChurnClassifier(n_jobs=0),
            "ChurnClassifier: n_jobs=0 must be a whole number of threads, 1 or more, or -1 for all cores. "
            "Use n_jobs=1, the default.",
        ),
        (
            cm.LifetimeValueRegressor(num_iterations=60.0),
            "LifetimeValueRegressor: num_iterations=60.0 must be a whole number, 1 or more. "
            "Use num_iterations=60, the default.",
        ),
        (
            cm.LifetimeValueRegressor(tweedie_variance_power=2),
            "LifetimeValueRegressor: tweedie_variance_power=2 must be a number above 1 and below 2. "
            "Use tweedie_variance_power=1.5, the default.",
        ),
        (
            cm.LifetimeValueRegressor(learning_rate=float("nan")),
            "LifetimeValueRegressor: learning_rate=nan must be a number above 0. Use learning_rate=0.04, the default.",
        ),
        (
            cm.RFMSegmenter(n_bins=1),
            "RFMSegmenter: n_bins=1 must be a whole number, 2 or more. Use n_bins=5, the default.",
        ),
        (
            cm.BehaviourSegmenter(n_clusters=True),
            "BehaviourSegmenter: n_clusters=True must be a whole number, 1 or more. Use n_clusters=5, the default.",
        ),
        (
            cm.BehaviourSegmenter(random_state="x"),
            "BehaviourSegmenter: random_state='x' must be a whole number, 0 or more. Use random_state=0, the default.",
        ),
    ],
)
def test_a_parameter_out_of_range_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        clone(estimator).fit(table(), labels())
    assert str(caught.value) == message


@each
def test_one_column_without_spread_and_one_without_values_do_no_harm(make: Callable[[], Any]) -> None:
    X = table().assign(constant=3.0, empty=np.nan)
    said = predictions(make().fit(X, labels()), X)
    assert all(len(values) in (len(X), X.shape[1]) for values in said.values())
