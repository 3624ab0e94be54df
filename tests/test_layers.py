"""Imports point down, siblings never meet, and every engine has one home: decided on the syntax tree."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "crmml"

# The higher number may import the lower one; equal numbers are siblings and may not meet.
LAYERS = {
    "errors": 0,
    "definition": 1,
    "yaml_text": 1,
    "spec": 2,
    "data": 3,
    "metrics": 3,
    "trees": 3,
    "features": 4,
    "models": 4,
    "recommend": 4,
    "insight": 4,
    "action": 4,
    "bundle": 5,
    "report": 6,
    "jobs": 7,
    "__main__": 8,
}
# package -> the parts of crmml that may import it
HOMES = {
    "duckdb": {"data"},
    "pyspark": {"data"},
    "lightgbm": {"trees"},
    "implicit": {"recommend"},
    "mlflow": {"jobs"},
}
# Optional packages: only inside functions, so that crmml works without them.
INSIDE_FUNCTIONS = {"implicit", "matplotlib", "mlflow", "polars", "pyspark", "python_calamine"}
# Anything that runs code from data.
FORBIDDEN_PACKAGES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
FORBIDDEN_CALLS = {"compile", "eval", "exec"}
# Modules that import nothing but the standard library while they are imported.
LIGHT = {"__init__", "errors", "definition", "spec"}
STANDARD = sys.stdlib_module_names
# Where the root package itself (its table of public names) may be imported.
READS_THE_TABLE = {"spec", "jobs", "__main__"}


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Every imported module of `tree`, and whether it waits: inside a function, or for type checkers only.

    `from crmml import data` gives "crmml.data"; `import_module("x.y")` counts as an import.
    """

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _for_types(node)
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield from ((f"{source}.{alias.name}" if source == "crmml" else source, inside) for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant):
                yield str(argument.value), inside
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree, inside=False)


