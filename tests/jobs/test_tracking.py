"""Bundles in MLflow: everything about a model, nothing about a customer, and nothing that runs."""

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import crmml as cm
from crmml.jobs import tracking
from crmml.jobs.store import store_of
from crmml.jobs.tracking import load_bundle
from tests.bundle.bundles import LATER, PARTS, bundle, log, saved
from tests.bundle.test_no_code import WATCHED, run

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
ROOT = Path(__file__).resolve().parents[2]
SECRET = "customer-omega-4711"


@pytest.fixture(scope="module", autouse=True)
def no_telemetry() -> Iterator[None]:
    """For what the tests themselves ask of MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests: making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def report() -> cm.BacktestReport:
    cutoffs = cm.cutoffs("2024-01-01", "2024-07-01", every="60d")
    return cm.backtest(log(), *PARTS["churn"], cutoffs, progress=False)


@pytest.fixture(scope="module")
def uri(store: str, report: cm.BacktestReport) -> str:
    return str(cm.track(bundle("churn"), report, experiment="churn / shop", tracking_uri=store))


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """No test of this file, and so nothing in tracking, changes the state of the process."""

    def state() -> tuple[Any, ...]:
        levels = [logging.getLogger(name).level for name in (None, "mlflow", "alembic")]
        return list(warnings.filters), {k: v for k, v in os.environ.items() if "MLFLOW" in k}, levels, Path.cwd()

    before = state()
    yield
    assert state() == before


def client(store: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store, registry_uri=store)


def runs(store: str, experiment: str) -> list[Any]:
    found = client(store).get_experiment_by_name(experiment)
    return list(client(store).search_runs([found.experiment_id]))


# What is recorded -----------------------------------------------------------------------------------------


def test_a_run_says_what_was_trained(store: str, uri: str, report: cm.BacktestReport) -> None:
    (found,) = runs(store, "churn / shop")
    churn = bundle("churn")
    assert found.info.status == "FINISHED"
    assert found.info.run_name == f"ChurnClassifier {churn.model_id}"
    expected = {
        "model": "ChurnClassifier",
        "model.num_iterations": "10",
        "target": "Churn('60d', event_type='purchase')",
        "features": repr(churn.features),
        "training_cutoffs": "2024-06-01T00:00:00+00:00",
        "training_fingerprint": churn.fingerprint,
        "model_id": churn.model_id,
        "crmml": cm.__version__,
    }
    assert expected.items() <= found.data.params.items()
    assert found.data.metrics == pytest.approx(report.metrics)
    assert report.metrics


def test_a_run_holds_the_report_and_its_pictures(store: str, uri: str, report: cm.BacktestReport) -> None:
    (found,) = runs(store, "churn / shop")
    listed = {file.path for file in client(store).list_artifacts(found.info.run_id)}
    pictures = {file.path for file in client(store).list_artifacts(found.info.run_id, "figures")}
    assert {"report.txt", "report.html"} <= listed
    assert pictures == {f"figures/{name}.png" for name in report.figures()}


def test_the_artifacts_lie_beside_the_store(store: str, uri: str) -> None:
    folder = Path(store.removeprefix("sqlite:///")).parent
    (model,) = [path for path in folder.glob("mlruns/**/MLmodel") if uri.removeprefix("models:/") in str(path)]
    assert sorted(file.name for file in (model.parent / "data" / "bundle").iterdir()) == [
        "arrays.npz",
        "booster.txt",
        "bundle.json",
    ]
    (found,) = runs(store, "churn / shop")
    assert found.info.artifact_uri.startswith(f"{folder.as_uri()}/mlruns/")


def test_no_row_of_a_customer_is_recorded(store: str) -> None:
    """An id that is in the log and in the report's predictions is in no file of the store."""
    events = cm.simulate_log(60, seed=1).log.events().to_pandas()
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
    events["customer_id"] = [f"{SECRET}-{number}" for number in events["customer_id"]]
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id", "amount")}
    named = cm.InteractionLog(events, **roles)
    churn = cm.train(named, *PARTS["churn"], "2024-06-01", progress=False)
    found = cm.backtest(named, *PARTS["churn"], ["2024-03-01", "2024-05-01"], progress=False)
    assert found.predictions["customer_id"].str.startswith(SECRET).all()
    cm.track(churn, found, experiment="secret", tracking_uri=store)
    files = [path for path in Path(store.removeprefix("sqlite:///")).parent.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("kind", ["value", "rfm", "popularity"])
def test_every_kind_comes_back(kind: str, store: str) -> None:
    found = load_bundle(cm.track(bundle(kind), experiment=kind, tracking_uri=store), tracking_uri=store)
    assert found.model_id == bundle(kind).model_id
    assert_frame_equal(found.score(log(), LATER), bundle(kind).score(log(), LATER))


def test_score_takes_the_uri(store: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cm.score(uri, log(), LATER, tmp_path, tracking_uri=store)
    assert_frame_equal(pd.read_parquet(path), bundle("churn").score(log(), LATER))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        assert load_bundle(uri).model_id == bundle("churn").model_id


def test_every_uri_of_mlflow_is_understood(store: str, uri: str) -> None:
    (found,) = runs(store, "churn / shop")
    client(store).create_registered_model("churn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)  # registering asks the global store
        client(store).create_model_version("churn", source=uri)
    client(store).set_registered_model_alias("churn", "live", "1")
    for known in (uri, f"runs:/{found.info.run_id}/bundle", "models:/churn/1", "models:/churn@live"):
        assert load_bundle(known, tracking_uri=store).model_id == bundle("churn").model_id


def test_the_default_store_is_a_file_in_the_working_directory(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert store_of(None) == f"sqlite:///{tmp_path}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
        assert store_of(None) == "http://tracking.example"
        assert store_of("sqlite:///other.db") == f"sqlite:///{tmp_path}/other.db"


def test_others_load_it_as_a_python_function(store: str, uri: str) -> None:
    """In a process of its own: MLflow's own loader changes the state of the process."""
    script = f"""
import mlflow, warnings
import crmml as cm
mlflow.set_tracking_uri({store!r})
model = mlflow.pyfunc.load_model({uri!r})
log = cm.simulate_log(200, seed=1).log
events = log.events().to_pandas()
events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
scores = model.predict(events, params={{"as_of": {LATER!r}}})
print(scores["p_churn"].tolist() == model.unwrap_python_model().bundle.score(log, {LATER!r})["p_churn"].tolist())
try:
    model.predict(events)
except cm.ConfigError as error:
    print(error)
bundle = model._model_impl.bundle
X = cm.build_features(log, bundle.features, {LATER!r}, population=bundle.target.population).reset_index()
rows = model.predict(X[X.columns[::-1]])
print(list(rows.columns), rows["p_churn"].tolist() == scores["p_churn"].tolist())
"""
    script = script.replace("model.unwrap_python_model()", "model._model_impl")
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert output.stdout.splitlines() == [
        "True",
        "predict: as_of is missing, and so is the feature 'recency'. Use predict(events, params={'as_of': "
        "'2024-10-01'}), or give all 3 columns that its features make.",
        "['p_churn'] True",
    ]


def test_nothing_is_executed_on_the_way_from_mlflow(store: str, uri: str, tmp_path: Path) -> None:
    planted = WATCHED.replace("cm.Bundle.load(folder)", f"load_bundle({uri!r}, tracking_uri={store!r})")
    planted = planted.replace("import crmml as cm", "import crmml as cm\nfrom crmml.jobs.tracking import load_bundle")
    # SQLAlchemy compiles its own SQL and MLflow connects to nothing: only pickles and foreign code are looked for.
    planted = planted.replace("strict = True", "strict = False")
    rows, events = run(planted, Path(store.removeprefix("sqlite:///")).parent)
    assert all(rows)
    assert events == []


# When something goes wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "status"), [(OSError("disk"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_fails_is_not_left_running(
    error: BaseException, status: str, store: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(cm.Bundle, "save", fail)
    with pytest.raises(type(error)):
        cm.track(bundle("churn"), experiment=status, tracking_uri=store)
    (found,) = runs(store, status)
    assert found.info.status == status
    models = client(store).search_logged_models([found.info.experiment_id])
    assert [str(model.status) for model in models] == ["FAILED"]


@pytest.mark.parametrize("name", ["", " ", None])
def test_an_experiment_without_a_name(name: Any, store: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.track(bundle("churn"), experiment=name, tracking_uri=store)
    assert str(caught.value) == f"track: experiment is {name!r}. Use a name such as 'churn'."


def test_a_store_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(cm.ConfigError) as caught:
        cm.track(bundle("churn"), experiment="x", tracking_uri=f"sqlite:///{tmp_path}/file/mlflow.db")
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot write there (is a file). Give a folder that you may write to, like ./scores."
    )


def test_a_model_that_is_not_there(store: str, uri: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        load_bundle("models:/m-0123", tracking_uri=store)
    assert str(caught.value) == (
        f"models:/m-0123: {store}: MLflow says: Logged model with ID 'm-0123' not found. Check it and tracking_uri; "
        "register(bundle, name) makes a name."
    )
    with pytest.raises(cm.BundleError, match="there is no such folder"):
        load_bundle("nowhere")


def test_without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(cm.MissingExtraError) as caught:
        cm.track(bundle("churn"), experiment="x")
    assert str(caught.value) == ("track() needs the package 'mlflow'. Install it with: pip install \"crmml[mlflow]\"")
    with pytest.raises(cm.MissingExtraError, match=r"load_bundle\(\) needs the package 'mlflow'"):
        load_bundle("models:/m-0123")


# Forged models --------------------------------------------------------------------------------------------

MLMODEL = """\
flavors:
  python_function:
    code: null
    data: data/bundle
    loader_module: crmml.jobs.tracking
"""
NOT_OURS = "it is no bundle of crmml. Give the URI that track() returned."
FORGED: dict[str, tuple[Callable[[str], str], str]] = {
    "loader": (
        lambda text: text.replace("crmml.jobs.tracking", "evil"),
        f"the MLflow model is loaded by 'evil' with the code None: {NOT_OURS}",
    ),
    "code": (
        lambda text: text.replace("null", "code"),
        f"the MLflow model is loaded by 'crmml.jobs.tracking' with the code 'code': {NOT_OURS}",
    ),
    "path": (
        lambda text: text.replace("data/bundle", "../../etc"),
        f"the MLflow model keeps its data in '../../etc': {NOT_OURS}",
    ),
    "flavor": (
        lambda text: text + "  sklearn: {pickled_model: model.pkl}\n",
        f"the MLflow model has the flavors python_function, sklearn: {NOT_OURS}",
    ),
    "no flavor": (lambda text: "flavors: {}\n", f"the MLflow model has the flavors : {NOT_OURS}"),
    "no mapping": (lambda text: "[]\n", f"the MLflow model has the flavors None: {NOT_OURS}"),
    "bomb": (
        lambda text: "a: &a [x]\nb: [*a, *a]\n",
        "MLmodel:1:4: the anchor &a is refused. Write the value out where it is used.",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_model(name: str, tmp_path: Path) -> None:
    forged, message = FORGED[name]
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    (tmp_path / "data").mkdir()
    saved("churn", tmp_path).rename(tmp_path / "data" / "bundle")
    (tmp_path / "MLmodel").write_text(MLMODEL)
    assert tracking._bundle_folder(tmp_path, "models:/x/1") == tmp_path / "data" / "bundle"
    (tmp_path / "MLmodel").write_text(forged(MLMODEL))
    with pytest.raises(cm.BundleError) as caught:
        tracking._bundle_folder(tmp_path, "models:/x/1")
    assert str(caught.value) == f"models:/x/1: {message}"
    assert "evil" not in sys.modules


def test_a_tracked_model_that_was_changed_is_refused(store: str, uri: str, tmp_path: Path) -> None:
    changed = str(cm.track(bundle("churn"), experiment="changed", tracking_uri=store))
    folder = Path(store.removeprefix("sqlite:///")).parent
    (model,) = [path for path in folder.glob("mlruns/**/MLmodel") if changed.removeprefix("models:/") in str(path)]
    path = model.parent / "data" / "bundle" / "booster.txt"
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"num_leaves=", b"num_leaves=9", 1))
    with pytest.raises(cm.BundleError, match=r"booster\.txt: has been changed"):
        load_bundle(changed, tracking_uri=store)
    path.write_bytes(raw)
    model.write_text(model.read_text().replace("crmml.jobs.tracking", "evil"))
    with pytest.raises(cm.BundleError, match="is loaded by 'evil'"):
        load_bundle(changed, tracking_uri=store)


# Side by side ---------------------------------------------------------------------------------------------

TOGETHER = """
import sys
from crmml.jobs.tracking import load_bundle, track
store, folder = sys.argv[1:]
print(track(load_bundle(folder), experiment="together", tracking_uri=store))
"""


@pytest.mark.slow
def test_processes_that_touch_a_fresh_store_together(tmp_path: Path) -> None:
    """Without the lock, five of six died in the making of the tables."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, "-c", TOGETHER, store, str(saved("rfm", tmp_path))]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], json.dumps(outputs)
    assert len({uri for uri, _ in outputs}) == 2
    assert {found.info.status for found in runs(store, "together")} == {"FINISHED"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cm.track(5, experiment="e"), "track: bundle is a int. Use what train() returned."),
        (lambda: load_bundle(5), "bundle is 5. Use a Bundle, the path of its folder, or the URI from track()."),
        (
            lambda: load_bundle("models:/m-1", tracking_uri=5),
            "tracking_uri is 5. Use a text such as 'sqlite:///mlflow.db'.",
        ),
    ],
)
def test_arguments_of_another_type_are_refused_before_any_store_is_touched(call: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        call()
    assert str(caught.value) == message
