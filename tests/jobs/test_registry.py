"""Named models: versions, aliases, and a champion that is always there, whatever is killed while it changes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import crmml as cm
from crmml.jobs import registry
from crmml.jobs.registry import Aliases, Registry
from tests.bundle.bundles import LATER, bundle, log
from tests.jobs.mutants import plant

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
ROOT = Path(__file__).resolve().parents[2]
NAME = "churn"
KINDS = ("rfm", "churn", "behaviour")  # versions 1, 2 and 3


@pytest.fixture(scope="module", autouse=True)
def no_telemetry() -> Iterator[None]:
    """For what the tests themselves ask of MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three versions: the first is champion, the last challenger. Its tables take seconds to make."""
    file = tmp_path_factory.mktemp("registry") / "mlflow.db"
    for kind in KINDS:
        cm.register(bundle(kind), NAME, tracking_uri=f"sqlite:///{file}")
    return file


@pytest.fixture
def store(made: Path, tmp_path: Path) -> str:
    """A copy, for a test to change; the files of the versions stay where they are."""
    return f"sqlite:///{shutil.copy(made, tmp_path / 'mlflow.db')}"


def opened(store: str) -> Registry:
    return Registry.open("test", NAME, store)


def moved(store: str, version: str) -> Aliases:
    with opened(store).changing() as (client, now):
        opened(store).move(client, now, version)
    return opened(store).aliases()


def loaded(store: str, which: str) -> str:
    found = cm.load_bundle(f"models:/{NAME}{which}", tracking_uri=store)
    return str(found.model_id)


# Versions and aliases -------------------------------------------------------------------------------------


def test_the_first_version_is_champion_and_the_latest_other_one_challenger(store: str) -> None:
    assert opened(store).aliases() == Aliases(champion="1", challenger="3")
    for number, kind in enumerate(KINDS, 1):
        assert loaded(store, f"/{number}") == bundle(kind).model_id
    assert loaded(store, "@champion") == bundle("rfm").model_id
    assert loaded(store, "@challenger") == bundle("behaviour").model_id


def test_what_is_registered_twice_is_one_version(store: str) -> None:
    assert cm.register(bundle("churn"), NAME, tracking_uri=store) == "models:/churn/2"
    assert opened(store).aliases() == Aliases(champion="1", challenger="2")
    # The champion does not challenge itself.
    assert cm.register(bundle("rfm"), NAME, tracking_uri=store) == "models:/churn/1"
    assert opened(store).aliases() == Aliases(champion="1", challenger="2")


def test_what_was_tracked_is_registered_by_its_uri(store: str) -> None:
    uri = cm.track(bundle("popularity"), experiment="lists", tracking_uri=store)
    assert cm.register(uri, NAME, tracking_uri=store) == "models:/churn/4"
    assert cm.register("models:/churn/4", "other", tracking_uri=store) == "models:/other/1"
    assert cm.load_bundle("models:/other@champion", tracking_uri=store).model_id == bundle("popularity").model_id
    with opened(store).client() as client:
        version = client.get_model_version(NAME, "4")
        assert client.get_run(version.run_id).data.params["model_id"] == bundle("popularity").model_id


def test_a_champion_is_replaced_without_comparison_only_when_asked(store: str) -> None:
    cm.register(bundle("churn"), NAME, alias="champion", tracking_uri=store)
    assert opened(store).aliases() == Aliases(champion="2", challenger="3", previous="1")


def test_a_champion_scores_like_the_bundle_itself(store: str, tmp_path: Path) -> None:
    cm.register(bundle("churn"), NAME, alias="champion", tracking_uri=store)
    path = cm.score(f"models:/{NAME}@champion", log(), LATER, tmp_path / "out", tracking_uri=store)
    assert_frame_equal(pd.read_parquet(path), bundle("churn").score(log(), LATER))


def test_promotion_and_rollback_move_all_three(store: str) -> None:
    assert moved(store, "3") == Aliases(champion="3", previous="1")  # nothing is left to challenge
    assert cm.rollback(NAME, tracking_uri=store) == "models:/churn/1"
    assert opened(store).aliases() == Aliases(champion="1")
    assert moved(store, "1") == Aliases(champion="1")  # it is champion already


def test_what_is_rolled_back_is_marked_with_the_day(store: str) -> None:
    def marks() -> list[str | None]:
        with opened(store).client() as client:
            return [opened(store).rolled_back(client, version) for version in "123"]

    days = [pd.Timestamp.now("UTC").strftime("%Y-%m-%d")]
    moved(store, "3")
    assert marks() == [None, None, None]  # to have been replaced is no failure
    cm.rollback(NAME, tracking_uri=store)
    days.append(pd.Timestamp.now("UTC").strftime("%Y-%m-%d"))  # it may be midnight
    first, second, third = marks()
    assert (first, second) == (None, None)
    assert third in days


def test_a_note_of_a_version_that_knew_no_marks_is_settled(store: str) -> None:
    with opened(store).client() as client:
        then = {"champion": "2", "challenger": None, "previous": "1"}
        client.set_registered_model_tag(NAME, "crmml.move", json.dumps({"to": then}))
        client.set_registered_model_alias(NAME, "champion", "2")
    assert opened(store).aliases() == Aliases(champion="2", previous="1")


def test_a_rollback_that_is_repeated_goes_no_further(store: str) -> None:
    moved(store, "2")
    moved(store, "3")
    cm.rollback(NAME, tracking_uri=store)
    with pytest.raises(cm.DataError) as caught:
        cm.rollback(NAME, tracking_uri=store)
    assert str(caught.value) == (
        "rollback: 'churn' has no previous champion, so that version 2 stays champion. To use another version without "
        "a comparison: register('models:/churn/VERSION', 'churn', alias='champion')."
    )
    assert opened(store).aliases() == Aliases(champion="2")


def test_a_previous_champion_that_is_damaged_does_not_come_back(store: str, tmp_path: Path) -> None:
    uri = cm.track(bundle("popularity"), experiment="lists", tracking_uri=store)
    cm.register(uri, NAME, alias="champion", tracking_uri=store)
    moved(store, "1")
    (manifest,) = [path for path in tmp_path.rglob("bundle.json") if uri.removeprefix("models:/") in str(path)]
    manifest.write_text(manifest.read_text().replace("Popularity", "popularity"))
    with pytest.raises(cm.BundleError, match=r"bundle\.json: has been changed"):
        cm.rollback(NAME, tracking_uri=store)
    assert opened(store).aliases() == Aliases(champion="1", challenger="3", previous="4")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda store: cm.register(bundle("rfm"), "a/b", tracking_uri=store),
            "register: name is 'a/b'. Use letters, digits, dots, dashes and underscores, such as 'churn'.",
        ),
        (
            lambda store: cm.rollback("x' OR name LIKE '%", tracking_uri=store),
            "rollback: name is \"x' OR name LIKE '%\". Use letters, digits, dots, dashes and underscores, such as "
            "'churn'.",
        ),
        (
            lambda store: cm.register(bundle("rfm"), NAME, alias="previous", tracking_uri=store),
            "register: alias is 'previous'. Use 'challenger', or 'champion' to replace the champion without a "
            "comparison; 'previous' is set by what replaces a champion.",
        ),
        (
            lambda store: cm.rollback("nobody", tracking_uri=store),
            "rollback: {store}: MLflow says: Registered Model with name=nobody not found. Check it and tracking_uri; "
            "register(bundle, name) makes a name.",
        ),
        (
            lambda store: cm.register("models:/m-0", NAME, tracking_uri=store),
            "models:/m-0: {store}: MLflow says: Logged model with ID 'm-0' not found. Check it and tracking_uri; "
            "register(bundle, name) makes a name.",
        ),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(call: Any, message: str, store: str) -> None:
    before = opened(store).aliases()
    with pytest.raises(cm.CrmmlError) as caught:
        call(store)
    assert str(caught.value) == message.format(store=store)
    assert opened(store).aliases() == before


def test_a_bundle_is_not_loaded_from_a_uri_without_the_function_that_can(tmp_path: Path) -> None:
    with pytest.raises(cm.BundleError) as caught:
        cm.Bundle.load("models:/churn@champion")
    assert str(caught.value) == (
        "models:/churn@champion: is the URI of a tracked model, not a folder. "
        "Use load_bundle('models:/churn@champion')."
    )


# Killed between two writes --------------------------------------------------------------------------------

# A child for every write: it ends itself by SIGKILL just before that write, as `kill -9` would. The parent has
# imported everything, so that a child costs milliseconds.
KILLED = """
import json, os, shutil, signal, sys
import mlflow
from mlflow import MlflowClient
import crmml as cm
from crmml.jobs.registry import Registry

