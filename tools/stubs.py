"""Write `src/crmml/__init__.pyi` from the table of public names, so that editors and type checkers see what is lazy.

python -m tools.stubs
"""

from pathlib import Path

import crmml

STUB = Path(crmml.__file__).with_suffix(".pyi")


def stub() -> str:
    """The text of the stub."""
    lines = ["# Made by `python -m tools.stubs` from the table in __init__.py."]
    for home, names in crmml._HOMES.items():
        listed = ", ".join(f"{name} as {name}" for name in names)
        line = f"from crmml.{home} import {listed}"
        if len(line) > 120:
            line = f"from crmml.{home} import (\n" + "".join(f"    {name} as {name},\n" for name in names) + ")"
        lines.append(line)
    for name, home in crmml._MODULES.items():
        package, _, module = f"crmml.{home}".rpartition(".")
        lines.append(f"from {package} import {module} as {name}")
    head, *imports = lines
    return "\n".join([head, "", *sorted(imports), "", "__version__: str", "__all__: list[str]", ""])


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
