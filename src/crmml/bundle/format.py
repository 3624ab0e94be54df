"""The files of a bundle: `bundle.json`, texts, one `arrays.npz`; digests cover them all. See docs/bundle.md.

Reading trusts nothing. Each file is opened once, without following links; its bytes are hashed, and the same
bytes are parsed, because some parsers behind this one end the process on damaged text. Nothing is unpickled,
compressed data is refused (it can be a bomb), and every array says its type and shape in a header that is
matched, not evaluated.
"""

import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from crmml.errors import BundleError

FORMAT = 2  # 2 may hold reference distributions; what format 1 holds means the same in it
MANIFEST = "bundle.json"
ARRAYS = "arrays.npz"
MAX_JSON_BYTES = 16 * 2**20
MAX_FILE_BYTES = 8 * 2**30
MAX_FILES = 32
MAX_DEPTH = 32
_NOT_IDENTITY = ("crmml", "packages", "model_id", "metrics")

# What can move a score in its last digits: their versions are written down, for who has to find out.
_PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "implicit")
_TEXT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.txt")
_ARRAY_NAME = re.compile(r"[a-z][a-z0-9_.]{0,127}")
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)
_NPY_START = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(
    r"\{'descr': '(?P<type>\|b1|[|<][iu]1|<[iu][248]|<f[48]|<U[1-9]\d{0,8})', 'fortran_order': False, "
    r"'shape': \((?P<shape>|\d+,|\d+(?:, \d+)+)\), \} *\n"
)
_LAST_CHARACTER = 0x10FFFF
_AGAIN = "Copy the bundle again from where it was made, or train it anew."


