"""Hostile bundles, first half: what somebody can do to files, JSON and arrays. Digests are made right again."""

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bundle.bundles import as_json, digest, forge, put

Attack = Callable[[Path], object]
SECRET = "the secret beside the bundle"


class Evil:
    """What runs a command where somebody unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/a-pickle-was-executed",)


def manifest(change: Callable[[dict[str, Any]], object]) -> Attack:
    """bundle.json changed by somebody who knows the format."""
    return lambda folder: forge(folder, change)


def raw(name: str, data: bytes) -> Attack:
    """A file's bytes, as they are."""
    return lambda folder: (folder / name).write_bytes(data)


def known(name: str, data: bytes) -> Attack:
    """A file's bytes, with its right digest in bundle.json."""

    def attack(folder: Path) -> None:
        (folder / name).write_bytes(data)
        forge(folder, lambda manifest: None)

    return attack


def extra(name: str, data: bytes = b"import os\nos.system('id')\n") -> Attack:
    return lambda folder: (folder / name).write_bytes(data)


def linked(name: str) -> Attack:
    """The file lies elsewhere, whole, and a link stands in its place."""

    def attack(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return attack


def linked_folder(folder: Path) -> None:
    (folder / "booster.txt").unlink()
    (folder / "booster.txt").symlink_to("/etc", target_is_directory=True)


def endless(folder: Path) -> None:
    (folder / "arrays.npz").unlink()
    (folder / "arrays.npz").symlink_to("/dev/zero")


def a_folder(folder: Path) -> None:
    (folder / "booster.txt").unlink()
    (folder / "booster.txt").mkdir()


def a_pipe(folder: Path) -> None:
    (folder / "bundle.json").unlink()
    os.mkfifo(folder / "bundle.json")


def hole(name: str, size: int) -> Attack:
    """A file that claims to be huge, and takes no room on the disk."""
    return lambda folder: os.truncate(folder / name, size)


def undeclared(folder: Path) -> None:
    forge(folder, lambda m: m["files"].pop("booster.txt"))


def encoded(encoding: str) -> Attack:
    def attack(folder: Path) -> None:
        path = folder / "bundle.json"
        path.write_bytes(path.read_text().encode(encoding))

    return attack


def twice(folder: Path) -> None:
    """The key `model` twice: one for who checks, one for who builds."""
    path = folder / "bundle.json"
    text = path.read_text()
    path.write_text(text.replace('"model": {', '"model": {"os.system": "id"},\n "model": {', 1))


def wide(folder: Path) -> None:
    forge(folder, put("metrics", {f"m{number}": 0 for number in range(100_000)}))


# arrays.npz -----------------------------------------------------------------------------------------------


def npz(change: Callable[[dict[str, bytes]], object], compression: int = zipfile.ZIP_STORED) -> Attack:
    """The members of arrays.npz changed, all digests right."""

    def attack(folder: Path) -> None:
        path = folder / "arrays.npz"
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        names = [name.removesuffix(".npy") for name in members]
        forge(folder, put("arrays", names))

    return attack


def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A .npy file with any header at all."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + body


def declared(shape: str, kind: str = "<f8", body: bytes = bytes(16), order: str = "False") -> Attack:
    """The calibration says a shape and a type that its data do not have."""
    header = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    return npz(lambda members: members.__setitem__("calibration.npy", npy(header, body)))


def objects() -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Evil(), Evil()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def bomb(folder: Path) -> None:
    """300 MB of zeros in 300 kB."""
    zeros = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (300000000,), }", bytes(300_000_000))
    npz(lambda members: members.__setitem__("calibration.npy", zeros), zipfile.ZIP_DEFLATED)(folder)


