"""Canaries: personal data planted in a log, and every place that a job writes to searched for them.

A canary is a word that stands nowhere else. Names, phones, mails and ids each have their own; the whole way from the
log to monitoring is gone once in a child, which prints, warns, logs, writes and fails wherever it can.
"""

import base64
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CANARIES = {
    "id": "quokka",  # in every customer_id
    "name": "Quillfeather",
    "mail": "numbat.example",
    "phone": "170-555-0199",
    "event": "axolotl",  # in every event_id
}
_ZSTD = b"\x28\xb5\x2f\xfd"
_PNG = b"\x89PNG\r\n\x1a\n"
_DEEPEST = 4


def words_in(data: bytes) -> set[str]:
    """Which canaries these bytes hold: as UTF-8 or UTF-16, in any case, in base64 or hexadecimal, or packed."""
    return {kind for kind, word in CANARIES.items() if any(_holds(part, word) for part in _unpacked(data, 0))}


def _holds(data: bytes, word: str) -> bool:
    small = data.lower()
    if any(word.lower().encode(code) in small for code in ("utf-8", "utf-16-le", "utf-32-le")):
        return True
    raw = word.encode()
    # Of the three ways in which base64 can cut a word, the part that does not depend on what stands around it.
    cut = [base64.b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] :].rstrip(b"=")[:-1] for shift in range(3)]
    return raw.hex().encode() in small or any(part in data for part in cut)


def _unpacked(data: bytes, depth: int) -> Iterator[bytes]:
    """The bytes themselves, and what is packed inside: zip members, gzip streams, Parquet columns, texts of a PNG."""
    yield data
    if depth >= _DEEPEST:
        return
    inner: list[bytes] = []
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner += [archive.read(name) for name in archive.namelist()]
    elif data[:4] == b"PAR1":
        inner += _parquet(data)
    elif data.startswith(_PNG):
        inner += _png(data)
    elif data[:2] == b"\x1f\x8b":
        inner.append(zlib.decompress(data, 31))
    for found in re.findall(rb"base64,([A-Za-z0-9+/=]{40,})", data):  # pictures in a page
        inner.append(base64.b64decode(found))
    for part in inner:
        yield from _unpacked(part, depth + 1)


def _parquet(data: bytes) -> list[bytes]:
    """Every column but the ids as text, the schema, and the statistics of the footer without those of the ids."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    table = file.read().drop_columns([name for name in ("customer_id",) if name in file.schema_arrow.names])
    metadata = [key + b"=" + value for key, value in (file.schema_arrow.metadata or {}).items()]
    return [str(table.to_pydict()).encode(), *metadata]


def _png(data: bytes) -> list[bytes]:
    """The texts of a picture: tEXt, zTXt and iTXt chunks, unpacked."""
    found, place = [], len(_PNG)
    while place + 8 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + size]
        if kind in (b"tEXt", b"iTXt", b"zTXt"):
            found.append(body)
            packed = body.find(b"\x78")
            if packed >= 0:
                with suppress(zlib.error):
                    found.append(zlib.decompressobj().decompress(body[packed:]))
        place += 12 + size
    return found


def searched(sinks: dict[str, list[bytes]]) -> dict[str, set[str]]:
    """For every sink the canaries that were found in it."""
    return {name: set().union(*map(words_in, parts)) if parts else set() for name, parts in sinks.items()}


def files_below(folder: Path, pattern: str) -> list[bytes]:
    """The bytes of all files below a folder whose path matches."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and re.search(pattern, str(path))]


def sinks_of(root: Path, printed: str) -> dict[str, list[bytes]]:
    """Every place that was written to, by name: what `journey` kept, printed or left as files."""
    said = {path.stem: [path.read_bytes()] for path in sorted((root / "said").iterdir())}
    return {
        **said,
        "standard output and standard error": [printed.encode()],
        "pages (HTML)": files_below(root, r"\.html$"),
        "pictures (PNG)": files_below(root / "pictures", r"\.png$"),
        "bundle.json": files_below(root / "bundle", r"bundle\.json$"),
        "texts of a bundle (boosters)": files_below(root / "bundle", r"\.txt$"),
        "arrays of a bundle": files_below(root / "bundle", r"\.npz$"),
        "MLflow's database": files_below(root / "store", r"mlflow\.db"),
        "MLflow's artifacts": files_below(root / "store" / "mlruns", r"."),
        "scores (Parquet), all but customer_id": [
            part for data in files_below(root, r"scores/.*\.parquet$") for part in _parquet(data)
        ],
        "proofs of scores": files_below(root, r"_SUCCESS\.json$"),
        "notes of parts": files_below(root, r"_parts\.json$"),
        "manifest of a prepared log": files_below(root / "prepared", r"\.json$"),
        "locks and hidden files": files_below(root, r"/\.[^/]*$"),
        "configuration of a job": files_below(root, r"job\.yaml$"),
        "definitions of a recommender's bundle": files_below(root / "lists", r"bundle\.json$"),
    }


def metadata_of(root: Path) -> bytes:
    """Schema and footer metadata of every file of scores."""
    import pyarrow.parquet as pq

    found = []
    for path in root.rglob("scores/**/*.parquet"):
        if path.is_file():
            found += [repr(pq.read_schema(path).metadata)]
    return "\n".join(found).encode()


# What holds ids because it has to: it is searched as well, so that the search is known to find them.
INTENDED = {
    "scores (Parquet)": r"/scores.*\.parquet$",
    "arrays of a recommender": r"/lists/arrays\.npz$",
    "a prepared log": r"/prepared/.*\.parquet$",
}
