"""`track`: a bundle and its report in MLflow; the only home of mlflow.

The bundle is logged as a `python_function` model whose loader is this module, so that whatever reads MLflow models
can load it. crmml itself never lets MLflow load a model: `MLmodel` can name any code. `load_bundle` downloads the
files, checks that they claim nothing else than this loader, and hands the folder to `Bundle.load`.
"""

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from crmml import __version__
from crmml.bundle import Bundle
from crmml.bundle.scoring import table_scores
from crmml.data.log import InteractionLog
from crmml.errors import BundleError, ConfigError, MissingExtraError
from crmml.features.interactions import ItemWeights
from crmml.jobs.runs import PROCESS, close_abandoned, process_tag
from crmml.jobs.store import client_of, experiment_id, quiet_mlflow, store_of, typed
from crmml.spec import load_yaml

if TYPE_CHECKING:
    import pandas as pd

    from crmml.report.backtest import BacktestReport

LOADER = "crmml.jobs.tracking"
FOLDER = "bundle"
_URI = re.compile(r"(models|runs):/[^?#]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_FLAVOR = "python_function"
# What MLflow allows in a name: everything else becomes a dash.
_NOT_IN_A_NAME = re.compile(r"[^\w./ :-]")
_LONGEST_VALUE = 500


def track(
    bundle: Bundle,
    report: "BacktestReport | None" = None,
    *,
    experiment: str,
    tracking_uri: str | None = None,
) -> str:
    """Record a bundle in MLflow: parameters, metrics, the report with its pictures, and the bundle as a model.

    No row of a customer is recorded; a recommender's bundle holds the ids of its customers, as it has to.

    Args:
        bundle: what `train` gave.
        report: the backtest behind it.
        experiment: name of the MLflow experiment, made where it is absent.
        tracking_uri: the MLflow store; by default the environment variable MLFLOW_TRACKING_URI, otherwise
            the SQLite file `mlflow.db` in the working directory. No server is needed.

    Returns:
        The URI of the model, `models:/m-...`, which `score` takes.

    Raises:
        ConfigError: a name is empty, or the local store cannot be written to.
        DataError: the store cannot be reached or fails; the run is then marked as failed.
        MissingExtraError: mlflow is not installed.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> store = f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"
    >>> uri = cm.track(bundle, experiment="segments", tracking_uri=store)
    >>> uri.startswith("models:/m-")
    True
    """
    if not isinstance(experiment, str) or not experiment.strip():
        raise ConfigError(f"track: experiment is {experiment!r}. Use a name such as 'churn'.")
    if not isinstance(bundle, Bundle):
        raise ConfigError(f"track: bundle is a {type(bundle).__name__}. Use what train() returned.")
    if report is not None and not hasattr(report, "to_html"):
        raise ConfigError(f"track: report is a {type(report).__name__}. Use what backtest() returned, or None.")
    store = store_of(tracking_uri)
    with quiet_mlflow("track()"), typed(f"track: {store}"):
        client = client_of(store)
        close_abandoned(client)
        known = experiment_id(client, store, experiment)
        run = client.create_run(known, tags={PROCESS: process_tag()}, run_name=_run_name(bundle)).info.run_id
        with _ended(client, run):
            _log_numbers(client, run, bundle, report)
            if report is not None:
                _log_report(client, run, report)
            return _log_model(client, run, bundle)


def load_bundle(source: Bundle | str | Path, *, tracking_uri: str | None = None) -> Bundle:
    """A bundle from where it is: itself, a folder, or the URI that `track` or `register` returned.

    MLflow only says where the files are and fetches them. What is in them is read by `Bundle.load`: nothing of it is
    executed, whatever the model claims to be.

    Args:
        source: a Bundle, the path of its folder, or "models:/m-...", "models:/name/1", "models:/name@champion",
            "runs:/<id>/<name>".
        tracking_uri: the MLflow store of a URI; the default is that of `track`.

    Raises:
        BundleError: it is damaged, or the MLflow model is of another kind.
        ConfigError: it is no path and no such URI.
        DataError: MLflow has no such model, or cannot be reached.
        MissingExtraError: mlflow is not installed.

    >>> load_bundle("s3://bucket/churn")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: 's3://bucket/churn' is neither a folder nor an MLflow model. Use a path such as \
'bundles/churn', or a URI such as 'models:/m-...' that track() returned.
    """
    if isinstance(source, Bundle):
        return source
    if not isinstance(source, str | Path):
        raise ConfigError(f"bundle is {source!r}. Use a Bundle, the path of its folder, or the URI from track().")
    text = str(source)
    if isinstance(source, Path) or not _SCHEME.match(text):
        return Bundle.load(source)
    if not _URI.fullmatch(text):
        raise ConfigError(
            f"{text!r} is neither a folder nor an MLflow model. Use a path such as 'bundles/churn', or a URI such "
            "as 'models:/m-...' that track() returned."
        )
    store = store_of(tracking_uri)
    with tempfile.TemporaryDirectory(prefix="crmml-") as scratch:
        with quiet_mlflow("load_bundle()"), typed(f"{text}: {store}"):
            from mlflow.artifacts import download_artifacts

            location = _location(client_of(store), text)
            root = Path(download_artifacts(artifact_uri=location, dst_path=scratch, tracking_uri=store))
        return Bundle.load(_bundle_folder(root, text))


# Reading --------------------------------------------------------------------------------------------------


def _location(client: Any, uri: str) -> str:
    """Where the files of a model are; asked of this client, because MLflow's own resolver asks the global store."""
    kind, _, rest = uri.partition(":/")
    first, _, second = rest.strip("/").partition("/")
    if kind == "runs":
        return _location_in_run(client, first, second)
    if second:
        return _resolved(client, client.get_model_version_download_uri(first, second))
    name, at, alias = first.partition("@")
    if at:
        version = client.get_model_version_by_alias(name, alias).version
        return _resolved(client, client.get_model_version_download_uri(name, version))
    return str(client.get_logged_model(first).artifact_location)


def logged_model_of(client: Any, uri: str) -> tuple[str, str | None, str | None]:
    """Where the files of a model are, the run that logged it and the id of the logged model, where there are such."""
    first = uri.removeprefix("models:/").strip("/")
    if not uri.startswith("models:/") or "/" in first or "@" in first:
        return _location(client, uri), None, None
    model = client.get_logged_model(first)
    return str(model.artifact_location), model.source_run_id, str(model.model_id)


def _resolved(client: Any, source: str) -> str:
    """A registered version points at files, or at the model that was registered."""
    return _location(client, source) if _URI.fullmatch(source) else source


def _location_in_run(client: Any, run: str, name: str) -> str:
    found = client.get_run(run)
    for output in found.outputs.model_outputs:
        model = client.get_logged_model(output.model_id)
        if model.name == name:
            return str(model.artifact_location)
    return f"{found.info.artifact_uri}/{name}"


def _bundle_folder(root: Path, uri: str) -> Path:
    """The bundle inside a downloaded MLflow model, after checking that the model claims nothing else."""
    try:
        raw = (root / "MLmodel").read_bytes()
        found = load_yaml(raw.decode(), f"{uri}: MLmodel")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{uri}: its MLmodel cannot be read ({error}). Track the bundle again.") from None
    except ConfigError as error:
        raise BundleError(str(error)) from None
    flavors = found.get("flavors") if isinstance(found, dict) else None
    if not isinstance(flavors, dict) or list(flavors) != [_FLAVOR] or not isinstance(flavors[_FLAVOR], dict):
        names = ", ".join(map(str, flavors)) if isinstance(flavors, dict) else repr(flavors)
        _refuse(uri, f"has the flavors {names}")
    flavor = flavors[_FLAVOR]
    if flavor.get("loader_module") != LOADER or flavor.get("code") is not None:
        _refuse(uri, f"is loaded by {flavor.get('loader_module')!r} with the code {flavor.get('code')!r}")
    if flavor.get("data") != f"data/{FOLDER}":
        _refuse(uri, f"keeps its data in {flavor.get('data')!r}")
    return root / "data" / FOLDER


def _refuse(uri: str, what: str) -> NoReturn:
    raise BundleError(f"{uri}: the MLflow model {what}: it is no bundle of crmml. Give the URI that track() returned.")


class _Scorer:
    """What MLflow calls a model: `predict` scores raw events, or rows of features."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """The scores of the customers whose events these are, or of rows that are features already.

        model_input: with `params["as_of"]`, events with the columns of the training log; the answer is the table of
        `Bundle.score`. Without, the columns that the bundle's FeatureSet makes, in any order and among others; the
        answer has one row for each, in the same order: the score columns alone. That is what a Spark UDF asks.
        """
        as_of = (params or {}).get("as_of")
        if as_of:
            return self.bundle.score(InteractionLog.from_roles(model_input, self.bundle.roles), as_of)
        return self._rows(model_input)

    def _rows(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        features = self.bundle.features
        if isinstance(features, ItemWeights):
            raise ConfigError(
                "predict: as_of is missing, and a recommender has no rows of features. "
                "Use predict(events, params={'as_of': '2024-10-01'})."
            )
        missing = [name for name in features.names if name not in rows.columns]
        if missing:
            raise ConfigError(
                f"predict: as_of is missing, and so is the feature {missing[0]!r}. Use predict(events, params="
                f"{{'as_of': '2024-10-01'}}), or give all {len(features.names)} columns that its "
                "features make."
            )
        scores = table_scores(self.bundle.model, self.bundle.target, rows[list(features.names)])
        return pd.DataFrame(scores, index=rows.index)


def _load_pyfunc(data_path: str) -> _Scorer:
    """Called by MLflow when others load a tracked bundle with `mlflow.pyfunc.load_model`."""
    return _Scorer(Bundle.load(data_path))


# Writing --------------------------------------------------------------------------------------------------


def _log_numbers(client: Any, run: str, bundle: Bundle, report: "BacktestReport | None") -> None:
    from mlflow.entities import Metric, Param

    params = [Param(key, value[:_LONGEST_VALUE]) for key, value in _params(bundle).items()]
    numbers = _numbers({**bundle.metrics, **(report.metrics if report is not None else {})})
    metrics = [Metric(key, value, timestamp=0, step=0) for key, value in numbers.items()]
    client.log_batch(run, metrics=metrics, params=params)


def _params(bundle: Bundle) -> dict[str, str]:
    model = {f"model.{key}": str(value) for key, value in bundle.model.get_params(deep=False).items()}
    return {
        "model": type(bundle.model).__name__,
        **model,
        "target": repr(bundle.target),
        "features": repr(bundle.features),
        "training_cutoffs": ", ".join(cutoff.isoformat() for cutoff in bundle.training_cutoffs),
        "training_fingerprint": bundle.fingerprint or "not recorded",
        "model_id": bundle.model_id,
        "crmml": __version__,
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers, under names that MLflow allows."""
    return {
        _NOT_IN_A_NAME.sub("-", name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _log_report(client: Any, run: str, report: "BacktestReport") -> None:
    client.log_text(run, str(report), "report.txt")
    with tempfile.TemporaryDirectory(prefix="crmml-") as scratch:
        client.log_artifact(run, str(report.to_html(Path(scratch) / "report.html")))
    with suppress(MissingExtraError):  # without matplotlib there are no pictures
        for name, figure in report.figures().items():
            client.log_figure(run, figure, f"figures/{name}.png")


def _log_model(client: Any, run: str, bundle: Bundle) -> str:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec

    signature = ModelSignature(params=ParamSchema([ParamSpec("as_of", DataType.string, "")]))
    experiment = client.get_run(run).info.experiment_id
    made = client.create_logged_model(experiment, name=FOLDER, source_run_id=run, params=_params_of_model(bundle))
    with tempfile.TemporaryDirectory(prefix="crmml-") as scratch, _finalised(client, made.model_id):
        folder = Path(scratch) / "model"
        save_model(
            str(folder),
            loader_module=LOADER,
            data_path=str(bundle.save(Path(scratch) / FOLDER)),
            pip_requirements=[f"crmml[mlflow]=={__version__}"],  # said, so that MLflow need not guess by running it
            signature=signature,
            mlflow_model=Model(run_id=run, model_id=made.model_id, model_uuid=made.model_id),
        )
        client.log_model_artifacts(made.model_id, str(folder))
    client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
    return f"models:/{made.model_id}"


def _params_of_model(bundle: Bundle) -> dict[str, str]:
    return {"model": type(bundle.model).__name__, "model_id": bundle.model_id}


def _run_name(bundle: Bundle) -> str:
    return f"{type(bundle.model).__name__} {bundle.model_id}"


@contextmanager
def _finalised(client: Any, model_id: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error is the one to be seen
            client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")


@contextmanager
def _ended(client: Any, run: str) -> Iterator[None]:
    """End the run whatever happens, so that no run is shown as running for ever."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # the first error is the one to be seen
            client.set_terminated(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run, "FINISHED")