@dataclass(frozen=True)
class Content:
    """What a bundle's files say: the JSON document (without digests), the texts and the arrays by name."""

    document: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """The installed versions of what can move a score in its last digits."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def encode(content: Content) -> dict[str, bytes]:
    """The bytes of every file, by file name: the same content always gives the same bytes.

    Raises:
        BundleError: something in it has no place in a bundle, such as an array of objects.
    """
    files = _encode_files(content)
    manifest = {
        "format": FORMAT,
        **_plain(content.document, "bundle"),
        "arrays": list(content.arrays),
        "files": {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in files.items()},
        "digest": "",
    }
    manifest["digest"] = _digest(manifest)
    files[MANIFEST] = _canonical(manifest)
    if len(files[MANIFEST]) > MAX_JSON_BYTES:
        raise BundleError(
            f"bundle: {MANIFEST} would have {len(files[MANIFEST])} bytes, more than {MAX_JSON_BYTES}. "
            "Keep long lists of a model's state in arrays."
        )
    return files


def identity(content: Content) -> str:
    """The digest of all that decides a score: the definitions and the model, not versions, metrics or probe."""
    document = {key: value for key, value in content.document.items() if key not in _NOT_IDENTITY}
    files = {name: _sha256(data) for name, data in _encode_files(content).items()}
    return _sha256(_canonical([_plain(document, "bundle"), files]))


def _encode_files(content: Content) -> dict[str, bytes]:
    files = {f"{name}.txt": text.encode() for name, text in content.texts.items()}
    for name in files:
        if not _TEXT_NAME.fullmatch(name):
            raise BundleError(f"bundle: {name!r} cannot be a file name. Use small letters, digits and '_'.")
    return files | ({ARRAYS: _encode_arrays(content.arrays)} if content.arrays else {})


def read(folder: Path) -> Content:
    """The content of a bundle's folder, after every check that needs no knowledge of models.

    Raises:
        BundleError: a file is missing, added, changed, a link, too large, or of a newer format.
    """
    if not folder.is_dir():
        if str(folder).startswith(("models:", "runs:")):
            raise BundleError(
                f"{folder}: is the URI of a tracked model, not a folder. Use load_bundle({str(folder)!r})."
            )
        raise BundleError(f"{folder}: there is no such folder. Give the folder that Bundle.save() wrote.")
    found = {entry.name for entry in os.scandir(folder)}
    if MANIFEST not in found:
        raise BundleError(f"{folder}: is no bundle, it has no {MANIFEST}. Give the folder that Bundle.save() wrote.")
    where = folder / MANIFEST
    manifest = _parse_manifest(_read_once(where, MAX_JSON_BYTES), where)
    declared: dict[str, Any] = manifest["files"]
    _check_names(folder, found, declared, where)
    data = {name: _read_declared(folder / name, declared[name], where) for name in declared}
    arrays = _decode_arrays(data.pop(ARRAYS), manifest["arrays"], folder / ARRAYS) if ARRAYS in data else {}
    if sorted(arrays) != sorted(manifest["arrays"]):
        raise _wrong(where, "lists arrays that are not there")
    texts = {name.removesuffix(".txt"): _text(raw, folder / name) for name, raw in data.items()}
    document = {key: value for key, value in manifest.items() if key not in ("arrays", "files", "digest")}
    return Content(_unplain(document), texts, arrays)


# bundle.json ----------------------------------------------------------------------------------------------


def _parse_manifest(raw: bytes, where: Path) -> dict[str, Any]:
    text = _text(raw, where)
    _check_depth(text, where)
    try:
        manifest = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise _wrong(where, f"is not JSON ({error})") from None
    if not isinstance(manifest, dict):
        raise _wrong(where, "is not a JSON object")
    _check_format(manifest.get("format"), where)
    if not _is_as_written(manifest, raw):
        raise _wrong(where, "has been changed: its digest does not match")
    arrays, files = manifest.get("arrays"), manifest.get("files")
    if not (isinstance(arrays, list) and all(isinstance(name, str) for name in arrays)):
        raise _wrong(where, "has no list of 'arrays'")
    if not (isinstance(files, dict) and len(files) <= MAX_FILES):
        raise _wrong(where, f"has no mapping of at most {MAX_FILES} 'files'")
    return manifest


def _is_as_written(manifest: dict[str, Any], raw: bytes) -> bool:
    """Whether `raw` is the one text that says `manifest` (no key twice, no other spelling), digest and all."""
    try:
        return _canonical(manifest) == raw and manifest.get("digest") == _digest(manifest)
    except ValueError:  # a number such as 1e999, which is read as infinity
        return False


def _check_depth(text: str, where: Path) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            raise _wrong(where, f"is nested deeper than {MAX_DEPTH} levels")


def _check_format(number: object, where: Path) -> None:
    if type(number) is not int or number < 1:
        raise _wrong(where, f"has no format number (found {number!r})")
    if number > FORMAT:
        raise BundleError(
            f"{where}: format {number} is newer than {FORMAT}, the newest format that this version of crmml "
            "reads. Upgrade with: pip install --upgrade crmml"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _canonical(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _digest(manifest: Mapping[str, Any]) -> str:
    return _sha256(_canonical({**manifest, "digest": ""}))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any, where: str) -> Any:
    """`value` as JSON can hold it; JSON has no NaN and no infinity, they become {"float": "nan"}."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value) and not _is_tagged(value):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise BundleError(
        f"{where}: {value!r} has no place in a bundle. "
        "Use numbers, texts, True, False, None, and lists and dicts of them."
    )


def _unplain(value: Any) -> Any:
    if isinstance(value, list):
        return [_unplain(item) for item in value]
    if isinstance(value, dict):
        if _is_tagged(value):
            return float(value["float"])
        return {key: _unplain(item) for key, item in value.items()}
    return value


def _is_tagged(value: dict[str, Any]) -> bool:
    return set(value) == {"float"} and value["float"] in ("nan", "inf", "-inf")


# Files ----------------------------------------------------------------------------------------------------


def _check_names(folder: Path, found: set[str], declared: Mapping[str, Any], where: Path) -> None:
    for name in declared:
        if name != ARRAYS and not _TEXT_NAME.fullmatch(name):
            raise _wrong(where, f"names a file {name!r} that a bundle cannot have")
        if name not in found:
            raise _wrong(folder / name, "is missing")
    extra = sorted(found - set(declared) - {MANIFEST})
    if extra:
        raise BundleError(f"{folder / extra[0]}: does not belong to the bundle. Remove it, or copy the bundle again.")


