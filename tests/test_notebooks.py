"""The notebooks show what their code prints now, with their pictures, from the raw data on."""

import re
from pathlib import Path

import pytest

from tools.notebook import outputs, pictures, read, run, texts

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each
def test_every_code_cell_was_run_in_order(path: Path) -> None:
    code = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert {output["output_type"] for cell in code for output in cell["outputs"]} <= {"stream", "execute_result"}


@each
def test_the_pictures_are_there_and_are_png(path: Path) -> None:
    shown = pictures(read(path))
    assert shown
    assert all(picture.startswith(b"\x89PNG\r\n") for picture in shown)


@pytest.mark.slow
@pytest.mark.real
@each
def test_a_notebook_shows_what_it_prints(path: Path, shared_data: Path) -> None:
    pytest.importorskip("matplotlib")
    stored = read(path)
    fresh = run(stored, shared_data)
    assert texts(fresh) == texts(stored)
    assert len(pictures(fresh)) == len(pictures(stored))


def test_the_segments_say_how_far_they_hold() -> None:
    printed = "\n".join(texts(read(ROOT / "notebooks" / "segments.ipynb")))
    awake = re.search(r"awake or asleep +between halves: ([.0-9]+); between months: ([.0-9, ]+)", printed)
    assert awake is not None
    # What lies apart is found again by everybody: the figures that the text rests on.
    assert min(float(value) for value in [awake[1], *awake[2].split(", ")]) > 0.95
    assert printed.count("Choice of segments: ") == 3
    assert "Nothing to split." in printed
    assert "2 segments: the most that other customers repeat" in printed


def test_a_cell_gives_what_it_prints_and_its_last_expression() -> None:
    namespace: dict[str, object] = {}
    shown = outputs("x = 2\nprint('a')\nprint('b')\nx + 1", namespace, 4)
    assert shown == [
        {"name": "stdout", "output_type": "stream", "text": ["a\n", "b\n"]},
        {"data": {"text/plain": ["3"]}, "execution_count": 4, "metadata": {}, "output_type": "execute_result"},
    ]
    assert outputs("y = x", namespace, 5) == []
    with pytest.raises(ZeroDivisionError):
        outputs("1 / 0", namespace, 6)
