"""Named mutants: a module of the models with one line changed, which the tests must notice."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def mutant(module: ModuleType, old: str, new: str, folder: Path) -> ModuleType:
    """`module` with the one occurrence of `old` replaced by `new`, as a module of its own."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{module.__name__} holds {old!r} {source.count(old)} times, not once"
    name = f"mutant_of_{module.__name__.replace('.', '_')}"
    path = folder / f"{name}.py"
    path.write_text(source.replace(old, new))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    changed = importlib.util.module_from_spec(spec)
    sys.modules[name] = changed  # dataclasses look their module up
    try:
        spec.loader.exec_module(changed)
    finally:
        del sys.modules[name]
    return changed


def dies(check: Callable[[ModuleType], None], module: ModuleType, old: str, new: str, folder: Path) -> None:
    """The check passes on the module and fails on its mutant."""
    check(module)
    changed = mutant(module, old, new, folder)  # which must not fail where a failure is expected
    with pytest.raises(AssertionError):
        check(changed)
