"""What a user meets: every public name works, explains itself and costs nothing until it is used."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import crmml
from tools.stubs import STUB, stub

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "docs" / "api.md"
MODULES = ("datasets", "metrics", "presets")
# Names that are their own file, and names that stand in a public module: "metrics.auc".
NAMES = [name for name in crmml.__all__ if name not in MODULES]


def public_members() -> list[str]:
    """The dotted names in the public modules, as far as these can be imported."""
    names = []
    for module in MODULES:
        try:
            names += [f"{module}.{name}" for name in getattr(crmml, module).__all__]
        except (ImportError, AttributeError):
            names.append(f"{module}.__all__")  # the test of this name then says what is wrong
    return names


def resolve(name: str) -> Any:
    """The object behind a public name such as "Churn" or "metrics.auc"."""
    value: Any = crmml
    for part in name.split("."):
        value = getattr(value, part)
    return value


def own_doc(value: Any) -> str:
    """The docstring that `value` itself carries: not an inherited one, not one that dataclass made up."""
    text = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    made_up = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return "" if made_up else inspect.cleandoc(text)


@pytest.mark.parametrize("name", [*crmml.__all__, *public_members()])
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    value = resolve(name)
    first = own_doc(value).split("\n")[0]
    assert first, f"crmml.{name} has no docstring of its own"
    assert first[-1] in ".:", f"crmml.{name}: the first line of its docstring is no sentence: {first!r}"


@pytest.mark.parametrize("name", [*NAMES, *public_members()])
def test_every_public_name_shows_an_example(name: str) -> None:
    value = resolve(name)
    if inspect.isclass(value) and issubclass(value, Exception):
        pytest.skip("an error is shown where it is raised")
    assert ">>> " in own_doc(value), f"the docstring of crmml.{name} has no example"


@pytest.mark.parametrize("name", [name for name in NAMES if name[0].isupper()])
def test_every_public_method_has_a_docstring(name: str) -> None:
    silent = [
        attribute
        for attribute, member in vars(resolve(name)).items()
        if not attribute.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(resolve(name), attribute))
    ]
    assert silent == []


@pytest.mark.parametrize("name", [*crmml.__all__, *public_members()])
def test_every_public_name_is_in_the_documentation(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}\b", API.read_text("utf-8")), f"docs/api.md does not mention `{name}`"


def test_the_documentation_names_nothing_that_is_not_there() -> None:
    lines = re.findall(r"^\| `([A-Za-z_.]+)", API.read_text("utf-8"), flags=re.MULTILINE)
    assert [name for name in lines if name not in {*crmml.__all__, *public_members()}] == []


def test_the_table_names_the_module_where_a_thing_is_defined() -> None:
    for name in NAMES:
        home = f"crmml.{crmml._HOME_OF[name]}"
        assert f"{resolve(name).__module__}.".startswith(f"{home}."), name


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(AttributeError) as caught:
        crmml.Chrun  # noqa: B018
    assert str(caught.value) == "module 'crmml' has no attribute 'Chrun'. Did you mean 'Churn'?"


def test_dir_lists_every_public_name_before_it_is_loaded() -> None:
    assert set(crmml.__all__) <= set(dir(crmml))


def fresh(program: str) -> Any:
    """What `program` prints as JSON when it runs in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_crmml_loads_no_other_package_and_takes_no_time() -> None:
    program = """
import sys, time, json
before = set(sys.modules)
start = time.process_time()  # of this process alone: other work on the machine does not count
import crmml
seconds = time.process_time() - start
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps([seconds, sorted(loaded - set(sys.stdlib_module_names))]))
"""
    runs = [fresh(program) for _ in range(5)]
    assert [loaded for _, loaded in runs] == [["crmml"]] * 5
    assert min(seconds for seconds, _ in runs) < 0.05


@pytest.mark.slow
def test_importing_everything_changes_nothing_in_the_process() -> None:
    program = """
import decimal, json, locale, logging, os, sys, warnings
import duckdb, lightgbm, numpy, pandas, pyarrow, scipy, sklearn.base, sklearn.cluster, sqlglot, yaml

def state():
    return {
        "warning filters": repr(warnings.filters),
        "hooks": repr([sys.displayhook, sys.excepthook]),
        "environment": dict(os.environ),
        "pandas options": repr(pandas.options.display.max_rows) + repr(pandas.options.display.width)
        + repr(pandas.options.display.precision) + repr(pandas.options.mode.copy_on_write),
        "numpy": repr([numpy.geterr(), numpy.get_printoptions()]),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": repr([logging.root.level, logging.root.handlers]),
        "decimal": repr(decimal.getcontext()),
        "path": sys.path[:],
    }

before = state()
import crmml
for name in crmml.__all__:
    getattr(crmml, name)
after = state()
print(json.dumps([what for what in before if before[what] != after[what]]))
"""
    assert fresh(program) == []


def test_the_version_is_the_one_of_the_changelog() -> None:
    heading = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heading is not None
    assert heading[1] == crmml.__version__


def texts() -> dict[str, str]:
    """Every text file of the project by its path: what git knows, or what lies there without git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*.*") if ".venv" not in path.parts]
    found = {}
    for name in names:
        try:
            found[name] = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, IsADirectoryError, FileNotFoundError):
            continue  # a picture, a link, a file just removed
    return found


def test_no_file_is_longer_than_400_lines() -> None:
    long = {name: text.count("\n") for name, text in texts().items() if name.endswith((".py", ".md", ".yaml"))}
    del long["docs/features.md"]  # written by tools/features_page: a section per feature
    assert {name: lines for name, lines in long.items() if lines >= 400} == {}


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # Written in pieces, so that this file does not find itself.
    places = "|".join(["/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w", "/Us" + r"ers/\w"])
    registries = "|".join(["index" + "-url", "py" + r"pi\.", "python" + "hosted", "/sim" + "ple/"])
    tell_tale = re.compile(rf"(?<![\w.]){places}|{registries}")
    found = {name: hit[0] for name, text in texts().items() if (hit := tell_tale.search(text))}
    assert found == {}


def test_every_module_can_be_imported_alone() -> None:
    for path in sorted((ROOT / "src" / "crmml").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "crmml.__main__":
            assert isinstance(importlib.import_module(name), ModuleType)


def test_type_checkers_see_every_public_name() -> None:
    """The stub is what the table says; `python -m tools.stubs` writes it."""
    assert STUB.read_text(encoding="utf-8") == stub()
