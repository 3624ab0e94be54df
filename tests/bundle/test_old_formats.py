"""Bundles that were written once and for all: every version has to load them and to score the same."""

from pathlib import Path

import pytest

import crmml as cm
from crmml.bundle.format import FORMAT
from crmml.jobs.parts import to_fit
from tests.bundle.bundles import KEPT, LATER, OLD_FORMATS, PARTS, log

FOLDERS = sorted(OLD_FORMATS.glob("format_*/*"))


def test_every_format_is_kept() -> None:
    kept = {(folder.parent.name, folder.name) for folder in FOLDERS}
    assert kept == {(f"format_{number}", kind) for number in range(1, FORMAT + 1) for kind in KEPT}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_an_old_bundle_loads_and_scores(folder: Path) -> None:
    """Loading compares the scores of the probe; the definitions are compared here."""
    loaded = cm.Bundle.load(folder)
    features, target, model = PARTS[folder.name]
    assert loaded.target == target
    # Since format 2, `train` tells the model the horizon of its target.
    assert repr(loaded.model) == repr(model if folder.parent.name == "format_1" else to_fit(model, target))
    assert list(loaded.features) == features if isinstance(features, list) else loaded.features == features
    assert loaded.model_id in (folder / "bundle.json").read_text()
    assert len(loaded.score(log(), LATER)) > 100
