"""One nursery for all tests of this folder, which therefore run in one process of a pool."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import faults
from tests.torture.nursery import Nursery
from tests.torture.world import World


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """The process that forks the children; importing everything takes it a few seconds."""
    with Nursery(faults.library(tmp_path_factory.mktemp("faults"))) as forks:
        yield forks


@pytest.fixture(scope="session")
def small_world(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(nursery, tmp_path_factory.mktemp("world"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("torture"))
            item.add_marker(pytest.mark.slow)