made, folder, job = sys.argv[1:]
WRITES = ("set_registered_model_tag", "set_registered_model_alias", "delete_registered_model_alias",
          "delete_registered_model_tag", "set_model_version_tag")

def work(store):
    if job == "rollback":
        return cm.rollback("churn", tracking_uri=store)
    registry = Registry.open("test", "churn", store)
    with registry.changing() as (client, now):
        registry.move(client, now, "2")

def killed_at(number, store):
    written = 0
    def counting(real):
        def write(*args, **kwargs):
            nonlocal written
            if written == number:
                os.kill(os.getpid(), signal.SIGKILL)
            written += 1
            return real(*args, **kwargs)
        return write
    for name in WRITES:
        setattr(MlflowClient, name, counting(getattr(MlflowClient, name)))
    work(store)

def found(store):
    model = MlflowClient(tracking_uri=store, registry_uri=store).get_registered_model("churn")
    return {alias: str(version) for alias, version in model.aliases.items()}

def marked(store):
    client = MlflowClient(tracking_uri=store, registry_uri=store)
    return [number for number in "123" if "crmml.rolled_back" in client.get_model_version("churn", number).tags]

lines = []
for number in range(20):
    store = "sqlite:///" + shutil.copy(made, f"{folder}/{number}.db")
    child = os.fork()
    if child == 0:
        killed_at(number, store)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        break
    assert code == -signal.SIGKILL
    left = found(store)
    settled = vars(Registry.open("test", "churn", store).aliases())
    lines.append([left, settled, found(store), marked(store)])
