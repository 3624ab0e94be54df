"""Whatever is changed in a folder of scores after they were written, `verify` finds it and says what."""

import json
import shutil
from pathlib import Path

import pytest

import crmml as cm
from crmml.jobs import cli
from tests.bundle.bundles import KINDS, LATER, bundle, log

AGAIN = "Do not use these scores: run the scoring job again."


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cm.score(bundle("churn"), log(), LATER, tmp_path_factory.mktemp("scores")).parent


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "scores"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_proven(kind: str, tmp_path: Path) -> None:
    path = cm.score(bundle(kind), log(), LATER, tmp_path, k=3)
    found = cm.verify(tmp_path)
    expected = bundle(kind).score(log(), LATER, k=3)
    assert (found.path, found.rows, found.customers) == (path, len(expected), expected["customer_id"].nunique())
    assert (found.model_id, found.bytes) == (bundle(kind).model_id, path.stat().st_size)
    assert [moment.date().isoformat() for moment in found.as_of] == [LATER]


def test_every_flipped_bit_is_found(folder: Path) -> None:
    path = folder / "scores.parquet"
    raw = path.read_bytes()
    for place in range(0, len(raw), max(1, len(raw) // 200)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(cm.DataError, match="has been changed: its SHA-256 is"):
            cm.verify(folder)
    path.write_bytes(raw)
    cm.verify(folder)


def test_every_flipped_bit_of_the_proof_is_found(folder: Path) -> None:
    """Also in what the scores know nothing of, such as the target: mutants of one byte each."""
    path = folder / "_SUCCESS.json"
    raw = path.read_bytes()
    for place in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(cm.DataError):
            cm.verify(folder)
    path.write_bytes(raw.replace(b'"60d"', b'"90d"', 1))
    with pytest.raises(cm.DataError) as caught:
        cm.verify(folder)
    assert str(caught.value) == f"{path}: has been changed: its digest does not match. {AGAIN}"
    path.write_bytes(raw)
    cm.verify(folder)


def test_scores_of_another_job_beside_the_proof(folder: Path, tmp_path: Path) -> None:
    other = cm.score(bundle("churn"), log(), "2024-08-01", tmp_path / "other")
    shutil.copy(other, folder / "scores.parquet")
    proofs = [json.loads((home / "_SUCCESS.json").read_text()) for home in (other.parent, folder)]
    digests = [proof["files"]["scores.parquet"][:12] for proof in proofs]
    with pytest.raises(cm.DataError) as caught:
        cm.verify(folder)
    assert str(caught.value) == (
        f"{folder}/scores.parquet: has been changed: its SHA-256 is {digests[0]}..., not {digests[1]}.... {AGAIN}"
    )


@pytest.mark.parametrize("key", ["rows", "customers", "model_id"])
def test_a_proof_that_says_something_else(key: str, folder: Path) -> None:
    proof = json.loads((folder / "_SUCCESS.json").read_text())
    true, forged = proof[key], 5 if key != "model_id" else "0" * 12
    (folder / "_SUCCESS.json").write_text(json.dumps({**proof, key: forged}))
    with pytest.raises(cm.DataError) as caught:
        cm.verify(folder)
    assert str(caught.value) == (
        f"{folder}/scores.parquet: {key} is {true!r}, but _SUCCESS.json says {forged!r}. {AGAIN}"
    )


def test_what_is_missing_or_no_proof(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"verified        {folder}/scores.parquet\n")
    (folder / "scores.parquet").unlink()
    assert cli.main(["verify", str(folder)]) == 1
    assert capsys.readouterr().err == (
        f"crmml: {folder}/scores.parquet: is missing, although _SUCCESS.json is there. {AGAIN}\n"
    )
    (folder / "_SUCCESS.json").write_text("{}")
    with pytest.raises(cm.DataError) as caught:
        cm.verify(folder)
    assert str(caught.value) == f"{folder}/_SUCCESS.json: does not say 'model_id'. {AGAIN}"
    (folder / "_SUCCESS.json").unlink()
    with pytest.raises(cm.DataError) as caught:
        cm.verify(folder)
    assert str(caught.value) == (
        f"{folder}/_SUCCESS.json: is missing: the job is not done, or it was killed. Wait for it, or run it again."
    )
    with pytest.raises(cm.ConfigError) as wrong:
        cm.verify(folder / "none")
    assert str(wrong.value) == f"verify: there is no folder {folder}/none. Give the folder that score() wrote to."
