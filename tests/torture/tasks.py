"""What the children do. Each function runs in a process of its own, and answers with what JSON can hold."""

import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

import crmml as cm
from crmml.jobs.tracking import load_bundle
from tests.torture import faults

# Audit events of whatever could run code, or leave a trace outside of the child.
RUNS_CODE = {"exec", "compile", "import", "pickle.find_class", "marshal.loads", "code.__new__", "ctypes.dlopen"}
REACHES_OUT = {
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "shutil.rmtree", "os.chmod"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# inspect.signature() of what is written in C parses a text of Python's own into a syntax tree, and runs nothing.
_SIGNATURE = "b'def foo("
# Arrow before 25 looks for it whenever it names a zone. It is not installed; if it were, its code would be seen to run.
_LOOKED_FOR = "pytz"


class Watch:
    """An audit hook that lists what must not happen while a bundle is loaded.

    strict: no code at all may run that is not running yet; otherwise none from below `folder`, and no pickle.
    """

    def __init__(self, folder: str, *, strict: bool) -> None:
        self.events: list[list[Any]] = []
        self._folder, self._strict, self._on = folder, strict, True
        sys.addaudithook(self._hear)

    def stop(self) -> None:
        self._on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in RUNS_CODE | REACHES_OUT | {"open"}:
            return
        seen = [str(getattr(argument, "co_filename", argument))[:120] for argument in arguments[:2]]
        if self._is_wrong(event, seen, arguments) and not seen[0].startswith(_SIGNATURE):
            self.events.append([event, *seen])

    def _is_wrong(self, event: str, seen: list[str], arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            return self._strict and bool(arguments[2] & _WRITING) and seen[0] != os.devnull
        if event in RUNS_CODE and event != "pickle.find_class" and not self._strict:
            return any(self._folder in text for text in seen)
        if event in ("os.chmod", "shutil.rmtree"):  # MLflow's copies, in a scratch folder that goes afterwards
            return self._strict
        return not (event == "import" and seen[0] == _LOOKED_FOR)


def load(source: str, folder: str, store: str | None = None) -> dict[str, Any]:
    """Load a bundle that may be hostile: the error's class and message (or what was loaded), and what was heard."""
    watch = Watch(folder, strict=store is None)
    before, began = _peak_memory(), time.process_time()
    try:
        loaded = load_bundle(source, tracking_uri=store)
        kind, said = "loaded", loaded.model_id
    except Exception as error:  # noqa: BLE001  (which one it is, is the question)
        kind = "refused" if isinstance(error, cm.CrmmlError) else type(error).__name__
        said = str(error)
    spent, grown = time.process_time() - began, _peak_memory() - before
    watch.stop()
    return {"kind": kind, "said": said, "events": watch.events, "cpu": spent, "grown": grown}


def load_once(folder: str) -> None:
    """Load a good bundle, print it, and touch every public name: modules that are imported when they are needed."""
    repr(load_bundle(folder).model)
    for name in cm.__all__:
        with suppress(cm.MissingExtraError):
            getattr(cm, name)


def _peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def track(folder: str, store: str) -> str:
    """The URI of a good bundle in MLflow."""
    return cm.track(load_bundle(folder), experiment="torture", tracking_uri=store)


def evil(folder: str) -> dict[str, Any]:
    """Each thing that the watch listens for, done once: so that its silence means something."""
    import pickle
    import subprocess

    (Path(folder) / "evil.py").write_text("0")
    watch = Watch(folder, strict=True)
    pickle.loads(pickle.dumps(Path(folder)))
    eval("1")
    compile((Path(folder) / "evil.py").read_text(), str(Path(folder) / "evil.py"), "exec")
    os.system("true")
    subprocess.run(["true"], check=True)
    (Path(folder) / "left").write_text("a trace")
    watch.stop()
    return {"heard": sorted({event for event, *_ in watch.events})}


# Work that is disturbed -----------------------------------------------------------------------------------

OLD, NEW = "2024-08-01", "2024-09-01"
_NAMES = ("customer_id", "timestamp", "event_type", "item_id", "amount")
_KINDS: dict[str, tuple[Any, Any, Any]] = {
    "churn": ("rfm", cm.Churn("60d", event_type="purchase"), cm.ChurnClassifier(num_iterations=5)),
    "value": ("rfm", cm.Spend("60d"), cm.LifetimeValueRegressor(num_iterations=5)),
    "lists": (cm.ItemWeights(), cm.NextItems("30d", event_type="purchase"), cm.Popularity()),
}


def log_of(root: str) -> cm.InteractionLog:
    return cm.InteractionLog(f"{root}/log.parquet", **{name: name for name in _NAMES}, timezone="UTC")


def make_world(root: str) -> None:
    """A small log, and a bundle of every kind trained on it."""
    cm.simulate_log(60, seed=1).log.events().to_pandas().to_parquet(f"{root}/log.parquet")
    for kind in _KINDS:
        train(root, kind, f"{root}/bundles/{kind}")


def train(root: str, kind: str, out: str) -> None:
    """Train a bundle and save it in the place of what is there."""
    cm.train(log_of(root), *_KINDS[kind], "2024-06-01", progress=False).save(out, overwrite=True)


def score(root: str, kind: str, out: str, as_of: str = NEW, parts: int = 1) -> None:
    """The scoring job as its users call it."""
    cm.score(f"{root}/bundles/{kind}", log_of(root), as_of, out, k=3, parts=parts, progress=False)


# How a log grows: lines behind those that are there, a file beside those that are there, a longer file in its place.
FORMS = ("lines", "files", "whole")


def make_log(root: str, form: str, place: str) -> None:
    """The first four fifths of the log of this world in `place`, and beside it what is to come."""
    # Mixed, so that what comes is of all times.
    events = pd.read_parquet(f"{root}/log.parquet", columns=list(_NAMES)).sample(frac=1, random_state=0)
    less = events.iloc[: len(events) * 4 // 5]
    more = events.iloc[len(less) :]
    (Path(place) / "log").mkdir(parents=True)
    (Path(place) / "coming").mkdir()
    if form == "lines":
        less.to_csv(f"{place}/log/0.csv", index=False)
        more.to_csv(f"{place}/coming/0.csv", index=False, header=False)
    else:
        less.to_parquet(f"{place}/log/0.parquet")
        (more if form == "files" else events).to_parquet(f"{place}/coming/1.parquet")


def grow(form: str, place: str, moment: float) -> None:
    """After so many seconds, let the log grow: lines come in pieces that end anywhere, files at once."""
    time.sleep(moment)
    if form == "lines":
        data = Path(f"{place}/coming/0.csv").read_bytes()
        with Path(f"{place}/log/0.csv").open("ab", buffering=0) as log:
            for start in range(0, len(data), 4093):
                log.write(data[start : start + 4093])
                time.sleep(0.002)
    else:
        Path(f"{place}/coming/1.parquet").replace(f"{place}/log/{0 if form == 'whole' else 1}.parquet")


def score_grown(root: str, form: str, place: str, parts: int) -> None:
    """Score the log that `make_log` made, into `place`/out."""
    source = f"{place}/log/*.{'csv' if form == 'lines' else 'parquet'}"
    log = cm.InteractionLog(source, **{name: name for name in _NAMES}, timezone="UTC")
    cm.score(f"{root}/bundles/churn", log, NEW, f"{place}/out", parts=parts, progress=False)


def attempt(task: str, *arguments: Any) -> list[str]:
    """Do a task that may fail, and say how it ended: "done", "refused", or the name of another error."""
    try:
        globals()[task](*arguments)
    except Exception as error:  # noqa: BLE001  (which one it is, is the question)
        return ["refused" if isinstance(error, cm.CrmmlError) else type(error).__name__, str(error)]
    return ["done", ""]


def faulty(folder: str, at: int, fault: int, task: str, *arguments: Any) -> list[Any]:
    """As `attempt`, while one call to the system that touches `folder` fails; and how many calls there were."""
    faults.arm(folder, at, fault)
    try:
        ended = attempt(task, *arguments)
    finally:
        counted = faults.disarm()
    return [*ended, counted]


def careless(root: str, kind: str, out: str, as_of: str = NEW, parts: int = 1) -> None:
    """A scoring job without any care, for the harness to find out: it writes over what is there, proof first."""
    folder = Path(out)
    folder.mkdir(exist_ok=True)
    (folder / "_SUCCESS.json").write_text("{}")
    table = cm.Bundle.load(f"{root}/bundles/{kind}").score(log_of(root), as_of)
    table.to_parquet(folder / "scores.parquet")


def flip_bundles(folders: list[str], n: int, seed: int) -> list[str]:
    """The problems of so many flipped bits in bundles."""
    from tests.torture import flips

    return flips.flip_bundles(folders, n, seed)


# Tracking -------------------------------------------------------------------------------------------------


def attempt_on(task: str, folder: str, url: str, name: str) -> list[str]:
    """Track or register on a server, whose death is noticed at the first retry; how it ended."""
    os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
    try:
        if task == "track":
            cm.track(load_bundle(folder), experiment=name, tracking_uri=url)
        else:
            cm.register(load_bundle(folder), name, tracking_uri=url)
    except Exception as error:  # noqa: BLE001  (which one it is, is the question)
        return ["refused" if isinstance(error, cm.CrmmlError) else type(error).__name__, str(error)]
    return ["done", ""]


def stored(store: str, name: str = "torture") -> dict[str, Any]:
    """What an experiment holds: statuses of the runs and the models, ready models that do not load, versions."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=store, registry_uri=store)
    experiment = client.get_experiment_by_name(name).experiment_id
    runs = [run.info.status for run in client.search_runs([experiment])]
    models = {f"models:/{one.model_id}": str(one.status) for one in client.search_logged_models([experiment])}
    broken = []
    for uri in [uri for uri, status in models.items() if status == "READY"][:3]:
        try:
            load_bundle(uri, tracking_uri=store)
        except cm.CrmmlError as error:
            broken.append(str(error))
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        aliases = {}
    found = client.search_model_versions(f"name = '{name}'")
    versions = {str(one.version): [a for a, v in aliases.items() if str(v) == str(one.version)] for one in found}
    return {"runs": runs, "models": models, "broken": broken, "versions": versions}


def journey(place: str) -> None:
    """The whole way of a log with canaries."""
    from tests.torture import journey as way

    way.go(place)
