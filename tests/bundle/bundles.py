"""One small bundle of every kind, made once, and the tools to damage a copy of it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import crmml as cm

CUTOFF = "2024-06-01"
LATER = "2024-09-01"
FEATURES = [cm.Recency(), cm.Count(event_type="purchase", window="90d"), cm.Sum("amount", event_type="purchase")]
RFM = [cm.Recency(event_type="purchase"), cm.Count(event_type="purchase"), cm.Sum("amount", event_type="purchase")]
BOUGHT = cm.ItemWeights(weights={"purchase": 1})
PARTS: dict[str, tuple[Any, Any, Any]] = {
    "churn": (FEATURES, cm.Churn("60d", event_type="purchase"), cm.ChurnClassifier(num_iterations=10)),
    "repurchase": (FEATURES, cm.Repurchase("60d", event_type="purchase"), cm.ChurnClassifier(num_iterations=10)),
    "value": (FEATURES, cm.Spend("60d"), cm.LifetimeValueRegressor(num_iterations=10)),
    "rfm": (RFM, None, cm.RFMSegmenter()),
    "behaviour": (FEATURES, None, cm.BehaviourSegmenter(3)),
    "popularity": (BOUGHT, cm.NextItems("30d", event_type="purchase"), cm.Popularity()),
    "als": (BOUGHT, cm.NextItems("30d", event_type="purchase"), cm.ALS(factors=4, iterations=3)),
}
KINDS = list(PARTS)


@cache
def log() -> cm.InteractionLog:
    return cm.simulate_log(200, seed=1).log


@cache
def bundle(kind: str) -> cm.Bundle:
    """A bundle of this kind, trained on `log()` as of CUTOFF."""
    return cm.train(log(), *PARTS[kind], CUTOFF, progress=False)


def saved(kind: str, folder: Path) -> Path:
    """The folder of a bundle of this kind, written anew."""
    path: Path = bundle(kind).save(folder / kind)
    return path


def digest(manifest: dict[str, Any]) -> str:
    """The digest of a manifest, written anew from docs/bundle.md: JSON, indented by 1, with an empty digest."""
    return hashlib.sha256(as_json({**manifest, "digest": ""})).hexdigest()


def as_json(manifest: Any) -> bytes:
    return (json.dumps(manifest, indent=1) + "\n").encode()


def forge(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change bundle.json as somebody who knows the format: all digests are right afterwards."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    for name in manifest["files"]:
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["digest"] = digest(manifest)
    path.write_bytes(as_json(manifest))


def copied(folder: Path, name: str) -> Path:
    target = folder.with_name(name)
    shutil.copytree(folder, target)
    return target


def put(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """The change of a manifest that sets one key."""
    return lambda manifest: manifest.__setitem__(key, value)


def message_of(folder: Path) -> str:
    """The message of the BundleError in which loading ends."""
    try:
        cm.Bundle.load(folder)
    except cm.BundleError as error:
        return str(error)
    raise AssertionError(f"{folder} was loaded")


OLD_FORMATS = Path(__file__).parent
KEPT = ["churn", "value", "rfm", "popularity"]

if __name__ == "__main__":  # a new format: write its bundles, to be kept for ever
    from crmml.bundle.format import FORMAT

    for kept in KEPT:
        print(bundle(kept).save(OLD_FORMATS / f"format_{FORMAT}" / kept))