def called(node: ast.Call) -> str:
    """The name that a call calls, without what stands before the last dot for `import_module`."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
        return node.func.attr
    return ""


def complaints(text: str, module: str) -> list[str]:
    """What is wrong with the imports and calls of a module named like `crmml.features.time`."""
    tree = ast.parse(text)
    part = module.split(".")[1] if "." in module else "__init__"
    found = []
    for target, inside in imports(tree):
        found += _direction(part, target)
        found += _home(part, target.split(".")[0], inside)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in FORBIDDEN_CALLS:
            found.append(f"calls {called(node)}()")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node.value):
            found.append("allow_pickle is not False")
    return found


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _direction(part: str, target: str) -> list[str]:
    package, _, rest = target.partition(".")
    if not package:
        return [f"imports {target}: write the whole name, from crmml on"]
    if package != "crmml":
        return []
    name = rest.split(".")[0]
    if name not in LAYERS:  # the root package: "crmml" or a public name out of it
        allowed = part in READS_THE_TABLE or name == "__version__"
        return [] if allowed else [f"imports {target}: say in which module it lives"]
    if part == "__init__" or part == name or LAYERS[name] < LAYERS[part]:  # noqa: PLR1714  (two reasons)
        return []
    relation = "its sibling" if LAYERS[name] == LAYERS[part] else "above it"
    return [f"{part} imports {name}, which is {relation}"]


def _home(part: str, package: str, inside: bool) -> list[str]:
    found = []
    if package in HOMES and part not in HOMES[package]:
        found.append(f"{part} imports {package}, whose home is {'/'.join(HOMES[package])}")
    if package in FORBIDDEN_PACKAGES:
        found.append(f"imports {package}, which runs code from data")
    if package in INSIDE_FUNCTIONS and not inside:
        found.append(f"imports {package} outside a function, but it is optional")
    standard = package in STANDARD or package == "crmml"
    if part in LIGHT and not inside and not standard:
        found.append(f"imports {package} while it is imported: `import crmml` has to stay light")
    return found


def modules() -> dict[str, Path]:
    """Every module of crmml by its dotted name; a package is named like its folder."""
    names = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@pytest.mark.parametrize("module", modules())
def test_imports_point_down_and_every_engine_has_one_home(module: str) -> None:
    assert complaints(modules()[module].read_text("utf-8"), module) == []


def test_every_part_has_a_layer() -> None:
    parts = {module.split(".")[1] for module in modules() if "." in module}
    assert parts - set(LAYERS) == set()


PLANTED = [
    # what stands in the file, the module it stands in, the complaint
    ("from crmml.features.moments import HOUR", "crmml.data.log", "data imports features, which is above it"),
    ("import crmml.models.churn", "crmml.features.moments", "features imports models, which is its sibling"),
    ("from crmml import jobs", "crmml.bundle", "bundle imports jobs, which is above it"),
    ("from crmml.data import log", "crmml.metrics.value", "metrics imports data, which is its sibling"),
    ("from . import log", "crmml.data.facts", "imports .: write the whole name, from crmml on"),
    ("from ..jobs.cli import main", "crmml.report.pages", "imports ..jobs.cli: write the whole name"),
    (
        "def f():\n    import crmml.report.pages",
        "crmml.bundle",
        "bundle imports report, which is above it",
    ),
    (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from crmml.bundle import Bundle",
        "crmml.recommend.als",
        "recommend imports bundle, which is above it",
    ),
    (
        "from importlib import import_module\nimport_module('crmml.jobs')",
        "crmml.report.pages",
        "report imports jobs, which is above it",
    ),
    ("from crmml import Churn", "crmml.report.pages", "imports crmml.Churn: say in which module it lives"),
    ("import duckdb", "crmml.features.plan", "features imports duckdb, whose home is data"),
    ("from lightgbm import Booster", "crmml.bundle", "bundle imports lightgbm, whose home is trees"),
    (
        "def f():\n    import implicit.als",
        "crmml.models.value",
        "models imports implicit, whose home is recommend",
    ),
    ("def f():\n    import mlflow", "crmml.report.pages", "report imports mlflow, whose home is jobs"),
    ("import mlflow.pyfunc", "crmml.jobs.tracking", "imports mlflow outside a function, but it is optional"),
    (
        "class A:\n    import polars",
        "crmml.data.sources",
        "imports polars outside a function, but it is optional",
    ),
    (
        "import matplotlib.pyplot as plt",
        "crmml.report.pages",
        "imports matplotlib outside a function, but it",
    ),
    ("import pickle", "crmml.bundle", "imports pickle, which runs code from data"),
    ("def f():\n    from joblib import load", "crmml.models.churn", "imports joblib, which runs code from"),
    ("eval('1')", "crmml.spec", "calls eval()"),
    ("np.load(path, allow_pickle=True)", "crmml.bundle", "allow_pickle is not False"),
    ("np.load(path, allow_pickle=flag)", "crmml.bundle", "allow_pickle is not False"),
    ("import numpy", "crmml.spec", "imports numpy while it is imported"),
    ("import pandas as pd", "crmml", "imports pandas while it is imported"),
]


@pytest.mark.parametrize(("text", "module", "complaint"), PLANTED)
def test_a_planted_violation_is_found(text: str, module: str, complaint: str) -> None:
    found = complaints(text, module)
    assert any(line.startswith(complaint) for line in found), found


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("from crmml.features.moments import HOUR", "crmml.features.cutoffs"),
        ("from crmml.data.log import InteractionLog", "crmml.features.datasets"),
        ("from crmml.metrics import auc", "crmml.jobs.backtest"),
        ("from crmml.errors import ConfigError", "crmml.metrics.value"),
        ("def f():\n    import mlflow", "crmml.jobs.tracking"),
        ("import duckdb", "crmml.data.engine"),
        ("np.load(path, allow_pickle=False)", "crmml.bundle"),
        ("if TYPE_CHECKING:\n    from matplotlib.figure import Figure", "crmml.report.pages"),
        ("re.compile('a')", "crmml.spec"),
        ("frame.eval('a + b')", "crmml.report.pages"),
        ("from crmml import __version__", "crmml.bundle"),
        ("def f():\n    import numpy", "crmml.spec"),
    ],
)
def test_what_is_allowed_passes(text: str, module: str) -> None:
    assert complaints(text, module) == []
