"""What `arrays.npz` may hold, and what else has its place in a bundle: plain arrays and values, and nothing more."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import crmml as cm
from crmml.bundle import format as files
from tests.bundle.bundles import as_json, forge, message_of, put, saved

AGAIN = "Copy the bundle again from where it was made, or train it anew."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved("churn", tmp_path)


# arrays.npz -----------------------------------------------------------------------------------------------


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + body


def archive(member: bytes, **names: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", names.pop("compression", zipfile.ZIP_STORED)) as target:
        target.writestr(names.pop("name", "a.npy"), member)
    return buffer.getvalue()


def saved_by_numpy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=array)
    return buffer.getvalue()


def overlapping() -> bytes:
    """Two names in the directory of the archive for the same megabyte."""
    data = bytes(2**20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("a.npy", data)
        twin = zipfile.ZipInfo("b.npy")
        twin.header_offset, twin.CRC = target.filelist[0].header_offset, target.filelist[0].CRC
        twin.file_size = twin.compress_size = 2**20
        target.filelist.append(twin)
    return buffer.getvalue()


PLAIN = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
NOT_PLAIN = "holds no plain array in a.npy"
BAD_ARCHIVES: dict[str, tuple[bytes, list[str], str]] = {
    "no archive": (b"treasure", ["a"], "is not an archive of arrays (File is not a zip file)"),
    "compressed": (archive(npy(PLAIN, bytes(8)), compression=zipfile.ZIP_DEFLATED), ["a"], "is compressed"),
    "bomb": (archive(bytes(10**8), compression=zipfile.ZIP_DEFLATED), ["a"], "is compressed"),
    "overlap": (overlapping(), ["a", "b"], "declares more data than it has"),
    "unlisted": (
        archive(npy(PLAIN, bytes(8)), name="b.npy"),
        ["a"],
        "does not hold the arrays that bundle.json lists",
    ),
    "above": (
        archive(npy(PLAIN, bytes(8)), name="../a.npy"),
        ["a"],
        "does not hold the arrays that bundle.json lists",
    ),
    "objects": (saved_by_numpy(np.array([{}], dtype=object)), ["a"], NOT_PLAIN),
    "big-endian": (saved_by_numpy(np.array([1.0], dtype=">f8")), ["a"], NOT_PLAIN),
    "records": (saved_by_numpy(np.array([(1, 2)], dtype=[("x", "<i8"), ("y", "<i8")])), ["a"], NOT_PLAIN),
    "fortran": (saved_by_numpy(np.asfortranarray(np.eye(2))), ["a"], NOT_PLAIN),
    "evaluated": (archive(npy("__import__('os').system('id')")), ["a"], NOT_PLAIN),
    "huge": (archive(npy(PLAIN.replace("(1,)", f"({10**15},)"))), ["a"], NOT_PLAIN),
    "short": (archive(npy(PLAIN, bytes(7))), ["a"], NOT_PLAIN),
    "long": (archive(npy(PLAIN, bytes(9))), ["a"], NOT_PLAIN),
    "version": (archive(npy(PLAIN, bytes(8), version=b"\x02\x00")), ["a"], NOT_PLAIN),
    "empty": (archive(b""), ["a"], NOT_PLAIN),
    "no character": (archive(npy(PLAIN.replace("<f8", "<U1"), b"\xff\xff\xff\xff")), ["a"], NOT_PLAIN),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive(folder: Path, name: str) -> None:
    data, names, problem = BAD_ARCHIVES[name]
    (folder / "arrays.npz").write_bytes(data)
    forge(folder, put("arrays", names))
    assert message_of(folder) == f"{folder}/arrays.npz: {problem}. {AGAIN}"


def test_arrays_that_are_listed_but_nowhere(folder: Path) -> None:
    (folder / "arrays.npz").unlink()
    forge(folder, lambda manifest: manifest["files"].pop("arrays.npz"))
    assert message_of(folder) == f"{folder}/bundle.json: lists arrays that are not there. {AGAIN}"


KINDS = st.sampled_from(["<f8", "<f4", "<i8", "<i2", "|u1", "|b1", "<U3"])


@given(hnp.arrays(KINDS, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
def test_every_plain_array_comes_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    for name, data in files.encode(files.Content({}, {"t": "é\r\n"}, {"a.b": array})).items():
        (folder / name).write_bytes(data)
    read = files.read(folder)
    np.testing.assert_array_equal(read.arrays["a.b"], array)
    assert (read.arrays["a.b"].dtype, read.arrays["a.b"].shape) == (array.dtype, array.shape)
    assert read.texts == {"t": "é\r\n"}
    np.testing.assert_array_equal(np.load(folder / "arrays.npz", allow_pickle=False)["a.b"], array)  # numpy agrees


PLAIN_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN_DATA)
def test_every_plain_value_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("values")
    for name, data in files.encode(files.Content({"value": value})).items():
        (folder / name).write_bytes(data)
    assert repr(files.read(folder).document["value"]) == repr(value)


# What has no place in a bundle ----------------------------------------------------------------------------

LONG = "y" * 2**24
LARGE = len(as_json({"format": 1, "x": LONG, "arrays": [], "files": {}, "digest": "0" * 64}))
UNFIT: dict[str, tuple[files.Content, str]] = {
    "object": (
        files.Content({}, {}, {"a": np.array([{}])}),
        "bundle: an array 'a' of type object has no place in a bundle. Use booleans, integers, float32, float64 or "
        "texts, and a name of small letters, digits and '_'.",
    ),
    "name": (
        files.Content({}, {"../a": ""}, {}),
        "bundle: '../a.txt' cannot be a file name. Use small letters, digits and '_'.",
    ),
    "value": (
        files.Content({"state": {"x": [{1}]}}),
        "bundle.state.x[0]: {1} has no place in a bundle. "
        "Use numbers, texts, True, False, None, and lists and dicts of them.",
    ),
    "tag": (
        files.Content({"float": "nan"}),
        "bundle: {'float': 'nan'} has no place in a bundle. "
        "Use numbers, texts, True, False, None, and lists and dicts of them.",
    ),
    "long": (
        files.Content({"x": LONG}),
        f"bundle: bundle.json would have {LARGE} bytes, more than 16777216. "
        "Keep long lists of a model's state in arrays.",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_has_no_place_is_refused_when_it_is_saved(name: str) -> None:
    content, message = UNFIT[name]
    with pytest.raises(cm.BundleError) as caught:
        files.encode(content)
    assert str(caught.value) == message
