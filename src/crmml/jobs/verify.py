"""`verify`: are the scores in a folder whole, proven, and still what was written?"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmml.data.counting import count_distinct
from crmml.data.files import as_path
from crmml.errors import ConfigError, DataError
from crmml.jobs.part_files import KEYS, METADATA, SCORES, SUCCESS, digest_of_file, proof_of

_AGAIN = "Do not use these scores: run the scoring job again."
# What `_SUCCESS.json` says -> the kind it must have.
_SAID = {
    "model_id": str,
    "as_of": list,
    "fingerprint": str,
    "rows": int,
    "customers": int,
    "distinct": int,
    "files": dict,
}


@dataclass(frozen=True)
class Verified:
    """What `verify` has proven of a folder of scores.

    Attributes:
        path: the scores: a file, or the folder of several.
        model_id, fingerprint: of the bundle, and of all that was scored with what.
        as_of: the cutoffs.
        rows, customers: how many there are, counted again.
        bytes: size of all files.

    >>> at = pd.Timestamp("2024-09-01", tz="UTC")
    >>> path = Path("scores.parquet")
    >>> Verified(path, "0" * 12, "f" * 64, (at,), rows=20, customers=10, bytes=4096).customers
    10
    """

    path: Path
    model_id: str
    fingerprint: str
    as_of: tuple[pd.Timestamp, ...]
    rows: int
    customers: int
    bytes: int


def verify(folder: str | Path) -> Verified:
    """Read everything in a folder of `score` again, and compare it with what the job proved.

    Every byte is compared with the digest in `_SUCCESS.json`, every page with its checksum, the number of rows,
    customers and distinct keys with those counted when they were written, the metadata with the proof,
    and the proof with its own digest.

    Args:
        folder: what `score` was given as `out`.

    Returns:
        What was found, once all of it agrees.

    Raises:
        ConfigError: there is no such folder.
        DataError: a file is missing or damaged, or they do not belong together; what to do about it.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> path = cm.score(bundle, log, "2024-09-01", out=tempfile.mkdtemp())
    >>> found = cm.verify(path.parent)
    >>> found.rows == found.customers == len(pd.read_parquet(path))
    True
    """
    place = as_path(folder, "verify: folder")
    if not place.is_dir():
        raise ConfigError(f"verify: there is no folder {place}. Give the folder that score() wrote to.")
    proof, path = read_proof(place), place / SCORES
    files = _files(place, proof)
    rows = customers = distinct = 0
    for file, digest in files.items():
        keys = _checked(file, digest, proof)
        rows += len(keys)
        distinct += int((~keys.duplicated()).sum())
        customers += int(keys["customer_id"].nunique())
    _compare(path, {"rows": rows, "customers": customers, "distinct": distinct}, proof)
    found = customers if len(files) == 1 else count_distinct(list(files), "customer_id")
    if rows != distinct or found != customers:
        twice = f"of {rows} rows only {distinct}" if rows != distinct else f"of {customers} customers only {found}"
        raise DataError(f"{path}: {twice} are distinct, although {SUCCESS} is there. {_AGAIN}")
    if (place / SUCCESS).read_bytes() != proof_of(proof):  # last: what is wrong in particular has been said by now
        raise DataError(f"{place / SUCCESS}: has been changed: its digest does not match. {_AGAIN}")
    return Verified(
        path=path,
        model_id=proof["model_id"],
        fingerprint=proof["fingerprint"],
        as_of=tuple(pd.Timestamp(moment) for moment in proof["as_of"]),
        rows=rows,
        customers=customers,
        bytes=sum(file.stat().st_size for file in files),
    )


def _files(place: Path, proof: dict[str, Any]) -> dict[Path, str]:
    """The files that the proof is about, with their digests; no other may stand among them."""
    found = {}
    for name, digest in proof["files"].items():
        file = place / name
        if not isinstance(digest, str) or not (name == SCORES or Path(name).parent == Path(SCORES)):
            raise DataError(f"{place / SUCCESS}: says {name!r}, which is no file of scores. {_AGAIN}")
        if not file.is_file():
            raise DataError(f"{file}: is missing, although {SUCCESS} is there. {_AGAIN}")
        found[file] = digest
    path = place / SCORES
    if path.is_dir():
        others = sorted(file for file in path.iterdir() if file.name[0] not in "._" and file not in found)
        if others:
            raise DataError(f"{others[0]}: is none of the files that {SUCCESS} names. {_AGAIN}")
    return found


def _checked(file: Path, digest: str, proof: dict[str, Any]) -> pd.DataFrame:
    """The keys of one file, once its bytes, its pages and its metadata agree with the proof."""
    found = digest_of_file(file)
    if found != digest:
        raise DataError(f"{file}: has been changed: its SHA-256 is {found[:12]}..., not {digest[:12]}.... {_AGAIN}")
    keys, metadata = _read(file)
    said = {
        "model_id": metadata.get("model_id"),
        "fingerprint": metadata.get("fingerprint"),
        "as_of": json.loads(metadata.get("as_of", "null")),
    }
    _compare(file, said, proof)
    return keys


def read_proof(folder: Path) -> dict[str, Any]:
    """What the job in a folder said when it was done.

    Raises:
        DataError: it has said nothing, or nothing that can be understood.
    """
    path = folder / SUCCESS
    if not path.is_file():
        raise DataError(f"{path}: is missing: the job is not done, or it was killed. Wait for it, or run it again.")
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). {_AGAIN}") from None
    wrong = [key for key, kind in _SAID.items() if not isinstance(said, dict) or not isinstance(said.get(key), kind)]
    if wrong:
        raise DataError(f"{path}: does not say {wrong[0]!r}. {_AGAIN}")
    proven: dict[str, Any] = said
    return proven


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The keys and the metadata of a file all of whose pages were checked."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}). {_AGAIN}") from error
    raw = table.schema.metadata or {}
    own = {key.decode().removeprefix(METADATA): raw[key].decode() for key in raw if key.startswith(METADATA.encode())}
    return table.select([name for name in KEYS if name in table.column_names]).to_pandas(), own


def _compare(path: Path, found: dict[str, Any], proof: dict[str, Any]) -> None:
    for key, value in found.items():
        if value != proof[key]:
            raise DataError(f"{path}: {key} is {value!r}, but {SUCCESS} says {proof[key]!r}. {_AGAIN}")
