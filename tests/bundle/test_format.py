"""Whatever is done to the files of a bundle, loading it ends in a BundleError that says what is wrong."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crmml as cm
from crmml.bundle import format as files
from crmml.spec import _OTHER_CONSTRUCTORS
from tests.bundle.bundles import as_json, bundle, copied, digest, forge, message_of, put, saved

AGAIN = "Copy the bundle again from where it was made, or train it anew."
SAVE = "Save the bundle again with Bundle.save()."


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("churn", tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A fresh copy to damage."""
    target = tmp_path / "churn"
    copied(original, "copy").rename(target)
    return target


# Damage ---------------------------------------------------------------------------------------------------


def test_every_changed_byte_of_the_manifest_is_found(folder: Path) -> None:
    """Each byte with another bit turned, by the reader that decides before anything is parsed or built."""
    path = folder / "bundle.json"
    raw = path.read_bytes()
    (folder / "booster.txt").unlink()  # that comes later
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(cm.BundleError, match=r"bundle\.json: "):
            files.read(folder)
    path.write_bytes(raw)
    with pytest.raises(cm.BundleError, match=r"booster\.txt: is missing"):
        files.read(folder)


@pytest.mark.parametrize("name", ["bundle.json", "booster.txt", "arrays.npz"])
def test_every_sampled_damage_is_found_by_load(folder: Path, name: str) -> None:
    path = folder / name
    raw = path.read_bytes()
    draw = random.Random(2)
    for _ in range(100):
        changed = bytearray(raw)
        place = draw.randrange(len(raw))
        kind = draw.choice(["flip", "insert", "delete", "cut"])
        if kind == "flip":
            changed[place] ^= draw.randrange(1, 256)
        elif kind == "insert":
            changed.insert(place, draw.randrange(256))
        elif kind == "delete":
            del changed[place]
        else:
            del changed[place:]
        path.write_bytes(changed)
        assert message_of(folder).startswith(f"{path}: ")
    path.write_bytes(raw)
    assert cm.Bundle.load(folder).model_id == bundle("churn").model_id


def swap(folder: Path) -> None:
    (folder / "booster.txt").rename(folder / "x")
    (folder / "arrays.npz").rename(folder / "booster.txt")
    (folder / "x").rename(folder / "arrays.npz")


def link(folder: Path) -> None:
    (folder / "booster.txt").rename(folder.parent / "elsewhere")
    (folder / "booster.txt").symlink_to(folder.parent / "elsewhere")


