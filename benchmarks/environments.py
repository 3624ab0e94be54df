"""Interpreters for peers whose packages cannot live beside ours: virtual environments, made when asked for."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.events import cache_folder
from benchmarks.peers import PEERS


def interpreter(peer: str) -> Path:
    """The interpreter that a peer runs in; its environment is made at the first call, which downloads packages."""
    if peer not in PEERS or not PEERS[peer].apart:
        return Path(sys.executable)
    return environment(peer, PEERS[peer].packages)


def environment(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with these packages.

    Raises:
        subprocess.CalledProcessError: they cannot be installed.
    """
    home = cache_folder() / f"venv-{name}"
    python = home / "bin" / "python"
    ready = home / ".ready"
    if not ready.exists() or ready.read_text() != "\n".join(packages):
        print(f"{name}: installing {', '.join(packages)} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages]
        subprocess.run(install, check=True)
        ready.write_text("\n".join(packages))
    return python
