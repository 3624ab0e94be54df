"""In which order a scoring job asks the disk for things: nothing gets its name before it is there, the proof last."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crmml.data import files
from crmml.jobs import score as job
from tests.jobs.made_scores import publish

FIRST, LATER = "2024-08-01", "2024-09-01"


def made(when: str) -> pd.DataFrame:
    """A few scores as of a day."""
    at = pd.Timestamp(when, tz="UTC")
    return pd.DataFrame({"customer_id": range(6), "as_of": at, "p_churn": 0.5, "model_id": "m"})


def watched(folder: Path, patch: pytest.MonkeyPatch, of: int) -> list[tuple[str, str]]:
    """What is done to which file, in order, while the scores of another night take the place of old ones."""
    folder.mkdir()
    publish(made(FIRST), folder, FIRST, of)
    done: list[tuple[str, str]] = []

    def shown(path: Any) -> str:
        name = Path(path).name
        return name.rsplit(".", 2)[0].lstrip(".") if name.endswith(".tmp") else name

    def told(what: str, real: Callable[..., Any], of_which: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            done.append((what, shown(of_which(*args))))
            return real(*args, **kwargs)

        return step

    def behind(handle: int) -> str:
        return str(Path(f"/proc/self/fd/{handle}").readlink())

    with patch.context() as inside:
        inside.setattr(os, "fsync", told("sync", os.fsync, behind))
        inside.setattr(Path, "replace", told("rename", Path.replace, lambda _, target: target))
        inside.setattr(Path, "rename", told("rename", Path.rename, lambda _, target: target))
        inside.setattr(Path, "unlink", told("remove", Path.unlink, lambda path, **_: path))
        inside.setattr(files, "_exchange", told("rename", files._exchange, lambda _, target: target))
        inside.setattr(job, "count_distinct", lambda *_: 6)
        publish(made(LATER), folder, LATER, of)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux which file is synced")
def test_every_part_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = watched(tmp_path / "scores", monkeypatch, 2)
    names = sorted({name for what, name in done if what == "rename" and name.startswith("part-")})
    assert len(names) == 2
    for name in names:
        steps = [what for what, of in done if of == name]
        # By who writes it, before it is read back; and by who renames it.
        assert steps == ["sync", "sync", "rename"]
        after = done[done.index(("rename", name)) + 1]
        assert after == ("sync", ".parts")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux which file is synced")
def test_the_proof_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for of in (1, 2):
        done = watched(tmp_path / f"scores-{of}", monkeypatch, of)
        proof = [(what, name) for what, name in done if name in ("_SUCCESS.json", "scores.parquet")]
        assert proof == [
            ("remove", "_SUCCESS.json"),
            ("rename", "scores.parquet"),
            ("sync", "_SUCCESS.json"),
            ("rename", "_SUCCESS.json"),
        ]
        exchanged = done.index(("rename", "scores.parquet"))
        assert done[exchanged + 1] == ("sync", f"scores-{of}")
        assert all(name != "_SUCCESS.json" for _, name in done[exchanged : exchanged + 2])