def replace(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def pipe(folder: Path) -> None:
    (folder / "booster.txt").unlink()
    os.mkfifo(folder / "booster.txt")


def large(folder: Path) -> None:
    with (folder / "bundle.json").open("r+b") as file:
        file.truncate(17 * 2**20)  # a hole: no disk is filled


CHANGED = f"has been changed: its digest does not match. {AGAIN}"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (
        lambda f: (f / "bundle.json").unlink(),
        "{f}: is no bundle, it has no bundle.json. Give the folder that Bundle.save() wrote.",
    ),
    "missing": (lambda f: (f / "arrays.npz").unlink(), f"{{f}}/arrays.npz: is missing. {AGAIN}"),
    "extra": (
        lambda f: (f / "setup.py").write_text("import os"),
        "{f}/setup.py: does not belong to the bundle. Remove it, or copy the bundle again.",
    ),
    "extra folder": (
        lambda f: (f / "code").mkdir(),
        "{f}/code: does not belong to the bundle. Remove it, or copy the bundle again.",
    ),
    "swapped": (swap, f"{{f}}/booster.txt: {CHANGED}"),
    "link": (link, f"{{f}}/booster.txt: is a link. {AGAIN}"),
    "pipe": (pipe, f"{{f}}/booster.txt: is not a regular file. {AGAIN}"),
    "empty": (replace("booster.txt", b""), f"{{f}}/booster.txt: {CHANGED}"),
    "large": (large, f"{{f}}/bundle.json: has 17825792 bytes, more than 16777216. {AGAIN}"),
    "deep": (
        replace("bundle.json", b"[" * 100_000 + b"]" * 100_000),
        f"{{f}}/bundle.json: is nested deeper than 32 levels. {AGAIN}",
    ),
    "no JSON": (
        replace("bundle.json", b"{"),
        "{f}/bundle.json: is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 "
        f"(char 1)). {AGAIN}",
    ),
    "NaN": (replace("bundle.json", b"[NaN]"), f"{{f}}/bundle.json: is not JSON (NaN is not a JSON number). {AGAIN}"),
    "list": (replace("bundle.json", b"[]\n"), f"{{f}}/bundle.json: is not a JSON object. {AGAIN}"),
    "not text": (
        replace("bundle.json", b"\xff{}"),
        f"{{f}}/bundle.json: is not UTF-8 (invalid start byte at byte 0). {AGAIN}",
    ),
    "no format": (
        replace("bundle.json", b"{}\n"),
        f"{{f}}/bundle.json: has no format number (found None). {AGAIN}",
    ),
    "infinite": (replace("bundle.json", b'{"format": 1, "x": 1e999}\n'), f"{{f}}/bundle.json: {CHANGED}"),
    "long number": (
        replace("bundle.json", b'{"format": ' + b"1" * 5000 + b"}"),
        "{f}/bundle.json: is not JSON (Exceeds the limit (4300 digits) for integer string conversion: value has "
        f"5000 digits; use sys.set_int_max_str_digits() to increase the limit). {AGAIN}",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(folder: Path, name: str) -> None:
    damage, message = DAMAGE[name]
    damage(folder)
    assert message_of(folder) == message.format(f=folder)


def test_brackets_in_texts_are_no_nesting(folder: Path) -> None:
    forge(folder, lambda m: m["metrics"].update({'[[["\\' * 50: "{" * 100}))
    assert cm.Bundle.load(folder).metrics == {'[[["\\' * 50: "{" * 100}


def test_an_unfinished_text_of_quotes_takes_no_time(folder: Path) -> None:
    (folder / "bundle.json").write_bytes(b'"' + b'\\"' * 2**22)
    assert message_of(folder).startswith(f"{folder}/bundle.json: is not JSON (Unterminated string")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert message_of(tmp_path / "nowhere") == (
        f"{tmp_path}/nowhere: there is no such folder. Give the folder that Bundle.save() wrote."
    )


# Forgery: every digest is right ---------------------------------------------------------------------------


FORGED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (
        put("format", 3),
        "format 3 is newer than 2, the newest format that this version of crmml reads. "
        "Upgrade with: pip install --upgrade crmml",
    ),
    "no number": (put("format", "1"), f"has no format number (found '1'). {AGAIN}"),
    "true": (put("format", True), f"has no format number (found True). {AGAIN}"),
    "unknown class": (
        put("model", {"ChurnClasifier": {}}),
        "model: no public class 'ChurnClasifier' that a configuration can make. Did you mean 'ChurnClassifier'? "
        "For a plain mapping with this key write {dict: {ChurnClasifier: ...}}.",
    ),
    "not public": (
        put("model", {"TableEstimator": {}}),
        "model: no public class 'TableEstimator' that a configuration can make. "
        "For a plain mapping with this key write {dict: {TableEstimator: ...}}.",
    ),
    "code": (put("model", {"os.system": "id"}), f"model cannot be {{'os.system': 'id'}}. {SAVE}"),
    "a log": (
        put("features", {"InteractionLog": {"source": "/etc/passwd"}}),
        "features: a bundle cannot hold InteractionLog. Train it anew.",
    ),
    "a log inside": (
        put("model", {"ChurnClassifier": {"num_leaves": [{"InteractionLog": {"source": "/etc/passwd"}}]}}),
        "model: a bundle cannot hold InteractionLog. Train it anew.",
    ),
    "a memory bomb": (
        put("target", {"cutoffs": {"start": "1000-01-01", "end": "3000-01-01", "every": "1s"}}),
        "target: a bundle cannot hold cutoffs. Train it anew.",
    ),
    "another definition": (
        put("model", {"Count": {"window": "30d"}}),
        f"model cannot be Count(window='30d'). {SAVE}",
    ),
    "features": (put("features", {"Churn": "60d"}), f"features cannot be Churn('60d'). {SAVE}"),
    "target": (put("target", {"Popularity": {}}), f"target cannot be Popularity(). {SAVE}"),
    "roles": (put("roles", None), f"roles cannot be None. {SAVE}"),
    "parameter": (
        put("model", {"ChurnClassifier": {"num_leafs": 3}}),
        "model.ChurnClassifier: no parameter 'num_leafs'. Did you mean 'num_leaves'?",
    ),
    "columns": (
        lambda m: m["features"]["FeatureSet"]["features"].reverse(),
        "Bundle: ChurnClassifier was fitted on other columns than the features make: column 0 is 'recency' in the "
        "model and 'sum_amount_purchase' in the features. Fit it on build_dataset(log, features, target, as_of).X.",
    ),
    "cutoffs": (
        put("training_cutoffs", ["yesterday"]),
        "training cutoff 'yesterday' is not a date or time. Use for example '2024-01-31' or "
        "'2024-01-31T12:00:00+01:00'.",
    ),
    "cutoff": (put("training_cutoffs", "2024-06-01"), f"has '2024-06-01' as training_cutoffs. {SAVE}"),
    "id": (put("model_id", "../../etc"), f"has '../../etc' as model_id. {SAVE}"),
    "state": (put("state", []), f"has [] as state. {SAVE}"),
    "key": (
        lambda m: m.pop("roles"),
        "has the keys format, crmml, packages, model_id, features, target, model, state, cleaning, "
        "training_cutoffs, fingerprint, metrics instead of format, crmml, packages, model_id, features, target, "
        f"model, state, roles, cleaning, training_cutoffs, fingerprint, metrics. {SAVE}",
    ),
    "state key": (
        lambda m: m["state"].pop("n_features_in"),
        "the model cannot be read back: ChurnClassifier.set_state: 'n_features_in' is missing. The state is damaged "
        "or of another model: load an intact copy, or fit the model again.",
    ),
    "file above": (
        lambda m: m["files"].update({"../secret.txt": {}}),
        f"names a file '../secret.txt' that a bundle cannot have. {AGAIN}",
    ),
    "absolute file": (
        lambda m: m["files"].update({"/etc/passwd": {}}),
        f"names a file '/etc/passwd' that a bundle cannot have. {AGAIN}",
    ),
    "itself": (
        lambda m: m["files"].update({"bundle.json": {}}),
        f"names a file 'bundle.json' that a bundle cannot have. {AGAIN}",
    ),
    "files": (put("files", {f"a{n}.txt": {} for n in range(33)}), f"has no mapping of at most 32 'files'. {AGAIN}"),
    "arrays": (put("arrays", "abc"), f"has no list of 'arrays'. {AGAIN}"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forgery(folder: Path, name: str) -> None:
    change, message = FORGED[name]
    forge(folder, change)
    assert message_of(folder) == f"{folder}/bundle.json: {message}"


def test_whatever_is_no_value_in_a_configuration_is_refused_in_a_bundle(folder: Path) -> None:
    for name in _OTHER_CONSTRUCTORS:
        forge(folder, put("features", {name: {}}))
        assert message_of(folder) == f"{folder}/bundle.json: features: a bundle cannot hold {name}. Train it anew."


def test_a_size_without_a_digest(folder: Path) -> None:
    manifest = json.loads((folder / "bundle.json").read_bytes())
    manifest["files"]["booster.txt"] = {"bytes": 3}
    manifest["digest"] = digest(manifest)
    (folder / "bundle.json").write_bytes(as_json(manifest))
    assert message_of(folder) == f"{folder}/bundle.json: has no size and digest for booster.txt. {AGAIN}"


def test_a_model_text_that_would_end_the_process(folder: Path) -> None:
    path = folder / "booster.txt"
    path.write_text(path.read_text().replace("num_leaves=", "num_leaves=9", 1))
    forge(folder, lambda manifest: None)
    assert message_of(folder).startswith(f"{folder}/bundle.json: the model cannot be read back: ChurnClassifier.")


def test_other_scores_than_when_it_was_saved(folder: Path) -> None:
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    before = arrays["probe.p_churn"][2]
    arrays["probe.p_churn"][2] += 1e-9
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    forge(folder, lambda manifest: None)
    assert message_of(folder) == (
        f"{folder}: the model gives other scores than when it was saved: p_churn of row 2 is {before} instead of "
        f"{before + 1e-9}. Install the versions that bundle.json lists under 'packages', or train it anew."
    )
    arrays["probe.p_churn"][2] = before + 1e-14  # the last digits may differ between machines
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    forge(folder, lambda manifest: None)
    cm.Bundle.load(folder)


def test_no_probe(folder: Path) -> None:
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    del arrays["probe.rows"]
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    forge(folder, put("arrays", list(arrays)))
    assert message_of(folder) == f"{folder}: has no probe. {SAVE}"