print(json.dumps(lines))
"""
BEFORE = {"champion": "1", "challenger": "3", "previous": "2"}


@pytest.fixture
def interrupted(store: str, tmp_path: Path) -> Any:
    """Run a job with a kill before each of its writes: what each left, and what the next one to come made of it."""
    with opened(store).client() as client:
        client.set_registered_model_alias(NAME, "previous", "2")

    def run(job: str) -> list[list[Any]]:
        command = [sys.executable, "-c", KILLED, store.removeprefix("sqlite:///"), str(tmp_path), job]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        found: list[list[Any]] = json.loads(done.stdout)
        return found

    return run


@pytest.mark.parametrize(
    ("job", "after"),
    [
        # Promoted to version 2; version 3 still waits.
        ("promote", {"champion": "2", "challenger": "3", "previous": "1"}),
        ("rollback", {"champion": "2", "challenger": "3"}),
    ],
)
def test_killed_before_any_write_the_champion_is_the_old_or_the_new_one(
    job: str, after: dict[str, str], interrupted: Any
) -> None:
    lines = interrupted(job)
    # The note, the champion, (what was rolled back is marked), previous, challenger, the note again.
    assert len(lines) == {"promote": 5, "rollback": 6}[job]
    for left, settled, then, marked in lines:
        moved = left["champion"] == "2"
        assert left["champion"] in ("1", "2")
        assert then == (after if moved else BEFORE), left
        assert {alias: version for alias, version in settled.items() if version is not None} == then
        # Neither is a champion marked that still stands, nor is the mark of one forgotten that had to go.
        assert marked == (["1"] if moved and job == "rollback" else [])
    assert [left["champion"] for left, *_ in lines] == ["1", "1", *["2"] * (len(lines) - 2)]


def test_the_mutant_that_deletes_the_champion_first_is_seen(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move that clears before it sets has a moment without a champion: every write is looked at from outside."""
    from mlflow import MlflowClient

    seen: list[str | None] = []

    def looking(real: Any) -> Any:
        def write(self: Any, *args: Any, **kwargs: Any) -> Any:
            done = real(self, *args, **kwargs)
            seen.append(self.get_registered_model(NAME).aliases.get("champion"))
            return done

        return write

    for name in ("set_registered_model_alias", "delete_registered_model_alias", "set_registered_model_tag"):
        monkeypatch.setattr(MlflowClient, name, looking(getattr(MlflowClient, name)))
    moved(store, "3")
    assert None not in seen
    assert len(seen) == 4
    line = "client.set_registered_model_alias(self.name, CHAMPION, version)"
    plant(
        monkeypatch,
        registry.__name__,
        line,
        f"client.delete_registered_model_alias(self.name, CHAMPION); {line}",
    )
    from crmml.jobs.registry import Registry as Mutant

    with opened(store).changing() as (client, now):
        Mutant.open("test", NAME, store).move(client, now, "1")
    assert None in seen
