"""Named mutants: one line of a module changed, everywhere the module's names are used."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import crmml as cm


def plant(monkeypatch: pytest.MonkeyPatch, module: str, line: str, mutant: str) -> None:
    """Replace `line`, which has to occur exactly once in the source of `module`, by `mutant`.

    The changed module is run under another name, and its functions and classes take the place of the originals in
    every module of crmml and of the tests that uses them.
    """
    for name in cm.__all__:
        getattr(cm, name)  # loaded late, and were it while the mutant is there, the mutant would stay
    original = import_module(module)
    source = Path(str(original.__file__)).read_text("utf-8")
    assert source.count(line) == 1, f"{module} has {source.count(line)} times: {line}"
    changed = ModuleType(module)
    changed.__dict__["__file__"] = original.__file__
    exec(compile(source.replace(line, mutant), f"<mutant of {module}>", "exec"), changed.__dict__)
    for name, value in vars(changed).items():
        before = getattr(original, name, None)
        if getattr(value, "__module__", None) != module or not callable(value):
            continue
        for user in [one for key, one in sys.modules.items() if key.split(".")[0] in ("crmml", "tests")]:
            for used, held in list(vars(user).items()):
                if held is before:
                    monkeypatch.setattr(user, used, value)