def overlapping(folder: Path) -> None:
    """Every entry of the directory points at the first member: little data, read many times."""
    path = folder / "arrays.npz"
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.infolist()[0]
        for number in range(2000):
            copy = zipfile.ZipInfo(f"copy{number}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            copy.header_offset, copy.file_size = first.header_offset, first.file_size
            copy.compress_size, copy.CRC = first.compress_size, first.CRC
            archive.filelist.append(copy)
        archive._didModify = True
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    forge(folder, put("arrays", names))


def marked(place: int, value: bytes) -> Attack:
    """Bytes of the zip's central directory changed, such as sizes and flags."""

    def attack(folder: Path) -> None:
        path = folder / "arrays.npz"
        data = bytearray(path.read_bytes())
        start = data.index(b"PK\x01\x02") + place
        data[start : start + len(value)] = value
        known("arrays.npz", bytes(data))(folder)

    return attack


def cut(name: str, share: float) -> Attack:
    def attack(folder: Path) -> None:
        data = (folder / name).read_bytes()
        known(name, data[: int(len(data) * share)])(folder)

    return attack


def foreign_names(folder: Path) -> None:
    path = folder / "bundle.json"
    said = json.loads(path.read_text())
    said["files"]["\ud800.txt"] = {"bytes": 0, "sha256": ""}
    said["digest"] = digest(said)
    path.write_bytes(as_json(said))


def moved(folder: Path) -> None:
    """bundle.json declares a file of the folder above, which exists and has the declared digest."""
    shutil.copy(folder / "booster.txt", folder.parent / "booster.txt")
    forge(folder, lambda m: m["files"].update({"../booster.txt": m["files"]["booster.txt"]}))


FILES: dict[str, Attack] = {
    "a name that leads out": moved,
    "an absolute name": manifest(lambda m: m["files"].update({"/etc/passwd": {}})),
    "a name with backslashes": manifest(lambda m: m["files"].update({"..\\secret.txt": {}})),
    "a name with a zero byte": manifest(lambda m: m["files"].update({"booster.txt\0.py": {}})),
    "a name that is no text": foreign_names,
    "the manifest as one of its files": manifest(lambda m: m["files"].update({"bundle.json": {}})),
    "a linked text": linked("booster.txt"),
    "a linked manifest": linked("bundle.json"),
    "linked arrays": linked("arrays.npz"),
    "a linked folder": linked_folder,
    "a link to endless zeros": endless,
    "a folder for a file": a_folder,
    "a pipe that nobody writes to": a_pipe,
    "code beside the files": extra("__init__.py"),
    "code that Python would import by itself": extra("sitecustomize.py"),
    "a pickle beside the files": extra("model.pkl", pickle.dumps(Evil())),
    "a hidden file": extra(".hidden"),
    "a missing file": lambda folder: (folder / "booster.txt").unlink(),
    "a file that is not declared": undeclared,
    "a manifest of 17 MB": hole("bundle.json", 17 * 2**20),
    "arrays of 9 GB": hole("arrays.npz", 9 * 2**30),
    "a thousand files": manifest(put("files", {f"a{number}.txt": {} for number in range(1000)})),
}
JSON: dict[str, Attack] = {
    "100,000 open brackets": raw("bundle.json", b"[" * 100_000),
    "deep behind a text": raw("bundle.json", b'{"a\\"]": ' + b'{"b": [' * 50_000),
    "a text of quotes that does not end": raw("bundle.json", b'"' + b'\\"' * 2**22),
    "a number of 5,000 digits": raw("bundle.json", b'{"format": ' + b"9" * 5000 + b"}\n"),
    "a parameter of 4,000 digits": manifest(put("model", {"ChurnClassifier": {"num_leaves": 10**4000}})),
    "a number beyond all floats": raw("bundle.json", b'{"format": 1, "metrics": 1e999}\n'),
    "NaN": raw("bundle.json", b'{"format": NaN}\n'),
    "a key twice": twice,
    "a hundred thousand keys": wide,
    "no object": raw("bundle.json", b"[]\n"),
    "something after the end": lambda folder: raw("bundle.json", (folder / "bundle.json").read_bytes() + b"{}")(folder),
    "UTF-16": encoded("utf-16"),
    "a byte order mark": encoded("utf-8-sig"),
    "no UTF-8": raw("bundle.json", b'{"format": "\xff\xfe"}\n'),
    "an empty manifest": raw("bundle.json", b""),
    "a format of the future": manifest(put("format", 999)),
    "format true": manifest(put("format", True)),
    "format -1": manifest(put("format", -1)),
    "format 1.5": manifest(put("format", 1.5)),
}
ARRAYS: dict[str, Attack] = {
    "a deflate bomb": bomb,
    "a pickle in place of arrays": known("arrays.npz", pickle.dumps(Evil())),
    "a pickle in place of a text": known("booster.txt", pickle.dumps(Evil())),
    "an array of objects": npz(lambda members: members.__setitem__("calibration.npy", objects())),
    "a pickle inside the archive": npz(lambda members: members.__setitem__("calibration.npy", pickle.dumps(Evil()))),
    "a shape of 8 exabytes": declared("(1000000000000000000,)"),
    "a shape of no rows and endless columns": declared("(0, 4611686018427387904)", body=b""),
    "a shape beyond 64 bits": declared("(18446744073709551617,)", body=b""),
    "a negative shape": declared("(-2,)"),
    "a shape of a hundred dimensions": declared("(" + "1, " * 99 + "1)", body=bytes(8)),
    "a shape that is code": declared("(__import__('os').system('id'),)"),
    "columns before rows": declared("(2,)", order="True"),
    "a structured type": declared("(1,)", kind="[('a', '<f8'), ('b', 'O')]"),
    "texts of 2 GB each": declared("(0,)", kind="<U500000000", body=b""),
    "no characters": declared("(1,)", kind="<U1", body=b"\xff\xff\xff\x7f"),
    "a header of another version": npz(
        lambda members: members.__setitem__(
            "calibration.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(16), b"\x02\x00")
        )
    ),
    "a member that leads out": npz(lambda members: members.__setitem__("../evil.npy", members["calibration.npy"])),
    "arrays that overlap": overlapping,
    "arrays of another compression": npz(lambda members: None, zipfile.ZIP_LZMA),
    "an encrypted member": marked(8, b"\x01\x00"),
    "a member of 4 GB": marked(20, b"\xfe\xff\xff\xff\xfe\xff\xff\xff"),
    "a member that begins beyond the file": marked(42, b"\xf0\xff\xff\x7f"),
    "half an archive": cut("arrays.npz", 0.5),
    "an empty archive": known("arrays.npz", b"PK\x05\x06" + bytes(18)),
}