def _read_declared(path: Path, declared: Any, where: Path) -> bytes:
    if not isinstance(declared, dict) or set(declared) != {"bytes", "sha256"}:
        raise _wrong(where, f"has no size and digest for {path.name}")
    raw = _read_once(path, MAX_FILE_BYTES)
    if len(raw) != declared["bytes"] or _sha256(raw) != declared["sha256"]:
        raise _wrong(path, "has been changed: its digest does not match")
    return raw


def _read_once(path: Path, limit: int) -> bytes:
    """All bytes of a regular file that is not a link; one open, so that what is hashed is what is parsed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _wrong(path, "is not a regular file")
            if status.st_size > limit:
                raise _wrong(path, f"has {status.st_size} bytes, more than {limit}")
            return file.read(status.st_size + 1)  # not limit + 1: Python would ask for so much memory at once
    except OSError as error:
        if path.is_symlink():
            raise _wrong(path, "is a link") from None
        raise _wrong(path, f"cannot be read ({error.strerror})") from None


def _text(raw: bytes, where: Path) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _wrong(where, f"is not UTF-8 ({error.reason} at byte {error.start})") from None


def _wrong(where: Path, what: str) -> BundleError:
    return BundleError(f"{where}: {what}. {_AGAIN}")


# arrays.npz -----------------------------------------------------------------------------------------------


def _encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An uncompressed .npz that np.load reads too, without the times of day that np.savez may write."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, _storable(name, array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), member.getvalue())
    return buffer.getvalue()


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
    header = f"{{'descr': '{little.dtype.str}', 'fortran_order': False, 'shape': (1,), }}\n"
    if not _ARRAY_NAME.fullmatch(name) or not _NPY_HEADER.fullmatch(header):
        raise BundleError(
            f"bundle: an array {name!r} of type {array.dtype} has no place in a bundle. "
            "Use booleans, integers, float32, float64 or texts, and a name of small letters, digits and '_'."
        )
    return little


def _decode_arrays(raw: bytes, names: list[str], where: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if [member.filename for member in members] != [f"{name}.npy" for name in names]:
                raise _wrong(where, "does not hold the arrays that bundle.json lists")
            _check_uncompressed(members, len(raw), where)
            return dict(zip(names, _read_members(archive, members, where), strict=True))
    except (
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        if isinstance(error, BundleError):
            raise
        raise _wrong(where, f"is not an archive of arrays ({error})") from None


def _check_uncompressed(members: list[zipfile.ZipInfo], size: int, where: Path) -> None:
    """Uncompressed members that do not overlap cannot be larger than the file."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise _wrong(where, "is compressed")
    if sum(member.file_size for member in members) > size:
        raise _wrong(where, "declares more data than it has")


def _read_members(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], where: Path) -> Iterator[np.ndarray]:
    for member in members:
        array = _parse_npy(archive.read(member))
        if array is None:
            raise _wrong(where, f"holds no plain array in {member.filename}")
        yield array


def _parse_npy(raw: bytes) -> np.ndarray | None:
    """The array of a .npy file of version 1; None where it is not one. numpy would evaluate the header."""
    start = len(_NPY_START) + 2
    if not raw.startswith(_NPY_START) or len(raw) < start:
        return None
    end = start + int.from_bytes(raw[start - 2 : start], "little")
    header = _NPY_HEADER.fullmatch(raw[start:end].decode("latin1"))
    if header is None:
        return None
    shape = tuple(int(size) for size in header["shape"].replace(",", " ").split())
    kind = np.dtype(header["type"])
    body = raw[end:]
    if math.prod(shape) * kind.itemsize != len(body):
        return None
    array = np.frombuffer(body, dtype=kind).reshape(shape).copy()  # a copy: models may write into it
    if kind.kind == "U" and array.size and array.reshape(-1).view("<u4").max() > _LAST_CHARACTER:
        return None
    return array
