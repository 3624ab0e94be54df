"""Print the lowest version of every dependency that `pyproject.toml` promises to work with.

    python tools/floors.py [EXTRA ...] > floors.txt
    pip install -r floors.txt

The core dependencies always, and those of the extras that are named. `make floors` installs them and tests.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[a-z,]+)\])?(?P<versions>.*)")


def floors(project: dict[str, Any], extras: Iterable[str] = ()) -> list[str]:
    """The lines `name==floor`, sorted; a requirement without a floor is an error.

    >>> project = {
    ...     "name": "shop",
    ...     "dependencies": ["numpy>=2.1"],
    ...     "optional-dependencies": {"sql": ["duckdb>=1.4,<3"], "all": ["shop[sql]"]},
    ... }
    >>> floors(project)
    ['numpy==2.1']
    >>> floors(project, ["all"])
    ['duckdb==1.4', 'numpy==2.1']
    """
    optional = project["optional-dependencies"]
    waiting = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    found = set()
    while waiting:
        line = waiting.pop()
        name, inner, versions = _parts(line)
        if name == project["name"]:  # "crmml[mlflow,plot]": one extra made of others
            waiting += [requirement for extra in inner for requirement in optional[extra]]
            continue
        floor = re.search(r">=\s*([0-9][0-9.]*)", versions)
        if floor is None:
            raise ValueError(f"pyproject.toml: {line!r} has no floor. Write {name + '>=1.0'!r}, and test it.")
        found.add(f"{name}=={floor[1]}")
    return sorted(found)


def _parts(line: str) -> tuple[str, list[str], str]:
    match = REQUIREMENT.fullmatch(line)
    if match is None:
        raise ValueError(f"pyproject.toml: cannot read the requirement {line!r}. Write 'numpy>=2.1'.")
    extras = match["extras"].split(",") if match["extras"] else []
    return match["name"], extras, match["versions"]


def main(extras: list[str]) -> int:
    """Print the floors of this project."""
    print("\n".join(floors(tomllib.loads(PYPROJECT.read_text("utf-8"))["project"], extras)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
