"""Flipped bits: anywhere in a folder of scores `verify` says so; anywhere in a bundle, loading refuses it."""

import random
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import crmml as cm
from tests.torture.disturb import timed
from tests.torture.nursery import Nursery
from tests.torture.world import SCENARIOS, Tally, World

_AT_A_TIME = 50


def flipped(path: Path, draw: random.Random) -> bytes:
    """Turn one bit of a file, anywhere; the bytes as they were."""
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)
    return whole


def _refusal(check: Callable[[], object]) -> str:
    """What is wrong with how a damaged folder was refused; "" where nothing is."""
    try:
        check()
    except cm.CrmmlError as error:
        return "" if str(error) else "an error without a message"
    except Exception as error:  # noqa: BLE001  (any other is what is looked for)
        return f"{type(error).__name__}: {error}"
    return "nobody noticed"


def files_of(folder: Path) -> list[Path]:
    """Every file of a folder but the lock, and the note by which a killed job goes on: nothing reads it any more."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "_parts.json"))


def scores(world: World, n: int, start: int = 0) -> Tally:
    """A bit of any file of any finished job: files in turn, so that the small ones get as many as the large."""
    draw = random.Random(start)
    folders = [world.root / f"whole-{number}" / "out" for number in range(len(SCENARIOS))]
    places = [(folder, path) for folder in folders for path in files_of(folder)]
    with timed("a flipped bit in scores and their proof") as tally:
        for _, (folder, path) in zip(range(n), cycle(places), strict=False):
            whole = flipped(path, draw)
            problem = _refusal(partial(cm.verify, folder))
            path.write_bytes(whole)
            tally.count({"survived": f"{path.name}: {problem}"} if problem else {})
        for folder in folders:
            cm.verify(folder)
    return tally


def flip_bundles(folders: list[str], n: int, seed: int) -> list[str]:
    """In a child, which a damaged booster could end: the problems of so many flipped bits."""
    draw = random.Random(seed)
    places = [(Path(folder), path) for folder in folders for path in files_of(Path(folder))]
    found = []
    for _ in range(n):
        folder, path = draw.choice(places)
        whole = flipped(path, draw)
        problem = _refusal(partial(cm.Bundle.load, folder))
        path.write_bytes(whole)
        found.append(f"{path.name}: {problem}" if problem else "")
    return found


def bundles(world: World, n: int, start: int = 0) -> Tally:
    """A bit of any file of a bundle of each kind."""
    nursery: Nursery = world.nursery
    folders = [str(path) for path in sorted((world.root / "bundles").iterdir())]
    with timed("a flipped bit in a bundle") as tally:
        for begun in range(0, n, _AT_A_TIME):
            ended = nursery.one("flip_bundles", folders, min(_AT_A_TIME, n - begun), start + begun)
            if ended.status:
                tally.count({"survived": f"loading ended the process: {ended}"})
            for problem in ended.answer or []:
                tally.count({"survived": problem} if problem else {})
    return tally
