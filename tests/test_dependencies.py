"""What the source imports is what `pyproject.toml` declares, explained and with a floor."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tools.floors import floors

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RECORD = ROOT / "docs" / "decisions" / "0001-dependencies.md"

# Packages whose module has another name.
MODULE_OF = {
    "mlflow-skinny": "mlflow",
    "python-calamine": "python_calamine",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
# Imported, and brought by a package that is declared: Spark's errors are py4j's where Java has none of its own, and
# every pyspark asks for one version of py4j.
BROUGHT = {"py4j"}
# Declared, but not imported by us: mlflow's store needs two of them, polars frames come in as Arrow, and the SQL
# for Spark is handed to a session that the user made.
UNSEEN = {"alembic", "polars", "pyspark", "sqlalchemy"}


def names(requirements: list[str]) -> set[str]:
    """The packages of a list of requirements, without crmml itself."""
    found = {re.split(r"[\[<>=!~ ]", line)[0] for line in requirements}
    return found - {PROJECT["name"]}


CORE = names(PROJECT["dependencies"])
EXTRAS = {name for extra, lines in PROJECT["optional-dependencies"].items() if extra != "dev" for name in names(lines)}


def imported() -> set[str]:
    """Every package outside the standard library that a file of the source imports."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"crmml"}


def test_everything_imported_is_declared() -> None:
    assert imported() - {MODULE_OF.get(name, name) for name in CORE | EXTRAS} == BROUGHT


def test_everything_declared_is_imported() -> None:
    assert {MODULE_OF.get(name, name) for name in (CORE | EXTRAS) - UNSEEN} - imported() == set()


def records() -> dict[str, str]:
    """The rows of the record by package: the core names it in its first column, the extras in their second."""
    found: dict[str, str] = {}
    for line in RECORD.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:3]]
        found |= {name: line for cell in cells for name in cell.split(", ")}
    return found


@pytest.mark.parametrize("name", sorted(CORE | EXTRAS))
def test_every_dependency_has_a_reason_and_the_same_floor_in_the_record(name: str) -> None:
    lowest = dict(line.split("==") for line in floors(PROJECT, set(PROJECT["optional-dependencies"]) - {"dev"}))
    row = records().get(name, "")
    assert row, f"{RECORD.name} does not explain {name}"
    assert re.search(rf"[ ]{re.escape(lowest[name])}[ ,]", row), f"{RECORD.name}: the floor is {lowest[name]}"


def test_a_requirement_without_a_floor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^pyproject.toml: 'numpy<3' has no floor. Write 'numpy>=1.0', and test it.$"):
        floors({"name": "shop", "dependencies": ["numpy<3"], "optional-dependencies": {}})


def test_all_holds_every_extra_that_needs_nothing_outside_python() -> None:
    optional = PROJECT["optional-dependencies"]
    (everything,) = optional["all"]
    inner = set(re.search(r"\[(.*)\]", everything)[1].split(","))  # type: ignore[index]
    assert inner == set(optional) - {"all", "dev", "spark"}
