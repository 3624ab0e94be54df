"""Public data sets from where their authors publish them: downloaded once, checked, kept in a cache folder."""

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from crmml.data.files import atomic_file, lock, remove_leftovers
from crmml.errors import ConfigError, DataError

CHUNK = 1 << 16  # bytes
# Far more than any of the data sets has; a server that sends without end must not fill the disk.
LIMIT = 1 << 28  # bytes
TIMEOUT = 30  # seconds without a sign of the server


@dataclass(frozen=True)
class Source:
    """A file within a zip archive on the web: where a data set is downloaded from.

    The digest is that of the file, not of the archive: a publisher may pack the same file anew.

    Args:
        url: of the archive; http or https.
        member: name of the file within the archive.
        sha256: hexadecimal SHA-256 digest of the file.

    >>> from crmml import datasets
    >>> mirror = datasets.Source(
    ...     url="https://mirror.example/online+retail.zip",
    ...     member="Online Retail.xlsx",
    ...     sha256="43465a06f2ccf7c8b5bd2892bc7defb52f97487934fe93b16ae4c3936424676d",
    ... )  # for online_retail(source=mirror)
    """

    url: str
    member: str
    sha256: str


def default_cache() -> Path:
    """The folder in which downloads are kept: `$XDG_CACHE_HOME/crmml`, or `~/.cache/crmml`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crmml"


def download(source: Source, cache: str | Path | None = None, *, progress: bool = True) -> Path:
    """The path of the file of `source` in the folder `cache`, downloaded if it is not there, or not whole.

    The file appears in the folder when its digest has been checked, or not at all.

    Raises:
        ConfigError: the URL is not one of the web, or the folder cannot be written to.
        DataError: the server cannot be reached or does not send the archive; the archive or the digest is wrong.
    """
    if not source.url.startswith(("http://", "https://")):
        raise ConfigError(f"download: {source.url!r} is not an address of the web. Use one like 'https://...'.")
    folder = default_cache() if cache is None else Path(cache)
    target = folder / source.member
    with lock(folder / ".lock", wait=True):
        if not (target.is_file() and _digest(target) == source.sha256):
            remove_leftovers(target)
            with tempfile.TemporaryFile() as archive:
                _receive(source, archive, progress=progress)
                _unpack(source, archive, target)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(source: Source, archive: IO[bytes], *, progress: bool) -> None:
    """Write what the server sends to `archive`."""
    from tqdm import tqdm

    # Servers refuse Python's default name; the scheme has been checked.
    request = Request(source.url, headers={"User-Agent": "crmml"})  # noqa: S310
    with _named_faults(source), urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=source.member, disable=not progress, leave=False) as bar:
            for chunk in _chunks(answer):
                archive.write(chunk)
                bar.update(len(chunk))
        if total is not None and archive.tell() != total:
            raise HTTPException(f"the connection ended after {archive.tell():,} of {total:,} bytes")


def _chunks(file: Any) -> Iterator[bytes]:
    received = 0
    while chunk := file.read(CHUNK):
        received += len(chunk)
        if received > LIMIT:
            raise HTTPException(f"more than {LIMIT:,} bytes")
        yield chunk


@contextmanager
def _named_faults(source: Source) -> Iterator[None]:
    """Turn what the network may raise (URLError and timeouts are OSErrors) into one DataError."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is also the answer, which holds the connection
        reason = error.reason if type(error) is URLError else error
        raise DataError(
            f"{source.url}: the download failed ({reason}). Look at the network and its proxy "
            f"(https_proxy), or fetch the archive elsewhere and give the path of '{source.member}' from it."
        ) from error


def _unpack(source: Source, archive: IO[bytes], target: Path) -> None:
    """Move the member from the archive to `target`, if its digest is right."""
    digest = hashlib.sha256()
    with atomic_file(target) as temporary:
        try:
            with (
                zipfile.ZipFile(archive) as packed,
                packed.open(source.member) as file,
                temporary.open("wb") as out,
            ):
                for chunk in _chunks(file):
                    digest.update(chunk)
                    out.write(chunk)
        except KeyError:
            with zipfile.ZipFile(archive) as packed:
                found = ", ".join(repr(name) for name in packed.namelist()[:10])
            raise DataError(
                f"{source.url}: the archive has no file '{source.member}', but {found or 'nothing'}. "
                f"The publisher has changed it: give the path of a '{source.member}' that you have."
            ) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, HTTPException) as error:
            raise DataError(
                f"{source.url}: what was sent is not a whole zip archive ({error}). Try again, or give the path "
                f"of a '{source.member}' that you have."
            ) from error
        if digest.hexdigest() != source.sha256:
            raise DataError(
                f"{source.url}: '{source.member}' has the SHA-256 digest {digest.hexdigest()}, not "
                f"{source.sha256}: it is damaged or not the file that was published. Nothing was kept. Try again, "
                f"or give the path of a '{source.member}' that you trust."
            )
