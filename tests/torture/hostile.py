"""Every hostile bundle is loaded in a child of its own, which says what it heard; here it is judged."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bundle.bundles import saved
from tests.torture.hostile_files import ARRAYS, FILES, JSON, Attack
from tests.torture.hostile_models import BOOSTER, BUILT, LISTS, STATES
from tests.torture.nursery import Nursery, Outcome

ATTACKS: dict[str, Attack] = {**FILES, **JSON, **ARRAYS, **BUILT, **BOOSTER, **STATES, **LISTS}
# What says nothing about scores may be strange: it is loaded, and does nothing either.
HARMLESS = {
    *("a parameter of 4,000 digits", "a hundred thousand keys"),
    *("MLflow: a model that is a script", "MLflow: a pickled model"),
}
# What one bundle may cost: none of these is larger than what a bundle honestly needs, or it is refused before.
MOST_SECONDS = 10.0
MOST_MEMORY = 400 * 2**20


def made(root: Path) -> Mapping[str, Path]:
    """The two good bundles that are damaged: one of tables, one of lists."""
    return {kind: saved(kind, root) for kind in ("churn", "als")}


def attacked(good: Mapping[str, Path], root: Path, every: int = 1) -> Iterator[tuple[str, Path]]:
    """One after the other: the name of an attack, and the folder it was done to; the folder goes afterwards."""
    for number, (name, attack) in enumerate([*ATTACKS.items()][::every]):
        place = root / f"{number:03}"
        place.mkdir()
        (place / "secret.txt").write_text("the secret beside the bundle")
        folder = place / "bundle"
        shutil.copytree(good["als" if name in LISTS else "churn"], folder)
        attack(folder)
        yield name, folder
        shutil.rmtree(place)


def problem_of(name: str, outcome: Outcome) -> str:
    """What a hostile bundle managed to do; "" where it was refused, and nothing else happened."""
    if outcome.status:
        return f"ended the process with {outcome.status}: {outcome.output[-500:]}"
    found: dict[str, Any] = outcome.answer
    if found["kind"] != ("loaded" if name in HARMLESS else "refused") or not found["said"].strip():
        return f"was {found['kind']}: {found['said'][:300]}"
    if found["events"]:
        return f"made this happen: {found['events'][:3]}"
    if found["cpu"] > MOST_SECONDS or found["grown"] > MOST_MEMORY:
        return f"took {found['cpu']:.1f} s and {found['grown'] / 2**20:.0f} MB"
    return ""


def warmed(nursery: Nursery, good: Mapping[str, Path]) -> None:
    """Everything that honest bundles make Python import is imported: from now on, no code at all needs to run."""
    for folder in good.values():
        nursery.warm("load_once", str(folder))


def run(nursery: Nursery, root: Path, every: int = 1) -> dict[str, str]:
    """Load every hostile bundle (or one of so many); what each of them managed to do, "" where nothing."""
    good = made(root / "good")
    warmed(nursery, good)
    found = {}
    for name, folder in attacked(good, root, every):
        found[name] = problem_of(name, nursery.one("load", str(folder), str(folder)))
    return found
