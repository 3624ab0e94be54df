"""Files are whole or absent: after every fault and every kill, at every step."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crmml.data.files import as_path, atomic_file, atomic_folder, check_writable, lock, remove_leftovers, write_bytes
from crmml.errors import ConfigError, DataError

# Everything the writers ask of the system, in the places where they ask it.
STEPS = [(os, name) for name in ("fsync", "open")] + [
    (Path, name) for name in ("replace", "rename", "mkdir", "write_bytes")
]


def fail_at(monkeypatch: pytest.MonkeyPatch, n: int, error: OSError) -> list[str]:
    """From now on, the n-th step (from 0) raises `error`; the names of the steps taken are listed."""
    taken: list[str] = []

    def patched(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            taken.append(name)
            if len(taken) == n + 1:
                raise error
            return real(*args, **kwargs)

        return step

    for home, name in STEPS:
        monkeypatch.setattr(home, name, patched(getattr(home, name), name))
    return taken


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "a.txt", b"old")  # the folder is made
    write_bytes(tmp_path / "new" / "a.txt", b"new")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"new"
    assert names(tmp_path / "new") == ["a.txt"]


def test_nothing_is_left_when_the_block_raises(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.txt", b"old")

    def half_a_file() -> None:
        with atomic_file(tmp_path / "a.txt") as temporary:
            temporary.write_bytes(b"half")
            raise KeyError

    def half_a_folder() -> None:
        with atomic_folder(tmp_path / "folder") as temporary:
            (temporary / "b.txt").write_bytes(b"half")
            raise KeyError

    for half in (half_a_file, half_a_folder):
        with pytest.raises(KeyError):
            half()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_before_the_rename_the_bytes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = fail_at(monkeypatch, -1, OSError())
    write_bytes(tmp_path / "a.txt", b"new")
    # open the file, fsync, rename, then the same for the folder that holds the name
    assert taken[-5:] == ["open", "fsync", "replace", "open", "fsync"]


def test_before_a_folder_is_renamed_all_of_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = fail_at(monkeypatch, -1, OSError())
    write_a_folder(tmp_path)
    # two files and the folder that names them, the rename, then the folder above
    assert [step for step in taken if step != "open"][-5:] == ["fsync", "fsync", "fsync", "rename", "fsync"]


def write_a_file(folder: Path) -> None:
    write_bytes(folder / "a.txt", b"new")


def write_a_folder(folder: Path) -> None:
    with atomic_folder(folder / "a") as temporary:
        (temporary / "one.txt").write_bytes(b"new")
        (temporary / "two.txt").write_bytes(b"new")


def content(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def visible(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in content(path).items() if not name.startswith(".")}


STATES: dict[Callable[[Path], None], tuple[dict[str, bytes], dict[str, bytes]]] = {
    write_a_file: ({"a.txt": b"old"}, {"a.txt": b"new"}),
    write_a_folder: ({"a/one.txt": b"old"}, {"a/one.txt": b"new", "a/two.txt": b"new"}),
}


def make(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("write", [write_a_file, write_a_folder])
@pytest.mark.parametrize("existing", [True, False])
def test_a_fault_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, write: Callable[[Path], None], code: int, exchange: bool, existing: bool
) -> None:
    old, new = STATES[write]
    old = old if existing else {}
    for n in range(100):
        folder = tmp_path / str(n)
        make(folder, old)
        folder.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            if not exchange:
                patch.setattr("crmml.data.files._exchange", lambda *names: False)
            taken = fail_at(patch, n, OSError(code, "injected"))
            try:
                write(folder)
            except (ConfigError, DataError) as error:
                message = str(error)
            else:  # done: the fault hit only the clearing away of the old folder, or was not reached
                message = os.strerror(code)
                assert visible(folder) == new
            assert os.strerror(code) in message
            assert visible(folder) in (old, new)
            if len(taken) <= n:
                assert content(folder) == new
                return
    pytest.fail("the steps never end")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.data.test_files import STEPS, write_a_file, write_a_folder

folder, write, n = Path(sys.argv[1]), globals()[sys.argv[2]], int(sys.argv[3])
taken = 0
def patched(real):
    def step(*args, **kwargs):
        global taken
        taken += 1
        if taken == n + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step
for home, name in STEPS:
    setattr(home, name, patched(getattr(home, name)))
write(folder)
"""


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_a_file, write_a_folder])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, write: Callable[[Path], None]) -> None:
    old, new = STATES[write]
    for n in range(100):
        folder = tmp_path / str(n)
        make(folder, old)
        command = [sys.executable, "-c", KILLED, str(folder), write.__name__, str(n)]
        code = subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode
        if code == 0:
            assert n > 4
            assert content(folder) == new
            return
        assert code == -signal.SIGKILL
        assert visible(folder) in (old, new)
        for name in ("a.txt", "a", "writable"):
            remove_leftovers(folder / name)
        assert content(folder) in (old, new)
    pytest.fail("the steps never end")


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError) as caught:
        check_writable(tmp_path / "file")
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot write there (is a file). Give a folder that you may write to, like ./scores."
    )
    with pytest.raises(ConfigError) as caught:
        write_bytes(tmp_path / "file" / "deeper" / "a.txt", b"")
    assert str(caught.value) == (
        f"{tmp_path}/file/deeper: cannot write there (Not a directory). "
        "Give a folder that you may write to, like ./scores."
    )

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        check_writable(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: cannot write there (Permission denied). Give a folder that you may write to, like ./scores."
    )


