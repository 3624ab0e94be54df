"""Run a notebook from top to bottom, and keep what it shows.

    python tools/notebook.py notebooks/segments.ipynb --data DIR

The code cells run in one namespace and one empty folder, with the environment variable CRMML_DATA set to the folder of
the public data sets. Of the last expression of a cell a figure is kept as a picture, everything else as text; what is
printed is kept, too. Nothing but the standard library is needed (and what the notebook itself imports).
"""

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

Notebook = dict[str, Any]
DPI = 80


def main() -> None:
    """Read the arguments, run the notebooks, write their outputs into them."""
    parser = argparse.ArgumentParser(description="Run notebooks, and keep what they show.")
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder of the public data sets")
    options = parser.parse_args()
    for path in options.notebooks:
        write(run(read(path), options.data), path)


def read(path: Path) -> Notebook:
    """A notebook as plain data."""
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """As Jupyter writes it: JSON, indented by 1."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def run(notebook: Notebook, data: Path) -> Notebook:
    """A copy of the notebook with the outputs that its code has now; an error in a cell is raised."""
    result: Notebook = json.loads(json.dumps(notebook))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    before = os.environ.get("CRMML_DATA")
    os.environ["CRMML_DATA"] = str(data.resolve())
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            code = [cell for cell in result["cells"] if cell["cell_type"] == "code"]
            for number, cell in enumerate(code, start=1):
                cell["execution_count"] = number
                cell["outputs"] = outputs("".join(cell["source"]), namespace, number)
    finally:
        os.environ.pop("CRMML_DATA") if before is None else os.environ.update(CRMML_DATA=before)
    return result


def outputs(source: str, namespace: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """What a cell prints, and its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<cell {number}>", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), namespace)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        shown = {"data": shape(value), "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        found.append(shown)
    return found


def shape(value: Any) -> dict[str, Any]:
    """A figure as a picture, everything else as text."""
    text = {"text/plain": [repr(value)]}
    if not hasattr(value, "savefig"):
        return text
    picture = io.BytesIO()
    value.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
    return {"image/png": base64.b64encode(picture.getvalue()).decode()} | text


def texts(notebook: Notebook) -> list[str]:
    """What each code cell printed or gave as text, pictures left out."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream":
                found.append("".join(output["text"]))
            elif "image/png" not in output["data"]:
                found.append("".join(output["data"]["text/plain"]))
    return found


def pictures(notebook: Notebook) -> list[bytes]:
    """The pictures, as PNG."""
    shown = [output for cell in notebook["cells"] for output in cell.get("outputs", []) if "data" in output]
    return [base64.b64decode(output["data"]["image/png"]) for output in shown if "image/png" in output["data"]]


if __name__ == "__main__":
    main()
