"""Loading anything hostile ends in an error of ours, runs nothing, and leaves the process alive."""

from pathlib import Path

import pytest

import crmml as cm
from crmml.trees.booster import threads_of
from tests.torture import hostile
from tests.torture.hostile import ATTACKS, attacked
from tests.torture.nursery import Nursery, Outcome

SAVE = "Save the bundle again with Bundle.save()."


def test_an_eighth_of_the_hostile_bundles_does_nothing(nursery: Nursery, tmp_path: Path) -> None:
    found = hostile.run(nursery, tmp_path, every=8)
    assert len(found) == len(range(0, len(ATTACKS), 8)) > 15
    assert {name: problem for name, problem in found.items() if problem} == {}


def test_the_watch_hears_what_it_listens_for(nursery: Nursery, tmp_path: Path) -> None:
    assert nursery.value("evil", str(tmp_path))["heard"] == [
        *("compile", "exec", "open", "os.system", "pickle.find_class", "subprocess.Popen")
    ]


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome(-11, None, "Segmentation fault", 1.0), "ended the process with -11: Segmentation fault"),
        (Outcome(0, {"kind": "KeyError", "said": "'x'"}, "", 1.0), "was KeyError: 'x'"),
        (Outcome(0, {"kind": "loaded", "said": "0123"}, "", 1.0), "was loaded: 0123"),
        (
            Outcome(0, {"kind": "refused", "said": "no", "events": [["os.system", "id"]]}, "", 1.0),
            "made this happen: [['os.system', 'id']]",
        ),
        (
            Outcome(0, {"kind": "refused", "said": "no", "events": [], "cpu": 11.0, "grown": 2**20}, "", 1.0),
            "took 11.0 s and 1 MB",
        ),
    ],
)
def test_the_judge_is_no_friend(outcome: Outcome, problem: str) -> None:
    assert hostile.problem_of("an attack", outcome) == problem


# What these bundles had us change -------------------------------------------------------------------------

THREADS = "Use -1 for all cores, or a number of threads from 1 to 1024."
MENDED = {
    "a million threads": f"the model cannot be asked: n_jobs is 1000000. {THREADS}",
    "threads without a number": f"the model cannot be asked: n_jobs is 'all'. {THREADS}",
    "a probe of a million customers": f"has no probe. {SAVE}",
    "a probe of a million rows": f"has no probe. {SAVE}",
}


def test_what_was_mended_says_why(tmp_path: Path) -> None:
    """A million threads ended the process, and a large probe kept it busy for a minute."""
    good, found = hostile.made(tmp_path / "good"), {}
    mended = {name: attack for name, attack in ATTACKS.items() if name in MENDED}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hostile, "ATTACKS", mended)
        for name, folder in attacked(good, tmp_path):
            with pytest.raises(cm.BundleError) as caught:
                cm.Bundle.load(folder)
            found[name] = str(caught.value).removeprefix(f"{folder}: ")
    assert found == MENDED


@pytest.mark.parametrize("n_jobs", [0, -2, 1025, 1.0, True, "all", None])
def test_no_number_of_threads(n_jobs: object) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        threads_of(n_jobs)
    assert str(caught.value) == f"n_jobs is {n_jobs!r}. {THREADS}"
