"""Shared fixtures: where the public data sets are, if they are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public data sets (`CRMML_DATA`, or `../shared/data`); skips where it is absent."""
    folder = Path(os.environ.get("CRMML_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the public data sets are not here: {folder} (set CRMML_DATA)")
    return folder
