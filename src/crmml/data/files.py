"""Writing that is whole or absent: temporary name, flush, fsync, rename, fsync of the folder.

A process that is killed half-way leaves the old file, or none, and at most a hidden temporary file beside it
(`.<name>.<random>.tmp`), which `remove_leftovers` removes.
"""

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from crmml.errors import ConfigError, DataError

if sys.platform != "win32":
    import fcntl

# The longest name that common file systems take, in bytes.
MAX_NAME = 255
_PROBE = "writable"
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100


def as_path(path: object, what: str) -> Path:
    """`path` as a Path.

    Raises:
        ConfigError: it is nothing that a file can be called.

    >>> as_path("bundles/churn", "save").name
    'churn'
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ConfigError(f"{what}: {path!r} is not a path. Use a text, for example 'bundles/churn'.")
    if any(len(part.encode("utf-8", "surrogatepass")) > MAX_NAME for part in Path(text).parts):
        raise ConfigError(f"{what}: {text[:40] + '...'!r} is too long for a file's name. Use at most {MAX_NAME} bytes.")
    return Path(text)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises ConfigError where the folder cannot be written to, DataError where writing fails later (disk full).

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_bytes(file, b"whole")
    >>> file.read_bytes()
    b'whole'
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, it becomes `path`.

    Where the block raises, the temporary file is removed and `path` is as it was. An `OSError` of the writing
    itself is raised as DataError (ConfigError where the folder cannot be written to at all).

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "table.csv"
    >>> with atomic_file(file) as temporary:
    ...     _ = temporary.write_text("a,b")
    ...     file.exists()
    False
    >>> file.read_text()
    'a,b'
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError(f"{target}: is a folder, not a file. Give a file in it, like {target / 'out'}.")
    check_writable(target.parent)
    temporary = _temporary(target)
    with _cleaned_up(target, lambda: temporary.unlink(missing_ok=True)):
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; when the block ends well, it takes the place of `path`.

    A folder that is already there is exchanged in one step where the system can (Linux), else moved aside
    first, and then removed. What may be replaced is for the caller to decide, before the work starts. Temporary folders
    that processes left which were killed here are removed; those of others that are at work stay.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "bundle"
    >>> with atomic_folder(folder) as temporary:
    ...     _ = (temporary / "a.txt").write_text("a")
    ...     folder.exists()
    False
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    target = Path(path)
    if target.is_file():
        raise ConfigError(f"{target}: is a file, not a folder. Give another name, or remove it.")
    check_writable(target.parent)
    temporary = _temporary(target)
    with _cleaned_up(target, lambda: shutil.rmtree(temporary, ignore_errors=True)), _held(temporary):
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        _replace_folder(temporary, target)
        _sync(target.parent)
    # Only now: before, what a killed process left could be the only whole copy of the old.
    _remove_abandoned(target)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make a folder and hold it: one that nobody holds was left by a process that was killed."""
    handle = -1
    while handle < 0:
        folder.mkdir()
        if sys.platform == "win32":
            break
        with suppress(FileNotFoundError):  # between the two lines, another process took it for abandoned
            handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            with suppress(OSError):  # a file system without locks: then nobody removes what is abandoned either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not folder.exists():
                os.close(handle)
                handle = -1
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary folders beside `target` that nobody holds any more, as far as the disk lets."""
    remove_leftovers(target.with_name(_PROBE))  # whoever made it does not miss it
    if sys.platform == "win32":
        return
    for left in _leftovers(target):
        with suppress(OSError):
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(left)
            finally:
                os.close(handle)


def check_writable(folder: str | Path) -> None:
    """Make `folder` if it is absent, and prove by doing it that a file can be written there.

    Raises ConfigError otherwise: asked for before the expensive work starts.

    >>> check_writable("/dev/null/scores")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: /dev/null/scores: cannot write there (Not a directory). Give a folder that you \
may write to, like ./scores.
    """
    place = Path(folder)
    probe = _temporary(place / _PROBE)
    try:
        place.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("xb"):
                pass
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        reason = "is a file" if place.is_file() else _reason(error)
        raise ConfigError(
            f"{place}: cannot write there ({reason}). Give a folder that you may write to, like ./scores."
        ) from error


@contextmanager
def lock(path: str | Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` during the block: one process at a time.

    With `wait`, the others wait; without, they get a DataError. The system lets go of the lock when a process
    dies, so that none is left behind; the empty file stays (removing it would let two processes in). On
    Windows there is no lock.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / ".lock"
    >>> with lock(file):
    ...     with lock(file):
    ...         pass  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    crmml.errors.DataError: ...: another process is writing there. Wait until it has ended, or ...
    """
    file = Path(path)
    check_writable(file.parent)
    with _cleaned_up(file, lambda: None):
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if sys.platform != "win32":
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise DataError(
                    f"{file.parent}: another process is writing there. Wait until it has ended, or give another folder."
                ) from error
        yield
    finally:
        os.close(handle)


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary files that killed processes left beside `path`: only for who holds its `lock`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "table.csv"
    >>> _ = file.with_name(".table.csv.0123456789abcdef.tmp").write_text("half")
    >>> remove_leftovers(file)
    >>> list(file.parent.iterdir())
    []
    """
    for left in _leftovers(Path(path)):
        remove_tree(left)


def replace_path(new: str | Path, target: str | Path) -> None:
    """Put a file or folder, all of whose content is on the disk, in the place of `target`, which is then removed.

    A reader finds the old one or the new one, whole. Both stand on one file system. Raises DataError where the disk
    refuses.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "old").write_text("a file"), (folder / "new").mkdir()
    >>> replace_path(folder / "new", folder / "old")
    >>> (folder / "old").is_dir(), (folder / "new").exists()
    (True, False)
    """
    source, place = Path(new), Path(target)
    with _cleaned_up(place, lambda: None):
        if source.is_dir() or place.is_dir():
            _replace_folder(source, place)
        else:
            source.replace(place)
        _sync(place.parent)


def remove_tree(path: str | Path) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as the disk lets; nothing where it is absent.

    >>> remove_tree("/nowhere")
    """
    place = Path(path)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        _quietly(lambda: place.unlink(missing_ok=True))


@contextmanager
def _cleaned_up(target: Path, remove: Callable[[], object]) -> Iterator[None]:
    """Run `remove` when the block raises, and turn an OSError into a DataError that names `target`."""
    try:
        yield
    except OSError as error:
        _quietly(remove)
        raise DataError(
            f"{target}: writing failed ({_reason(error)}). No half-written file is left. "
            "Free space or repair the disk, and run it again."
        ) from error
    except BaseException:
        _quietly(remove)
        raise


def _quietly(remove: Callable[[], object]) -> None:
    """Clean up; a disk that also refuses that must not hide the first error."""
    with suppress(OSError):
        remove()


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")


def _leftovers(target: Path) -> list[Path]:
    return list(target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 16}.tmp"))


def _replace_folder(temporary: Path, target: Path) -> None:
    """Put `temporary` in the place of `target`: a reader finds the old or the new one, no mixture."""
    if not target.exists():
        temporary.rename(target)
        return
    if not _exchange(temporary, target):  # no such call here: for an instant, the name is absent
        aside = _temporary(target)
        target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            aside.rename(target)
            raise
        temporary = aside
    # Before the old goes, the disk has the new under its name.
    _sync(target.parent)
    remove_tree(temporary)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step (Linux: renameat2); False where system or disk cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    return bool(call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _EXCHANGE) == 0)


def _sync(path: Path) -> None:
    """Have the disk confirm a file, or the names in a folder (Windows cannot do the latter)."""
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
