"""Personal data of a log stands in the scores, which need the ids, and nowhere else that a job writes to."""

import base64
import re
from pathlib import Path

import pytest

from crmml.errors import shape_of
from tests.torture.canaries import CANARIES, INTENDED, metadata_of, searched, sinks_of, words_in
from tests.torture.nursery import Nursery


@pytest.fixture(scope="module")
def gone(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder after the whole way of a log, and all that was printed on it."""
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
    place = tmp_path_factory.mktemp("canaries")
    ended = nursery.one("journey", str(place), timeout=600)
    assert ended.status == 0, ended.output
    return place, ended.output


def test_no_sink_holds_personal_data(gone: tuple[Path, str]) -> None:
    place, printed = gone
    sinks = sinks_of(place, printed) | {"metadata of the scores": [metadata_of(place)]}
    assert len(sinks) >= 28
    empty = {name for name, parts in sinks.items() if not b"".join(parts)}
    assert empty <= {"warnings", "log records", "locks and hidden files"}
    assert {name: found for name, found in searched(sinks).items() if found} == {}
    assert "exit 0 0" in printed


def test_the_search_finds_the_ids_where_they_have_to_be(gone: tuple[Path, str]) -> None:
    place, _ = gone
    files = [path for path in place.rglob("*") if path.is_file()]
    for name, pattern in INTENDED.items():
        chosen = [path for path in files if re.search(pattern, str(path))]
        assert chosen, name
        assert all("id" in words_in(path.read_bytes()) for path in chosen)


def test_every_mistake_was_an_error(gone: tuple[Path, str]) -> None:
    lines = (gone[0] / "said" / "errors.txt").read_text().splitlines()
    assert [line for line in lines if line.endswith(": no error")] == []
    assert len(lines) > 15


@pytest.mark.parametrize("shift", range(3))
def test_words_are_found_however_they_are_packed(shift: int, tmp_path: Path) -> None:
    import zipfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    word = CANARIES["name"]
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", word.upper())
    table = pa.table({"note": [word] * 100}).replace_schema_metadata({"who": word})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    packed = [
        word.encode("utf-16-le"),
        base64.b64encode(b"x" * shift + word.encode() + b"more"),
        word.encode().hex().encode(),
        *(path.read_bytes(), (tmp_path / "x.parquet").read_bytes()),
    ]
    assert [words_in(data) for data in packed] == [{"name"}] * len(packed)
    assert words_in(b"nothing of anybody") == set()


def test_a_picture_with_a_name_in_its_texts_is_found(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure")
    figure.Figure().savefig(tmp_path / "a.png", metadata={"Author": CANARIES["name"]})
    picture = (tmp_path / "a.png").read_bytes()
    assert words_in(picture) == words_in(b"data:image/png;base64," + base64.b64encode(picture)) == {"name"}


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("Zoë Müller", "'Xxx Xxxxxx'"),
        ("+49 (170) 555-01", "'+99 (999) 999-99'"),
        (12345, "99999"),
        ("٣½", "'99'"),
        ("😀", "'?'"),
        ("a" * 50, f"'{'x' * 40}'"),
        (None, "Xxxx"),
    ],
)
def test_a_shape_says_nothing_of_a_value(value: object, shape: str) -> None:
    assert shape_of(value) == shape
