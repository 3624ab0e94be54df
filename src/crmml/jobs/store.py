"""The MLflow store that tracking and registry write to: which one it is, made at first touch, with errors of ours."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from crmml.data.files import check_writable, lock
from crmml.errors import ConfigError, DataError, MissingExtraError

DEFAULT_STORE = "sqlite:///mlflow.db"
_NOISY = ("mlflow", "alembic")
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # a server that is gone is given up after 15 s, not after four minutes
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with a server, it prints links among the output of a job
}


def store_of(tracking_uri: str | None) -> str:
    """The URI of the store that is meant, with the path of a SQLite file written out.

    Raises:
        ConfigError: it is no text.

    >>> store_of("https://tracking.example")
    'https://tracking.example'
    """
    if tracking_uri is not None and not isinstance(tracking_uri, str):
        raise ConfigError(f"tracking_uri is {tracking_uri!r}. Use a text such as 'sqlite:///mlflow.db'.")
    store = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    path = sqlite_file(store)
    return store if path is None else f"sqlite:///{path.absolute()}"


def sqlite_file(store: str) -> Path | None:
    """The file of a local store; None for a server.

    >>> sqlite_file("sqlite:////srv/mlflow.db")
    PosixPath('/srv/mlflow.db')
    """
    prefix = "sqlite:///"
    return Path(store.removeprefix(prefix)) if store.startswith(prefix) else None


def client_of(store: str) -> Any:
    """A client of the store, whose tables exist: of several processes at first touch, one makes them."""
    from mlflow import MlflowClient

    with first_touch(store):
        client = MlflowClient(tracking_uri=store, registry_uri=store)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: Any, store: str, name: str) -> str:
    """The id of an experiment, made where it is absent."""
    with first_touch(store):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Beside the store: MLflow's own default is the folder in which the process happens to run.
        path = sqlite_file(store)
        location = None if path is None else (path.parent / "mlruns").absolute().as_uri()
        return str(client.create_experiment(name, artifact_location=location))


@contextmanager
def first_touch(store: str) -> Iterator[None]:
    """Hold the lock of a local store: one process at a time makes its tables, or moves its aliases."""
    path = sqlite_file(store)
    if path is None:  # a server looks after itself
        yield
        return
    check_writable(path.parent)
    with lock(path.with_name(f".{path.name}.lock"), wait=True):
        yield


@contextmanager
def quiet_mlflow(what: str) -> Iterator[None]:
    """MLflow without its traces in the process: warning filters, log levels, environment as they were."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        before = dict(os.environ)
        stack.callback(_restore_environment, before)
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(what, "mlflow", extra="mlflow") from error
        for name in _NOISY:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.WARNING)
        yield


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in _QUIET:
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


@contextmanager
def typed(where: str) -> Iterator[None]:
    """MLflow's errors as ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        first = str(error).strip().split("\n")[0]
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            first = f"{first.rstrip('.')}. Check it and tracking_uri; register(bundle, name) makes a name."
        raise DataError(f"{where}: MLflow says: {first}") from error