def test_a_folder_in_the_place_of_a_file_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught, atomic_file(tmp_path / "folder"):
        pytest.fail("the block must not run")
    assert str(caught.value) == (
        f"{tmp_path}/folder: is a folder, not a file. Give a file in it, like {tmp_path}/folder/out."
    )
    with pytest.raises(ConfigError) as caught, atomic_folder(tmp_path / "file"):
        pytest.fail("the block must not run")
    assert str(caught.value) == f"{tmp_path}/file: is a file, not a folder. Give another name, or remove it."


def test_a_full_disk_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught, atomic_file(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "injected")
    assert str(caught.value) == (
        f"{tmp_path}/a.txt: writing failed (No space left on device). No half-written file is left. "
        "Free space or repair the disk, and run it again."
    )


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path / ".lock"):
        with pytest.raises(DataError) as caught, lock(tmp_path / ".lock"):
            pytest.fail("the block must not run")
        assert str(caught.value) == (
            f"{tmp_path}: another process is writing there. Wait until it has ended, or give another folder."
        )
    with lock(tmp_path / ".lock"):
        pass  # let go


def test_a_lock_that_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    broken = OSError(errno.EIO, "injected")

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(".lock"):
            raise broken
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError) as caught, lock(tmp_path / ".lock"):
        pass
    assert str(caught.value) == (
        f"{tmp_path}/.lock: writing failed (Input/output error). No half-written file is left. "
        "Free space or repair the disk, and run it again."
    )


def test_who_waits_gets_the_lock_in_the_end(tmp_path: Path) -> None:
    script = f"""
from crmml.data.files import lock
with lock({str(tmp_path / "l")!r}, wait=True):
    print("in", flush=True)
"""
    with lock(tmp_path / "l"):
        waiting = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=0.5)
    assert waiting.communicate(timeout=30)[0] == "in\n"


def test_a_folder_takes_away_what_killed_writers_left_and_nothing_of_those_who_live(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    killed = "import os, sys; from crmml.data.files import atomic_folder; w = atomic_folder(sys.argv[1]); w.__enter__()"
    subprocess.run([sys.executable, "-c", f"{killed}; os.kill(os.getpid(), 9)", str(target)], check=False)
    (tmp_path / ".other.0123456789abcdef.tmp").mkdir()
    (tmp_path / ".writable.0123456789abcdef.tmp").touch()
    assert len(names(tmp_path)) == 3
    with atomic_folder(target) as living:
        (living / "a").write_text("first")
        with atomic_folder(target) as second:
            (second / "a").write_text("second")
        assert names(tmp_path) == sorted([living.name, ".other.0123456789abcdef.tmp", "bundle"])
        assert (target / "a").read_text() == "second"
    assert names(tmp_path) == [".other.0123456789abcdef.tmp", "bundle"]
    assert (target / "a").read_text() == "first"


def test_leftovers_of_other_names_stay(tmp_path: Path) -> None:
    mine, other = ".a.txt.0123456789abcdef.tmp", ".b.txt.0123456789abcdef.tmp"
    make(tmp_path, {mine: b"", other: b"", ".a.txt.tmp": b""})
    (tmp_path / ".a.txt.fedcba9876543210.tmp").mkdir()
    remove_leftovers(tmp_path / "a.txt")
    assert names(tmp_path) == [".a.txt.tmp", other]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "save: None is not a path. Use a text, for example 'bundles/churn'."),
        (5, "save: 5 is not a path. Use a text, for example 'bundles/churn'."),
        ("", "save: '' is not a path. Use a text, for example 'bundles/churn'."),
        ("a\0b", "save: 'a\\x00b' is not a path. Use a text, for example 'bundles/churn'."),
        ("x" * 256, f"save: '{'x' * 40}...' is too long for a file's name. Use at most 255 bytes."),
    ],
)
def test_what_is_no_path_is_refused(path: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        as_path(path, "save")
    assert str(caught.value) == message


def test_the_longest_name_is_a_path() -> None:
    assert as_path("x" * 255, "save") == Path("x" * 255)
