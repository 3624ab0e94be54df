"""Tracking under fire: many processes on a fresh store, killed ones, and a server that dies in the middle."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.torture.disturb import timed
from tests.torture.dying import Door, server
from tests.torture.nursery import Job
from tests.torture.world import Tally, World

AT_ONCE = "processes that begin tracking at once on a fresh store"
KILLED = "kill -9 at a random moment of tracking"
DYING = "a tracking server that dies in the middle of `track` or `register`"
_LONG = 600.0


def _bundle(world: World) -> str:
    return str(world.root / "bundles" / "churn")


def at_once(world: World, n: int, start: int = 0) -> Tally:
    """So many processes at the same moment; each has to get a model of its own, and no run may stay open."""
    with timed(AT_ONCE) as tally, TemporaryDirectory(prefix="torture-") as scratch:
        if start:
            return tally
        store = f"sqlite:///{scratch}/mlflow.db"
        ended = world.nursery.run(*[Job("track", (_bundle(world), store))] * n, timeout=_LONG)
        found = world.nursery.value("stored", store, timeout=_LONG)
        tally.note = f"the last was done after {max(one.seconds for one in ended):.0f} s"
        for one in ended:
            problems = {"survived": f"{one.status}: {one.output[-500:]}"} if one.status else {}
            if one.answer is not None and found["models"].get(one.answer) != "READY":
                problems["kept"] = f"{one.answer} is {found['models'].get(one.answer)}"
            tally.count(problems)
        if sorted(found["runs"]) != ["FINISHED"] * n:
            tally.count({"single": f"the runs are {found['runs']}"})
    return tally


def killed(world: World, n: int, start: int = 0) -> Tally:
    """Killed while they track, five at a time; the next one to track closes their runs."""
    draw = random.Random(start)
    with timed(KILLED) as tally, TemporaryDirectory(prefix="torture-") as scratch:
        store = f"sqlite:///{scratch}/mlflow.db"
        bundle = _bundle(world)
        world.nursery.value("track", bundle, store, timeout=_LONG)
        usual = world.nursery.one("track", bundle, store, timeout=_LONG).seconds
        while tally.tried < n:
            jobs = [Job("track", (bundle, store), draw.uniform(0, 2 * usual)) for _ in range(min(5, n - tally.tried))]
            ended = [one.status for one in world.nursery.run(*jobs)]
            after = world.nursery.one("track", bundle, store, timeout=_LONG)
            found = world.nursery.value("stored", store, timeout=_LONG)
            problems = {"survived": f"the next: {after}"} if after.status else {}
            still = [
                status for status in (*found["runs"], *found["models"].values()) if status in ("RUNNING", "PENDING")
            ]
            if still:
                problems["kept"] = f"left open: {still}"
            for status in ended:
                if status == -9:
                    tally.count(problems)
    return tally


def dying(world: World, n: int, start: int = 0) -> Tally:
    """The server is gone after any number of requests: with the last one unheard, or heard and not answered."""
    with timed(DYING) as tally, TemporaryDirectory(prefix="torture-") as scratch, server(Path(scratch)) as port:
        if port is None:
            tally.note = "not run: `mlflow server` does not start here"
            return tally
        counts = {}
        for task in ("track", "register"):
            with Door(port) as door:
                assert world.nursery.value("attempt_on", task, _bundle(world), door.url, "whole")[0] == "done"
                counts[task] = door.requests
        every = [(task, at, heard) for task, count in counts.items() for at in range(count) for heard in (False, True)]
        random.Random(7).shuffle(every)
        tally.note = f"of {len(every)} that there are"
        for number, death in enumerate(every[start : start + n], start):
            tally.count(_one_death(world, port, death, f"{death[0]}-{number}"))
    return tally


def _one_death(world: World, port: int, death: tuple[str, int, bool], name: str) -> dict[str, str]:
    task, at, heard = death
    where = f"{task}, request {at}, {'heard' if heard else 'unheard'}"
    with Door(port, at, heard=heard) as door:
        ended = world.nursery.one("attempt_on", task, _bundle(world), door.url, name)
    if ended.status or ended.answer[0] != "refused" or "MLflow says: " not in ended.answer[1]:
        return {"survived": f"{where}: {ended}"}
    url = f"http://127.0.0.1:{port}"
    again = world.nursery.one("attempt_on", task, _bundle(world), url, name)
    if again.status or again.answer[0] != "done":
        return {"survived": f"{where}: run again: {again}"}
    return _problems(where, task, world.nursery.value("stored", url, name))


def _problems(where: str, task: str, found: dict[str, Any]) -> dict[str, str]:
    """What is half done, or done twice, after the job was run again on a server that lives."""
    problems = {}
    if found["broken"]:
        problems["kept"] = f"{where}: ready, but they cannot be loaded: {found['broken']}"
    if task == "register" and found["versions"] != {"1": ["champion"]}:
        problems["single"] = f"{where}: the versions are {found['versions']}"
    return problems
