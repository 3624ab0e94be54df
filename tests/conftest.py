"""Shared fixtures (where the public data sets are, if they are; Spark) and the profiles of the property tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ends", action="store_true", help="of the cases of each test only the first and the last")


def only_ends(items: list[pytest.Item]) -> list[pytest.Item]:
    """The first and the last case of every test function."""
    places: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        places.setdefault(item.nodeid.split("[")[0], []).append(at)
    return [items[at] for at in sorted({end for cases in places.values() for end in (cases[0], cases[-1])})]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Error rates over many repetitions are measured only when asked for: `-m repetitions`; `--ends` takes few cases.

    Tests that need Spark run in one process of a pool (`--dist loadgroup`): to start it takes half a minute.

    The examples on real logs come first: the longest of all, at the end they would leave all processes but one idle.
    """
    asked = "repetitions" in config.option.markexpr
    kept = items if asked else [item for item in items if not item.get_closest_marker("repetitions")]
    kept = only_ends(kept) if config.option.ends else kept
    config.hook.pytest_deselected(items=list(set(items).difference(kept)))
    items[:] = kept
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("spark"))
    items.sort(key=lambda item: item.path.name != "test_examples.py")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A small local Spark session, the only one of the run; skips where pyspark or Java is absent."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'crmml[spark]'")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java, and there is none here (neither `java` nor JAVA_HOME)")
    folder = tmp_path_factory.mktemp("spark")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        # One task has all the groupings and joins of a table in it, and each of them takes a page at once.
        "spark.buffer.pageSize": "1m",
        # The queries are many and small: most time would go into compiling what runs once.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        # Somewhere else than UTC, and lenient: what the user's session is like must not matter.
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.ansi.enabled": "false",
    }
    builder = sql.SparkSession.builder.master("local[1]").appName("crmml")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
