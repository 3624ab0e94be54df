"""What is disturbed, what it leaves when it is not, and the judge who compares."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import crmml as cm
from tests.torture.nursery import Nursery
from tests.torture.tasks import NEW, OLD

_KEYS = ["customer_id", "as_of", "rank"]


@dataclass
class Tally:
    """How often a kind of fault was tried, and how often each of the promises was kept.

    survived: no process ended but by our own hand, every error was one of ours, and a second run ended well.
    kept: nothing was lost: until the new is proven, the old is there, whole; afterwards all of the new is.
    single: nothing was there twice.
    equal: after the second run, every byte was that of a run that nothing disturbed, and no other file was left.
    """

    fault: str
    tried: int = 0
    survived: int = 0
    kept: int = 0
    single: int = 0
    equal: int = 0
    seconds: float = 0.0
    note: str = ""
    problems: list[str] = field(default_factory=list)

    def count(self, problems: dict[str, str]) -> None:
        """Count one try; `problems` names the broken promises."""
        self.tried += 1
        for promise in ("survived", "kept", "single", "equal"):
            setattr(self, promise, getattr(self, promise) + (promise not in problems))
        self.problems += [f"{promise}: {problem}" for promise, problem in problems.items()]

    def add(self, more: "Tally") -> None:
        """Count what another part of the same kind has counted."""
        for name in ("tried", "survived", "kept", "single", "equal", "seconds", "problems"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.note = more.note or self.note

    @property
    def perfect(self) -> bool:
        """Whether every promise was kept every time, and there was a time."""
        return 0 < self.tried == self.survived == self.kept == self.single == self.equal


@dataclass(frozen=True)
class Scenario:
    """A task with what was there before it: scores of an earlier night, an earlier bundle, or nothing."""

    name: str
    task: str
    kind: str
    before: bool
    parts: int = 1

    def arguments(self, root: Path, out: Path) -> tuple[Any, ...]:
        place = (str(root), self.kind, str(out))
        return (*place, NEW, self.parts) if self.task != "train" else place


SCENARIOS = (
    Scenario("churn", "score", "churn", before=False),
    Scenario("churn in three parts over older scores", "score", "churn", before=True, parts=3),
    Scenario("values over older scores", "score", "value", before=True),
    Scenario("lists in two parts", "score", "lists", before=False, parts=2),
)
TRAININGS = (
    Scenario("a new bundle", "train", "churn", before=False),
    Scenario("a bundle over another", "train", "value", before=True),
)


class World:
    """A log, its bundles, and what every scenario leaves when nothing disturbs it."""

    def __init__(self, nursery: Nursery, root: Path) -> None:
        self.nursery, self.root = nursery, root
        nursery.value("make_world", str(root))
        self.whole: dict[Scenario, str] = {}
        self.seconds: dict[Scenario, float] = {}
        for number, scenario in enumerate((*SCENARIOS, *TRAININGS)):
            self._prepare(scenario, root / f"before-{number}")
            place = self.fresh(scenario, root / "whole")
            done = nursery.one("attempt", scenario.task, *scenario.arguments(root, place))
            assert done.answer == ["done", ""], f"{scenario.name}: {done}"
            self.whole[scenario], self.seconds[scenario] = digest_of(place), done.seconds
            assert not self.left(place)
            (root / "whole").rename(root / f"whole-{number}")

    def _prepare(self, scenario: Scenario, place: Path) -> None:
        """What is there before a scenario: of an earlier night, or of another bundle."""
        if not scenario.before:
            return
        if scenario.task == "train":
            shutil.copytree(self.root / "bundles" / "lists", place)
        else:
            self.nursery.value("score", str(self.root), scenario.kind, str(place), OLD, scenario.parts)

    def fresh(self, scenario: Scenario, place: Path) -> Path:
        """The folder in which a scenario finds what was there before."""
        number = (*SCENARIOS, *TRAININGS).index(scenario)
        before = self.root / f"before-{number}"
        place.mkdir()
        out = place / "out"
        if before.exists():
            shutil.copytree(before, out)
        return out

    def left(self, out: Path) -> list[str]:
        """Temporary files and folders in and beside `out`."""
        return [path.name for path in out.parent.rglob(".*") if path.name != ".lock"]

    def judge(self, scenario: Scenario, out: Path, *ended: Any) -> dict[str, str]:
        """The promises that were broken, after a disturbance and a second run.

        ended: how each of the disturbed runs ended, [kind, message]; nothing for those that were killed.
        """
        problems: dict[str, str] = {}
        for kind, said in ended:
            if kind not in ("done", "refused"):
                problems["survived"] = f"{scenario.name}: {kind}: {said}"
        number = (*SCENARIOS, *TRAININGS).index(scenario)
        allowed = {content_of(self.root / f"{when}-{number}" / then) for when, then in _WHEN}
        found = content_of(out)
        if found not in allowed:
            problems["kept"] = f"{scenario.name}: neither the old nor the new is there"
        again = self.nursery.one("attempt", scenario.task, *scenario.arguments(self.root, out))
        if again.status or again.answer[0] != "done":
            return problems | {"survived": f"{scenario.name}: run again: {again.status} {again.answer} {again.output}"}
        return problems | self._final(scenario, out)

    def _final(self, scenario: Scenario, out: Path) -> dict[str, str]:
        problems = {}
        if digest_of(out) != self.whole[scenario] or self.left(out):
            problems["equal"] = f"{scenario.name}: other bytes, or left: {self.left(out)}"
        if scenario.task == "train":
            cm.Bundle.load(out)
            return problems
        found = cm.verify(out)
        table = pd.read_parquet(found.path)
        keys = [name for name in _KEYS if name in table]
        if len(table) != found.rows:
            problems["kept"] = f"{scenario.name}: {len(table)} rows instead of {found.rows}"
        if table.duplicated(keys).any():
            problems["single"] = f"{scenario.name}: {table.duplicated(keys).sum()} rows twice"
        return problems


# Where the old and the new of a scenario stand, undisturbed.
_WHEN = (("before", ""), ("whole", "out"))


def digest_of(folder: Path) -> str:
    """The digest of all files below a folder with their names, the lock aside."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def content_of(folder: Path) -> str:
    """What a reader finds: the digest of the scores, or of the bundle; "" where there is nothing to be read."""
    if (folder / "bundle.json").exists():
        return digest_of(folder)
    path = folder / "scores.parquet"
    if not path.exists():
        return ""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        return f"unreadable: {error}"
    return hashlib.sha256(pd.util.hash_pandas_object(table.astype(str)).to_numpy().tobytes()).hexdigest()
