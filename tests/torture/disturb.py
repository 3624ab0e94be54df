"""Disturbances: kills at random moments, a fault at every call to the system, a full disk, several writers at once."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from tests.torture.faults import FAULTS, KILL
from tests.torture.nursery import Job
from tests.torture.world import SCENARIOS, TRAININGS, Scenario, Tally, World

LOCKED = "another process is writing there. Wait until it has ended, or give another folder."


@contextmanager
def place_for(world: World, scenario: Scenario) -> Iterator[Path]:
    """A folder for one try, with what was there before."""
    place = world.root / "try"
    yield world.fresh(scenario, place)
    shutil.rmtree(place)


@contextmanager
def timed(fault: str) -> Iterator[Tally]:
    """A tally that knows how long it took."""
    tally, began = Tally(fault), time.monotonic()
    yield tally
    tally.seconds = time.monotonic() - began


def kills(world: World, n: int, scenarios: Sequence[Scenario], fault: str, start: int = 0) -> Tally:
    """kill -9 at a random moment, until so many processes were killed before they were done."""
    draw = random.Random(start)
    with timed(fault) as tally:
        for scenario in cycle(scenarios):
            if tally.tried >= n:
                break
            with place_for(world, scenario) as out:
                moment = draw.uniform(0, 1.2 * world.seconds[scenario])
                job = scenario.task, *scenario.arguments(world.root, out)
                ended = world.nursery.one("attempt", *job, killed_after=moment)
                if ended.status == -9:
                    tally.count(world.judge(scenario, out))
                elif ended.status or ended.answer[0] != "done":
                    tally.count({"survived": f"{scenario.name}: {ended}"})
    return tally


def scoring_killed(world: World, n: int, start: int = 0) -> Tally:
    """kill -9 of the scoring job."""
    return kills(world, n, SCENARIOS, "kill -9 at a random moment of scoring", start)


def training_killed(world: World, n: int, start: int = 0) -> Tally:
    """kill -9 of training and saving."""
    return kills(world, n, TRAININGS, "kill -9 at a random moment of training and saving", start)


def calls_of(world: World, scenario: Scenario) -> int:
    """How many calls to the system touch the folder of a scenario that nothing disturbs."""
    with place_for(world, scenario) as out:
        job = scenario.task, *scenario.arguments(world.root, out)
        *ended, calls = world.nursery.value("faulty", str(out.parent), -1, KILL, *job)
        assert ended == ["done", ""], ended
    return int(calls)


def every_fault(world: World) -> list[tuple[Scenario, int, int]]:
    """All of them: each call of each scenario with each fault, in a random order, the same every time."""
    every = [
        (scenario, at, fault)
        for scenario in (*SCENARIOS, *TRAININGS)
        for at in range(calls_of(world, scenario))
        for fault in FAULTS.values()
    ]
    random.Random(7).shuffle(every)
    return every


def faults_at_calls(world: World, n: int, start: int = 0) -> Tally:
    """EIO, ENOSPC, EACCES and kill -9 at each call that opens, writes, flushes, renames or removes."""
    with timed("EIO, ENOSPC, EACCES, kill -9 at an open, write, fsync, rename, mkdir, unlink") as tally:
        if world.nursery.library is None:
            tally.note = "not run: there is no C compiler here"
            return tally
        every = every_fault(world)
        tally.note = f"of {len(every)} that there are"
        for scenario, at, fault in every[start : start + n]:
            tally.count(_one_fault(world, scenario, at, fault))
    return tally


def _one_fault(world: World, scenario: Scenario, at: int, fault: int) -> dict[str, str]:
    with place_for(world, scenario) as out:
        job = scenario.task, *scenario.arguments(world.root, out)
        ended = world.nursery.one("faulty", str(out.parent), at, fault, *job)
        if ended.status not in (0, -9) or (ended.status == -9 and fault != KILL):
            return {"survived": f"{scenario.name}, call {at}: {ended}"}
        return world.judge(scenario, out, *([ended.answer[:2]] if ended.answer else []))


def writers(world: World, n: int, start: int = 0) -> Tally:
    """Two and three processes that write to the same folder at the same time."""
    with timed("two and three writers at once") as tally:
        for number in range(start, start + n):
            scenario = SCENARIOS[number % len(SCENARIOS)]
            with place_for(world, scenario) as out:
                job = Job("attempt", (scenario.task, *scenario.arguments(world.root, out)))
                ended = world.nursery.run(*[job] * (2 + number // 2 % 2))
                answers = [one.answer or ["ended", f"{one.status}: {one.output}"] for one in ended]
                problems = world.judge(scenario, out, *answers)
                wrong = [said for kind, said in answers if kind == "refused" and not said.endswith(LOCKED)]
                if wrong or not any(kind == "done" for kind, _ in answers):
                    problems["survived"] = f"{scenario.name}: {answers}"
                tally.count(problems)
    return tally


# A full disk ----------------------------------------------------------------------------------------------


@contextmanager
def mounted(place: Path, size: str = "2m") -> Iterator[Path | None]:
    """A file system in memory, of this size; None where this process may not make one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    done = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield place if done else None
    finally:
        if done:
            subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def full_disk(world: World, n: int, start: int = 0) -> Tally:
    """A file system that is really full: with room for a random part of what is to be written."""
    draw = random.Random(start)
    with timed("a full file system (tmpfs)") as tally, mounted(world.root / "disk") as disk:
        for _, scenario in zip(range(n), cycle((*SCENARIOS, *TRAININGS)), strict=False):
            if disk is None:
                tally.note = "not run: mounting a tmpfs is not allowed here"
                break
            out = world.fresh(scenario, disk / "try")
            free = draw.randrange(0, 24) * 4096
            _fill(disk / "ballast", leave=free, disk=disk)
            ended = world.nursery.one("attempt", scenario.task, *scenario.arguments(world.root, out))
            (disk / "ballast").unlink()
            problems = {"survived": f"{scenario.name}: {ended}"} if ended.status else {}
            tally.count(problems or world.judge(scenario, out, ended.answer))
            shutil.rmtree(disk / "try")
    return tally


def _fill(ballast: Path, *, leave: int, disk: Path) -> None:
    """Write a file that leaves so many bytes free."""
    room = shutil.disk_usage(disk).free - leave
    ballast.write_bytes(bytes(max(0, room)))
