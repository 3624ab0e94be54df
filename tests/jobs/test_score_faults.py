"""Whatever fails, whenever it is killed: the old scores or the new ones, and run again, as if nothing had been."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.jobs import score as job
from crmml.jobs.part_files import Parts
from tests.bundle.bundles import LATER, bundle, log
from tests.data.test_files import fail_at, names
from tests.jobs.made_scores import content, publish, state_of

ROOT = Path(__file__).resolve().parents[2]
FIRST = "2024-08-01"
# With a proof or without one, but never with the proof of other scores.
ALLOWED: dict[bool, set[tuple[str | None, str | None]]] = {
    True: {(FIRST, FIRST), (FIRST, None), (LATER, None), (LATER, LATER)}
}
ALLOWED[False] = {(None, None), (LATER, None), (LATER, LATER)}


def made(when: str) -> pd.DataFrame:
    """A few scores as of a day."""
    at = pd.Timestamp(when, tz="UTC")
    return pd.DataFrame({"customer_id": range(9), "as_of": at, "p_churn": 0.5, "model_id": "m"})


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting asks nothing of the folder but to be read, and starts an engine each time."""
    monkeypatch.setattr(job, "count_distinct", counted)


def counted(files: list[Path], column: str) -> int:
    return len({value for file in files for value in pq.read_table(file)[column].to_pylist()})


EIO, ENOSPC, EACCES = 5, 28, 13


@pytest.mark.slow
@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(("existing", "of", "code"), [(0, 2, ENOSPC), (1, 1, EACCES), (2, 2, EIO)])
def test_a_fault_at_any_step(tmp_path: Path, existing: int, of: int, code: int) -> None:
    undisturbed, before = tmp_path / "undisturbed", tmp_path / "before"
    before.mkdir()
    if existing:
        publish(made(FIRST), before, FIRST, existing)
    shutil.copytree(before, undisturbed)
    publish(made(LATER), undisturbed, LATER, of)
    seen = set()
    for n in range(200):
        folder = Path(shutil.copytree(before, tmp_path / str(n)))
        with pytest.MonkeyPatch.context() as patch:
            taken = fail_at(patch, n, OSError(code, "injected"))
            try:
                publish(made(LATER), folder, LATER, of)
            except cm.CrmmlError as error:
                assert os.strerror(code) in str(error) or "injected" in str(error)  # noqa: PT017  (the last succeeds)
        seen.add(state_of(folder))
        assert {name for name in names(folder) if name.startswith(".")} <= {".parts"}
        publish(made(LATER), folder, LATER, of)
        assert content(folder) == content(undisturbed)
        if len(taken) <= n:
            assert seen <= ALLOWED[existing > 0]
            assert len(seen) > 1
            return
    pytest.fail("the steps never end")


KILLED = """
import json, os, shutil, signal, sys
from pathlib import Path
from crmml.jobs import score as job
from tests.data.test_files import STEPS
from tests.jobs.made_scores import content, publish, state_of
from tests.jobs.test_score_faults import FIRST, LATER, counted, made

root, existing, of = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
STEPS = [*STEPS, (Path, "unlink"), (Path, "open")]

def dying(real, counter, n):
    def step(*args, **kwargs):
        counter.append(1)
        if len(counter) == n + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step

seen = []
job.count_distinct = counted
before = root / "before"
before.mkdir()
if existing:
    publish(made(FIRST), before, FIRST, existing)
for n in range(300):
    folder = Path(shutil.copytree(before, root / str(n)))
    child = os.fork()
    if not child:
        counter = []
        for home, name in STEPS:
            setattr(home, name, dying(getattr(home, name), counter, n))
        publish(made(LATER), folder, LATER, of)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    state = state_of(folder)
    publish(made(LATER), folder, LATER, of)
    seen.append([status, *state, content(folder)])
    if status == 0:
        break
print(json.dumps(seen))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("existing", "of"), [(1, 2)])
def test_a_kill_at_any_step(tmp_path: Path, existing: int, of: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(existing), str(of)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300)
    *killed, (status, scores, proof, undisturbed) = json.loads(run.stdout)
    assert (status, scores, proof) == (0, LATER, LATER)
    assert {status for status, *_ in killed} == {-9}
    assert len(killed) > 10
    assert {(scores, proof) for _, scores, proof, _ in killed} <= ALLOWED[existing > 0]
    assert all(found == undisturbed for *_, found in killed)


HALF = """
import os, signal, sys
import crmml as cm
from crmml.jobs.part_files import Parts
from tests.bundle.bundles import LATER, bundle, log
real = Parts.write
def write(self, number, *rest):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, number, *rest)
Parts.write = write
cm.score(sys.argv[1], log(), LATER, sys.argv[2], parts=5)
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = bundle("churn").save(tmp_path / "bundle")
    run = subprocess.run(
        [sys.executable, "-c", HALF, str(saved), str(tmp_path / "a")], cwd=ROOT, check=False, timeout=120
    )
    assert run.returncode == -9
    assert cm.plan_score(saved, log(), LATER, tmp_path / "a", parts=5).finished == 3
    written = []
    real = Parts.write

    def write(self: Parts, number: int, *rest: Any) -> Any:
        written.append(number)
        return real(self, number, *rest)

    monkeypatch.setattr(Parts, "write", write)
    cm.score(saved, log(), LATER, tmp_path / "a", parts=5)
    assert written == [3, 4]
    cm.score(saved, log(), LATER, tmp_path / "b", parts=5)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_what_a_killed_job_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".scores.parquet.0123456789abcdef.tmp").write_text("half")
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / ".part-00000-01234567.parquet.0123456789abcdef.tmp").write_text("half")
    (tmp_path / ".parts" / "part-00000-01234567.parquet").write_text("of another job")
    cm.score(bundle("churn"), log(), LATER, tmp_path)
    assert names(tmp_path) == [".lock", "_SUCCESS.json", "scores.parquet"]
