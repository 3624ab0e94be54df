"""Shared fixtures (where the public data sets are, if they are) and the profiles of the property tests."""

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# One example is a query or a fit, and the machine may be busy: no deadline. The usual run never varies;
# `make property` looks for new examples, and prints what repeats a failure.
hypothesis.settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.register_profile("property", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public data sets (`CRMML_DATA`, or `../shared/data`); skips where it is absent."""
    folder = Path(os.environ.get("CRMML_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the public data sets are not here: {folder} (set CRMML_DATA)")
    return folder
